"""The trusted step before execution: whatever came becomes an orderly notebook.

A submission is a file from a stranger. It is parsed with limits, reduced to cells that
hold text, and what was locked is put back from the source: tests that were edited,
deleted, doubled or re-labelled.
"""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from ..authors import pairs
from ..authors.assignment import Assignment, Graded, label_of
from ..course import MAX_SUBMISSION

MAX_CELLS = 2000
MAX_SOURCE = 2 << 20
BASE64 = re.compile(r"[A-Za-z0-9+/=\s]*")


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
    if size > MAX_SUBMISSION:
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
        name = label_of(cell)
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


def _untouched(target: Graded, cell: NotebookNode) -> bool:
    return cell.source.strip() == target.visible.strip()


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
    maker = {
        "code": nbformat.v4.new_code_cell,
        "markdown": nbformat.v4.new_markdown_cell,
    }[target.cell_type]
    made = maker(source, metadata=nbformat.from_dict(dict(target.metadata)))
    if target.is_manual and target.cell_type == old.cell_type and "attachments" in old:
        made["attachments"] = old["attachments"]
    return made
