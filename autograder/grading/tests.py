"""What is executed of a submission, and its tests without their expected values.

Expected values are cut out of the tests, so that the process that runs the answers
never holds them.
"""

import ast
import functools
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeGuard

from nbformat import NotebookNode

from ..authors.assignment import Assignment, label_of
from ..authors.names import needed_cells
from ..course import CourseError
from ..worker.execute import Code

CHECKS = {"close", "equal", "at_most", "at_least", "between", "raises"}
OBSERVED = {"label", "observed", "call"}
WORDS = ["again", "another time", "once more", "at last", "as before", "by itself"]


# --------------------------------------------------------------- what is executed


def codes(
    asked: Assignment, notebook: NotebookNode, *, all_cells: bool = False
) -> list[tuple[int | None, Code]]:
    """List the code to execute, with the index of the cell that it stands in.

    First the set-up as it was given, then the cells in their order: answers, tests and
    everything that a student wrote. Cells that everyone was given (figures, studies)
    are left out, unless the student's code uses a name that they define, because
    nothing in them is graded.
    """
    cells: list[tuple[int | None, Code]] = [(None, Code(asked.setup))]
    given: set[int] = set()
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type != "code" or not cell.source.strip():
            continue
        target = asked.graded.get(label_of(cell) or "")
        if target is not None and target.is_test:
            source, decoys = arm(strip_expected(target.source))
            cells.append((index, Code(source, target.name, decoys=decoys)))
        elif cell.source.strip() != asked.setup.strip():
            if target is None and cell.source.strip() in asked.given:
                given.add(len(cells))
            answer = target.name if target is not None else ""
            cells.append((index, Code(cell.source, answer=answer)))
    if all_cells:
        return cells
    trusted = {0, *(i for i, (_, code) in enumerate(cells) if code.test)}
    needed = needed_cells([code.source for _, code in cells], given, trusted)
    return [cells[i] for i in sorted(needed)]


# --------------------------------------------------- tests without expected values


@functools.lru_cache(maxsize=256)  # a class is judged by the same few tests
def strip_expected(source: str) -> str:
    """Return a test cell that only observes.

    From every check of the exercise all arguments go but the label and the observed
    value. Helpers that nothing else uses go as well, unless they draw from a generator
    that others draw from too: the draws that follow would be different ones.
    """
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise CourseError(f"a test cell is not Python: {error}") from None
    names = _names(ast.walk(tree))
    for node in ast.walk(tree):
        if _is_check(node, names):
            node.args = node.args[:2]
            node.keywords = [k for k in node.keywords if k.arg in OBSERVED]
    while _drop_unused(tree):
        pass
    return ast.unparse(ast.fix_missing_locations(tree))


FRESH_CHECK = """\
def load_check_anew():
    import importlib, signal, sys
    for timer in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF):
        signal.setitimer(timer, 0)
    for name in [name for name in sys.modules if name.startswith("odenets.check")]:
        del sys.modules[name]
    return importlib.import_module("odenets.check")
check = load_check_anew()
"""
"""Stands before a test: whatever was patched in `check` is loaded anew."""


@dataclass(frozen=True)
class Decoy:
    """A check that we put among the others, with a value that only we know."""

    kind: str
    label: str
    observed: float


def arm(source: str) -> tuple[str, tuple[Decoy, ...]]:
    """Return a stripped test cell as it is executed, and the decoys in it.

    A process that replaces what its tests observe (zero is below every bound) replaces
    the decoys as well, and then none of its values for that test count.
    """
    tree = ast.parse(source)
    block = next(n for n in tree.body if isinstance(n, ast.FunctionDef) and _opened(n))
    name = _opened(block)
    labels = [
        node.args[0].value
        for node in ast.walk(block)
        if _is_check(node, {name})
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    ] or ["a value"]
    decoys: list[Decoy] = []
    chance = random.SystemRandom()
    free = {f"{label}, {word}" for label in labels for word in WORDS} - {*labels}
    kinds = {"close": "close", "at_most": "between", "at_least": "between"}
    for label, (call, kind) in zip(chance.sample(sorted(free), 3), kinds.items()):
        one, other = chance.uniform(0.1, 0.9), chance.uniform(1.0, 9.0)
        code = f"{name}.{call}({label!r}, lambda: (lambda a, b: a * b)({one}, {other}))"
        block.body.insert(
            chance.randrange(len(block.body) + 1), ast.parse(code).body[0]
        )
        decoys.append(Decoy(kind, label, one * other))
    code = ast.unparse(ast.fix_missing_locations(tree))
    return FRESH_CHECK + code, tuple(decoys)


def _names(nodes: Iterable[ast.AST]) -> set[str]:
    """Return the names under which checks are asked."""
    return {name for node in nodes if (name := _opened(node))}


def _opened(node: ast.AST) -> str:
    """Return the name under which an exercise asks its checks; "" for other code."""
    if isinstance(node, ast.FunctionDef) and node.args.args:
        if any(map(_opens_exercise, node.decorator_list)):
            return node.args.args[0].arg
    return ""


def _opens_exercise(node: ast.expr) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "exercise"
    )


def _is_check(node: ast.AST, names: set[str]) -> TypeGuard[ast.Call]:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in CHECKS
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in names
    )


def _drop_unused(tree: ast.Module) -> bool:
    """Drop one helper that nothing uses; return whether there was one."""
    generators = {
        name
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and "Generator" in ast.unparse(node.value)
        for name in _bound(node)
    }
    for body in _bodies(tree):
        for index, node in enumerate(body):
            bound = _bound(node)
            if not bound:
                continue
            others = [n for b in _bodies(tree) for n in b if n is not node]
            loaded = _loaded(others)
            if bound & loaded or _loaded([node]) & generators & loaded:
                continue
            del body[index]
            if not body:
                body.append(ast.Pass())
            return True
    return False


def _bodies(tree: ast.Module) -> Iterator[list[ast.stmt]]:
    """Yield the statements of the cell, and those of its exercise."""
    yield tree.body
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and _opened(node):
            yield node.body


def _bound(node: ast.stmt) -> set[str]:
    """Return the names that a helper binds; nothing where it may do more than that."""
    if _opened(node):
        return set()
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return {node.name}
    targets: Iterable[ast.expr] = ()
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, ast.AnnAssign):
        targets = [node.target]
    names: set[str] = set()
    for target in targets:
        parts = target.elts if isinstance(target, (ast.Tuple, ast.List)) else [target]
        for part in parts:
            part = part.value if isinstance(part, ast.Starred) else part
            if not isinstance(part, ast.Name):
                return set()
            names.add(part.id)
    return names


def _loaded(nodes: Iterable[ast.stmt]) -> set[str]:
    """Return the names that statements read, without the body of the exercise."""
    found: set[str] = set()
    for node in nodes:
        parts: list[ast.AST] = [node]
        if isinstance(node, ast.FunctionDef) and _opened(node):
            parts = list(node.decorator_list)
        for inner in (inner for part in parts for inner in ast.walk(part)):
            if isinstance(inner, ast.Name) and not isinstance(inner.ctx, ast.Store):
                found.add(inner.id)
    return found
