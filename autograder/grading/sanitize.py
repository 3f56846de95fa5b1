"""The trusted step before execution: whatever came becomes an orderly notebook.

A submission is a file from a stranger. It is parsed with limits, reduced to cells that
hold text, and what was locked is put back from the source: tests that were edited,
deleted, doubled or re-labelled. What is broken costs itself only, and what a student
wrote in a place that is put back is kept beside it.
"""

import ast
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from ..authors import pairs
from ..authors.assignment import Assignment, Graded, label_of
from . import files
from .files import Unreadable

MAX_CELLS = 2000
MAX_SOURCE = 2 << 20
BASE64 = re.compile(r"[A-Za-z0-9+/=\s]*")
# Colab keeps a picture that is pasted into a text in the text itself.
PASTED = re.compile(r"data:(image/(?:png|jpeg|gif|webp));base64,([A-Za-z0-9+/=]{64,})")
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
MAKERS = {
    "code": nbformat.v4.new_code_cell,
    "markdown": nbformat.v4.new_markdown_cell,
}


@dataclass
class Submission:
    """A submission after it was put in order."""

    notebook: NotebookNode
    notes: list[str] = field(default_factory=list)


# ------------------------------------------------------------------------- reading


def read(path: Path) -> NotebookNode:
    """Read a notebook that may be anything.

    What had to be left out is listed in its metadata, under `notes`.

    Raises:
        Unreadable: if nothing can be made of it.
    """
    notes: list[str] = []
    came = files.cells(files.parsed(files.content(path), notes), notes)
    if len(came) > MAX_CELLS:
        raise Unreadable(
            f"it has {len(came)} cells, and at most {MAX_CELLS} are read; "
            f"take your own out, and {files.AGAIN}"
        )
    cells = list(_cells(came, notes))
    if came and not cells:
        raise Unreadable(
            f"its format cannot be understood: none of its {len(came)} cells is one; "
            f"save it in Jupyter, and {files.AGAIN}"
        )
    while sum(len(cell.source) for cell in cells) > MAX_SOURCE:
        number, longest = max(enumerate(cells, 1), key=lambda c: len(c[1].source))
        longest.source = ""
        notes.append(
            f"cell {number} was emptied: the cells hold more than 2 MB of text"
        )
    made = nbformat.v4.new_notebook(cells=cells, metadata=dict(pairs.METADATA))
    if notes:
        made.metadata["notes"] = notes
    return made


def _cells(came: list[Any], notes: list[str]) -> Iterator[NotebookNode]:
    """Yield the cells that can be understood; the others are noted."""
    for number, cell in enumerate(came, 1):
        try:
            yield _clean(cell)
        except Exception:  # from a stranger: whatever it is, it costs this cell only
            notes.append(f"cell {number} is damaged, and was left out")


def _clean(cell: dict[str, Any]) -> NotebookNode:
    """Keep the type, the text, nbgrader's label and pasted pictures of a cell."""
    source = cell.get("source") or ""
    if isinstance(source, list):
        source = "".join(line for line in source if isinstance(line, str))
    if not isinstance(source, str):
        raise TypeError("a cell's source is text")
    source = source.encode("utf-8", errors="replace").decode()
    source = source.replace("\r\n", "\n").replace("\r", "\n")
    label = _mapping(_mapping(cell.get("metadata")).get("nbgrader")).get("grade_id")
    kept = {"nbgrader": {"grade_id": label}} if isinstance(label, str) else {}
    kind = cell.get("cell_type")
    maker = MAKERS.get(kind if isinstance(kind, str) else "", nbformat.v4.new_raw_cell)
    made = maker(source, metadata=kept)
    if made.cell_type == "markdown":
        pictures = _pictures(cell)

        def attach(found: re.Match[str]) -> str:
            name = f"pasted-{hashlib.sha256(found[2].encode()).hexdigest()[:12]}"
            pictures[name] = {found[1]: found[2]}
            return f"attachment:{name}"

        made.source = PASTED.sub(attach, source)
        if pictures:
            made["attachments"] = pictures
    return made


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _pictures(cell: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Return what was pasted into a text, where it is a picture."""
    pictures = {}
    for name, bundle in _mapping(cell.get("attachments")).items():
        for mime in ("image/png", "image/jpeg"):
            data = _mapping(bundle).get(mime)
            if isinstance(data, str) and BASE64.fullmatch(data):
                pictures[name] = {mime: data}
    return pictures


# ----------------------------------------------------------------------- restoring


def restore(asked: Assignment, came: NotebookNode) -> Submission:
    """Put every locked cell of `asked` back into `came`, at a place that makes sense.

    Each graded cell is there exactly once afterwards, tests after their answers.
    """
    made = Submission(came, came.metadata.pop("notes", []))
    _as_given(asked, came)
    _one_of_each(asked, made)
    _label_again(asked, came)
    _drop_stubs(asked, came.cells)
    for index, name in enumerate(list(asked.graded)):
        _put_back(asked, made, name, list(asked.graded)[:index])
    for index, cell in enumerate(came.cells):
        cell["id"] = f"cell-{index}"
    return made


def _plain(text: str) -> str:
    """Return a text without what editors change on their own: spaces at line ends."""
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def _as_given(asked: Assignment, came: NotebookNode) -> None:
    """Give cells that everyone was given the very text that they were given with."""
    given = {_plain(cell.source): cell.source for cell in asked.released.cells}
    for cell in came.cells:
        cell.source = given.get(_plain(cell.source), cell.source)


def _label_again(asked: Assignment, came: NotebookNode) -> None:
    """Find cells that lost their label: locked ones by their text, answers by name.

    An answer that was retyped or copied by an editor that drops metadata counts where
    its labelled cell is missing or was left untouched.
    """
    there = {name for cell in came.cells if (name := label_of(cell)) in asked.graded}
    bare = [cell for cell in came.cells if label_of(cell) not in asked.graded]
    for cell in bare:
        cell.metadata.pop("nbgrader", None)
    for name, target in asked.graded.items():
        if name not in there:
            same = [c for c in bare if _untouched(target, c) and not label_of(c)]
            if same:
                _label(same[0], name)
    for name, target in asked.graded.items():
        labelled = [c for c in came.cells if label_of(c) == name]
        if not target.is_answer or target.cell_type != "code":
            continue
        if all(_untouched(target, c) for c in labelled) and (
            defined := _defined(target.visible)
        ):
            for cell in reversed(bare):
                mine = not label_of(cell) and cell.source.strip() not in asked.given
                if (
                    mine
                    and cell.cell_type == "code"
                    and not _untouched(target, cell)
                    and defined <= _defined(cell.source)
                ):
                    for stub in labelled:
                        stub.metadata.pop("nbgrader")
                    _label(cell, name)
                    break


def _label(cell: NotebookNode, name: str) -> None:
    cell.metadata["nbgrader"] = {"grade_id": name}


def _defined(source: str) -> set[str]:
    """Return the functions and classes that code defines; none where it is no code."""
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    return {node.name for node in body if isinstance(node, DEFINITIONS)}


def _one_of_each(asked: Assignment, made: Submission) -> None:
    """Leave every label once: of copies the last one that was worked on counts.

    A written answer in several cells (they were split) becomes one.
    """
    cells = made.notebook.cells
    for name, target in asked.graded.items():
        copies = [cell for cell in cells if label_of(cell) == name]
        worked_on = [
            c for c in copies if c.source.strip() and not _untouched(target, c)
        ]
        if len(copies) < 2:
            continue
        if target.is_answer and target.is_manual and worked_on:
            made.notes.append(
                f"{name}: the answer stands in several cells, put together"
            )
            kept = worked_on[0]
            texts = dict.fromkeys(cell.source.strip() for cell in worked_on)
            kept.source = "\n\n".join(texts)
            pictures = {k: v for c in worked_on for k, v in _attached(c).items()}
            if pictures:
                kept["attachments"] = pictures
            others = [c for c in copies if c is not kept]
            _remove(cells, others)
            continue
        made.notes.append(f"{name}: the cell is there twice; one copy counts")
        kept = (worked_on or copies)[-1]
        if not target.is_answer:
            _remove(cells, [c for c in copies if c is not kept])
        for cell in copies:
            if cell is not kept:
                cell.metadata.pop("nbgrader", None)


def _drop_stubs(asked: Assignment, cells: list[NotebookNode]) -> None:
    """Drop untouched copies of what was answered: they would define it anew."""
    for name, target in asked.graded.items():
        if target.is_answer and target.cell_type == "code":
            mine = [c for c in cells if label_of(c) in (name, None)]
            stubs = [c for c in mine if _untouched(target, c)]
            if any(label_of(c) == name and c.source.strip() for c in mine):
                _remove(cells, [c for c in stubs if label_of(c) is None])


def _remove(cells: list[NotebookNode], unwanted: list[NotebookNode]) -> None:
    ids = {id(cell) for cell in unwanted}
    cells[:] = [cell for cell in cells if id(cell) not in ids]


def _attached(cell: NotebookNode) -> dict[str, Any]:
    return dict(cell.get("attachments", {}))


def _put_back(
    asked: Assignment, made: Submission, name: str, before: list[str]
) -> None:
    """Put one graded cell back as it was asked, and keep what was written into it."""
    target, notes = asked.graded[name], made.notes
    cells = made.notebook.cells
    at = _position(made.notebook, name)
    if at is None:
        if target.is_answer and not target.is_manual:
            notes.append(f"{name}: the answer cell was deleted")
            return
        if not (target.is_test or target.is_manual):
            return  # a text that was only locked
        notes.append(f"{name}: the cell was deleted, and is put back")
        at = _where_it_belongs(made.notebook, before)
        cells.insert(at, MAKERS[target.cell_type](""))
    old = cells[at]
    same = _plain(old.source) in (_plain(target.visible), "")
    if target.is_answer and target.is_manual and same:
        own = _own_texts(asked, made.notebook, before, at)
        if own:
            notes.append(f"{name}: the answer stood in a cell of its own")
            old.source = "\n\n".join(cell.source.strip() for cell in own)
            old["cell_type"] = target.cell_type
            pictures = {k: v for cell in own for k, v in _attached(cell).items()}
            if pictures:
                old["attachments"] = pictures
            _remove(cells, own)
            at = next(i for i, cell in enumerate(cells) if cell is old)
    if target.is_answer and old.cell_type != target.cell_type:
        notes.append(f"{name}: the type of the cell was changed, and is put back")
    cells[at] = _as_asked(target, old)
    if not target.is_answer and not same:
        rest = _beside(target.visible, old.source)
        if target.cell_type == "code":
            notes.append(f"{name}: the cell was changed, and is put back")
            if rest and _plain(target.visible) in _plain(old.source):
                cells.insert(at, nbformat.v4.new_code_cell(rest))  # merged with others
                at += 1
                _answer_in(asked, made, cells[at - 1], target)
        else:
            notes.append(
                f"{name}: the cell was changed, and is put back"
                + (" above what was written into it" if rest else "")
            )
            if rest:
                cells.insert(at + 1, nbformat.v4.new_markdown_cell(rest))
                if pictures := _attached(old):
                    cells[at + 1]["attachments"] = pictures
    answer = _position(made.notebook, target.exercise) if target.is_test else None
    if answer is not None and answer > at:
        cells.insert(answer, cells.pop(at))


def _answer_in(
    asked: Assignment, made: Submission, cell: NotebookNode, test: Graded
) -> None:
    """Let code that was merged into a test be the answer, where there is no other."""
    answer = asked.graded.get(test.exercise)
    missing = f"{test.exercise}: the answer cell was deleted"
    if answer is None or missing not in made.notes:
        return
    if _defined(answer.visible) <= _defined(cell.source):
        made.notes.remove(missing)
        cell.metadata = nbformat.from_dict(dict(answer.metadata))


def _beside(own: str, found: str) -> str:
    """Return what a text holds beside the words that it was given with."""
    own, found = _plain(own), _plain(found)
    if own in found:
        before, _, after = found.partition(own)
        return "\n\n".join(filter(None, (before.strip("\n"), after.strip("\n"))))
    given = set(own.splitlines())
    return "\n".join(line for line in found.splitlines() if line not in given).strip()


def _own_texts(
    asked: Assignment, notebook: NotebookNode, before: list[str], at: int
) -> list[NotebookNode]:
    """Return a student's own texts around place `at`, up to the next graded cells."""
    given = {_plain(cell.source) for cell in asked.released.cells}
    first = max((_position(notebook, name) or 0 for name in before), default=0)
    cells = notebook.cells
    last = next(
        (i for i in range(at + 1, len(cells)) if label_of(cells[i])), len(cells)
    )
    return [
        cell
        for cell in cells[min(first, at) : last]
        if cell.cell_type != "code"
        and not label_of(cell)
        and cell.source.strip()
        and _plain(cell.source) not in given
    ]


def _untouched(target: Graded, cell: NotebookNode) -> bool:
    """Whether a cell is as it was handed out; its docstring may be another's."""
    if _plain(cell.source) == _plain(target.visible):
        return True
    code = cell.cell_type == target.cell_type == "code"
    return code and bool(bare := _bare(cell.source)) and bare == _bare(target.visible)


@lru_cache(maxsize=256)
def _bare(source: str) -> str:
    """Return code without docstrings and comments; "" where it is no code."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""
    for node in ast.walk(tree):
        if isinstance(node, DEFINITIONS) and ast.get_docstring(node, clean=False):
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def _position(notebook: NotebookNode, name: str) -> int | None:
    for index, cell in enumerate(notebook.cells):
        if label_of(cell) == name:
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
    made = MAKERS[target.cell_type](
        source, metadata=nbformat.from_dict(dict(target.metadata))
    )
    if target.is_manual and target.cell_type == old.cell_type and "attachments" in old:
        made["attachments"] = old["attachments"]
    return made
