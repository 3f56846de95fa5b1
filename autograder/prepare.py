"""The trusted step before execution: from whatever was handed in to a list of code.

A submission is a file from a stranger. It is parsed with limits, reduced to cells that
hold text, and what was locked is put back from the source: tests that were edited,
deleted, doubled or re-labelled. Expected values are cut out of the tests, so that the
process that runs the answers never holds them.
"""

import ast
import json
import random
import re
import symtable
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import nbformat
from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode

from . import pairs, release
from .execute import Code
from .layout import Course, CourseError

MAX_BYTES = 20 << 20
MAX_CELLS = 2000
MAX_SOURCE = 2 << 20
CHECKS = {"close", "equal", "at_most", "at_least", "between", "raises"}
OBSERVED = {"label", "observed", "call"}
BASE64 = re.compile(r"[A-Za-z0-9+/=\s]*")
WORDS = ["again", "another time", "once more", "at last", "as before", "by itself"]


# --------------------------------------------------------------- what was asked


@dataclass(frozen=True)
class Graded:
    """A cell with an identity: an answer, a test, or a locked text."""

    name: str
    cell_type: str
    metadata: dict[str, Any]
    source: str  # with the hidden tests
    visible: str  # as it was released

    @property
    def nbgrader(self) -> dict[str, Any]:
        return self.metadata["nbgrader"]

    @property
    def is_test(self) -> bool:
        return bool(self.nbgrader["grade"] and not self.nbgrader["solution"])

    @property
    def is_task(self) -> bool:
        return bool(self.nbgrader.get("task"))

    @property
    def is_manual(self) -> bool:
        """Whether a person grades it: a written answer, or a task with its scheme."""
        return self.is_task or bool(self.nbgrader["grade"] and self.is_answer)

    @property
    def is_answer(self) -> bool:
        return bool(self.nbgrader["solution"])

    @property
    def points(self) -> float:
        return float(self.nbgrader.get("points", 0))

    @property
    def exercise(self) -> str:
        return self.name.removeprefix("test_")


@dataclass(frozen=True)
class Assignment:
    """What was asked: the source of a notebook and what students got of it."""

    name: str
    source: NotebookNode
    released: NotebookNode

    @cached_property
    def graded(self) -> dict[str, Graded]:
        """The cells with an identity, by their `grade_id`, in order."""
        found = {}
        for full, shown in zip(self.source.cells, self.released.cells):
            if "nbgrader" in full.metadata:
                metadata = dict(shown.metadata)
                name = full.metadata.nbgrader.grade_id
                found[name] = Graded(
                    name, full.cell_type, metadata, full.source, shown.source
                )
        return found

    @property
    def tests(self) -> list[Graded]:
        return [cell for cell in self.graded.values() if cell.is_test]

    @property
    def manual(self) -> list[Graded]:
        return [cell for cell in self.graded.values() if cell.is_manual]

    @cached_property
    def setup(self) -> str:
        """The source of the set-up cell, the first cell of code."""
        return next(c.source for c in self.released.cells if c.cell_type == "code")

    @cached_property
    def source_setup(self) -> str:
        """The same cell before the address was stamped into it."""
        return next(c.source for c in self.source.cells if c.cell_type == "code")

    @cached_property
    def given(self) -> set[str]:
        """The code that everyone was given, without the set-up."""
        cells = [c for c in self.released.cells if c.cell_type == "code"]
        shown = {c.source.strip() for c in cells if "nbgrader" not in c.metadata}
        return shown - {self.setup.strip()}


def assignment(course: Course, name: str) -> Assignment:
    """Read what was asked in notebook `name`, as it would be released now."""
    built = release.build(course, name)
    released = nbformat.reads(built.notebook, as_version=4)
    return Assignment(name, pairs.build(course, name), released)


# --------------------------------------------------------------- what came


class Unreadable(Exception):
    """A submission that is no notebook; the message says why."""


@dataclass
class Submission:
    """A submission after it was put in order."""

    notebook: NotebookNode
    notes: list[str] = field(default_factory=list)


def read(path: Path) -> NotebookNode:
    """Read a notebook that may be anything.

    Raises:
        Unreadable: if nothing can be made of it.
    """
    if path.is_symlink() or not path.is_file():
        raise Unreadable("it is not a file")
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise Unreadable(f"it is too large ({size >> 20} MB)")
    try:
        data = json.loads(path.read_bytes().decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise Unreadable("it is not JSON, so it is not a notebook") from None
    if not isinstance(data, dict) or not isinstance(data.get("nbformat"), int):
        raise Unreadable("it is JSON, but not a notebook")
    try:
        if data["nbformat"] < 4:
            node = nbformat.from_dict(data)
            data = nbformat.convert(node, 4)
        cells = [_clean(cell) for cell in data["cells"]]
    except Exception:
        raise Unreadable("its format cannot be understood") from None
    if len(cells) > MAX_CELLS:
        raise Unreadable(f"it has {len(cells)} cells")
    if sum(len(cell.source) for cell in cells) > MAX_SOURCE:
        raise Unreadable("its cells hold more than 2 MB of text")
    return nbformat.v4.new_notebook(cells=cells, metadata=pairs.METADATA)


def _clean(cell: Any) -> NotebookNode:
    """Keep the type, the text, nbgrader's label and pasted pictures of a cell."""
    source = cell.get("source", "")
    if isinstance(source, list):
        source = "".join(source)
    if not isinstance(source, str):
        raise TypeError("a cell's source is text")
    source = source.encode("utf-8", errors="replace").decode()
    metadata = cell.get("metadata", {})
    label = metadata.get("nbgrader", {}).get("grade_id")
    kept = {"nbgrader": {"grade_id": label}} if isinstance(label, str) else {}
    makers = {
        "code": nbformat.v4.new_code_cell,
        "markdown": nbformat.v4.new_markdown_cell,
    }
    maker = makers.get(cell.get("cell_type"), nbformat.v4.new_raw_cell)
    made = maker(source, metadata=kept)
    if made.cell_type == "markdown" and (pictures := _pictures(cell)):
        made["attachments"] = pictures
    return made


def _pictures(cell: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Return what was pasted into a text, where it is a picture."""
    pictures = {}
    for name, bundle in dict(cell.get("attachments") or {}).items():
        for mime in ("image/png", "image/jpeg"):
            data = dict(bundle).get(mime)
            if isinstance(data, str) and BASE64.fullmatch(data):
                pictures[name] = {mime: data}
    return pictures


def restore(asked: Assignment, came: NotebookNode) -> Submission:
    """Put every locked cell of `asked` back into `came`, at a place that makes sense.

    Each graded cell is there exactly once afterwards, tests after their answers.
    """
    notes: list[str] = []
    graded = asked.graded
    place: dict[str, int] = {}
    for index, cell in enumerate(came.cells):
        name = _label(cell)
        if name not in graded:
            cell.metadata.pop("nbgrader", None)
            continue
        if name in place:
            before, after = came.cells[place[name]], cell
            # Of two copies of an answer the one that was worked on counts.
            keep_first = graded[name].is_answer and _untouched(graded[name], after)
            loser = after if keep_first else before
            loser.metadata.pop("nbgrader", None)
            notes.append(f"{name}: the cell is there twice; one copy counts")
            if keep_first:
                continue
        place[name] = index
    for index, name in enumerate(list(graded)):
        target = graded[name]
        at = _position(came, name)
        if at is None:
            if target.is_answer and not target.is_manual:
                notes.append(f"{name}: the answer cell was deleted")
                continue
            if not (target.is_test or target.is_manual):
                continue  # a text that was only locked
            notes.append(f"{name}: the cell was deleted, and is put back")
            at = _where_it_belongs(came, list(graded)[:index])
            came.cells.insert(at, nbformat.v4.new_code_cell(""))
        old = came.cells[at]
        same = old.source.strip() in (target.visible.strip(), "")
        if not target.is_answer and not same:
            notes.append(f"{name}: the cell was changed, and is put back")
        if target.is_answer and old.cell_type != target.cell_type:
            notes.append(f"{name}: the type of the cell was changed, and is put back")
        came.cells[at] = _as_asked(target, old)
        answer = _position(came, target.exercise) if target.is_test else None
        if answer is not None and answer > at:
            came.cells.insert(answer, came.cells.pop(at))
    for index, cell in enumerate(came.cells):
        cell["id"] = f"cell-{index}"
    return Submission(came, notes)


def _label(cell: NotebookNode) -> str | None:
    return cell.metadata.get("nbgrader", {}).get("grade_id")


def _untouched(target: Graded, cell: NotebookNode) -> bool:
    return cell.source.strip() == target.visible.strip()


def _position(notebook: NotebookNode, name: str) -> int | None:
    for index, cell in enumerate(notebook.cells):
        if _label(cell) == name:
            return index
    return None


def _where_it_belongs(notebook: NotebookNode, before: list[str]) -> int:
    """After the nearest cell that came before it in the source."""
    for name in reversed(before):
        at = _position(notebook, name)
        if at is not None:
            return at + 1
    return len(notebook.cells)


def _as_asked(target: Graded, old: NotebookNode) -> NotebookNode:
    source = old.source if target.is_answer else target.visible
    if target.is_manual and not source.strip():
        source = target.visible
    maker = {
        "code": nbformat.v4.new_code_cell,
        "markdown": nbformat.v4.new_markdown_cell,
    }[target.cell_type]
    made = maker(source, metadata=nbformat.from_dict(dict(target.metadata)))
    if target.is_manual and target.cell_type == old.cell_type and "attachments" in old:
        made["attachments"] = old["attachments"]
    return made


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
        target = asked.graded.get(_label(cell) or "")
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
    needed = set(range(len(cells))) - given
    names = {i: Names.of(code.source) for i, (_, code) in enumerate(cells)}
    own = [names[i].used for i in needed - {0} if not cells[i][1].test]
    if any(_DYNAMIC.fullmatch(name) for used in own for name in used):
        return cells
    wanted = set().union(*(names[i].used for i in needed))
    while True:
        more = {i for i in given - needed if names[i].bound & wanted}
        if not more:
            break
        needed |= more
        wanted |= set().union(*(names[i].used for i in more))
    return [cells[i] for i in sorted(needed)]


# Code that uses one of these may reach names in ways that cannot be read off it.
_DYNAMIC = re.compile("exec|eval|globals|locals|vars|get_ipython|In|Out|_i*|_i?\\d+")


@dataclass(frozen=True)
class Names:
    """The global names that a cell binds, and those that it needs from elsewhere."""

    bound: frozenset[str]
    used: frozenset[str]

    @classmethod
    def of(cls, source: str) -> "Names":
        try:
            table = symtable.symtable(_as_python(source), "cell", "exec")
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return cls(frozenset(), frozenset())
        bound = {s.get_name() for s in table.get_symbols() if _binds(s)}
        used = set()
        for inner in _tables(table):
            top = inner is table
            for symbol in inner.get_symbols():
                if symbol.is_referenced() and (top or symbol.is_global()):
                    used.add(symbol.get_name())
        return cls(frozenset(bound), frozenset(used - bound))


def _binds(symbol: symtable.Symbol) -> bool:
    return symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace()


def _tables(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    yield table
    for child in table.get_children():
        yield from _tables(child)


def _as_python(source: str) -> str:
    try:
        return TransformerManager().transform_cell(source)
    except Exception:
        return source


# --------------------------------------------------- tests without expected values


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
import importlib, sys
sys.modules.pop("odenets.check", None)
check = importlib.import_module("odenets.check")
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
    block = next(n for n in tree.body if isinstance(n, ast.With) and _names([n]))
    name = next(iter(_names([block])))
    labels = [
        node.args[0].value
        for node in ast.walk(block)
        if _is_check(node, {name})
        and node.args
        and isinstance(node.args[0], ast.Constant)
    ] or ["a value"]
    decoys = []
    chance = random.SystemRandom()
    for call, kind in (
        ("close", "close"),
        ("at_most", "between"),
        ("at_least", "between"),
    ):
        one, other = chance.uniform(0.1, 0.9), chance.uniform(1.0, 9.0)
        label = f"{chance.choice(labels)}, {chance.choice(WORDS)}"
        if label in [d.label for d in decoys] + labels:
            continue
        code = f"{name}.{call}({label!r}, lambda: (lambda a, b: a * b)({one}, {other}))"
        block.body.insert(
            chance.randrange(len(block.body) + 1), ast.parse(code).body[0]
        )
        decoys.append(Decoy(kind, label, one * other))
    code = ast.unparse(ast.fix_missing_locations(tree))
    return FRESH_CHECK + code, tuple(decoys)


def _names(nodes: Iterable[ast.AST]) -> set[str]:
    """Return the names of the exercises that with-blocks open."""
    return {
        item.optional_vars.id
        for node in nodes
        if isinstance(node, ast.With)
        for item in node.items
        if isinstance(item.optional_vars, ast.Name)
        and _opens_exercise(item.context_expr)
    }


def _opens_exercise(node: ast.expr) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "exercise"
    )


def _is_check(node: ast.AST, names: set[str]) -> bool:
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
    """Yield the statements of the cell, and those inside its with-blocks."""
    yield tree.body
    for node in tree.body:
        if isinstance(node, ast.With):
            yield node.body


def _bound(node: ast.stmt) -> set[str]:
    """Return the names that a helper binds; nothing where it may do more than that."""
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
    """Return the names that statements read; a with-block's own parts are separate."""
    found: set[str] = set()
    for node in nodes:
        parts = (
            [i.context_expr for i in node.items]
            if isinstance(node, ast.With)
            else [node]
        )
        for part in parts:
            for inner in ast.walk(part):
                if isinstance(inner, ast.Name) and not isinstance(inner.ctx, ast.Store):
                    found.add(inner.id)
    return found
