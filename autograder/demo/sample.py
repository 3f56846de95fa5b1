"""A class that exists to prove the grading: small files, built on demand.

`sample_class/NN_topic/STUDENT.txt` says what a student hands in, and its worth::

    # Forgets the step size.
    # base: solution
    # scores: euler_step 0
    # %% known euler_step -- the step size h is missing
    # %% cell after euler_step
    print("an own cell")

The first line is the story; `base` is `solution` or `untouched`; `scores` names the
exercises that do not earn what the base earns (`less`: not everything); `reason` is
text that the table must show; `needs: sandbox` says that without one this student would
earn, or harm, more. Then come the changes:

* ``answer NAME``: the code below is the answer; ``known NAME -- TITLE``: the answer of
  that title in `solutions/NN/answers.py` (without a title: the first wrong one);
* ``cell before|after NAME``: a further cell with the code below; ``text``: with prose;
* ``source NAME``: the code below stands in a locked cell;
* ``delete NAME ...``, ``double NAME``, ``retype NAME``, ``label NAME OTHER``;
* ``file KIND``: the whole file is something else (see `_FILES`).
"""

import copy
import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from ..authors import answers, pairs
from ..authors.assignment import Assignment
from ..classroom.gradebook import Classroom
from ..course import Course, CourseError

MARKERS = re.compile(r"^.*### (BEGIN|END) (SOLUTION|MARK SCHEME).*\n?", re.M)
SCHEME = re.compile(r"### BEGIN MARK SCHEME.*?### END MARK SCHEME", re.S)


@dataclass
class Handed:
    """What a student hands in, and what it is worth."""

    student: str
    story: str
    base: str = "solution"
    scores: dict[str, float | None] = field(default_factory=dict)
    reason: str = ""
    needs_sandbox: bool = False
    changes: list[tuple[str, str]] = field(default_factory=list)

    def expected(self, asked: Assignment) -> dict[str, float | None]:
        """Return the score of every exercise with tests; None is less than all."""
        full = self.base == "solution"
        base: dict[str, float | None] = {
            test.exercise: test.points if full else 0.0 for test in asked.tests
        }
        if "*" in self.scores:
            base = dict.fromkeys(base, self.scores["*"])
        return base | {k: v for k, v in self.scores.items() if k != "*"}


def read(path: Path) -> Handed:
    """Read the file of one student.

    Raises:
        CourseError: if it is not written as it should be.
    """
    head, *cells = re.split(r"^# %% ?", path.read_text(encoding="utf-8"), flags=re.M)
    story, *lines = [line.lstrip("# ").strip() for line in head.strip().splitlines()]
    handed = Handed(path.stem, story)
    for line in lines:
        key, colon, value = line.partition(":")
        value = value.strip()
        if key == "base" and value in ("solution", "untouched"):
            handed.base = value
        elif key == "scores":
            for one in value.split(","):
                name, score = one.split()
                handed.scores[name] = None if score == "less" else float(score)
        elif key == "reason":
            handed.reason = value
        elif key == "needs" and value == "sandbox":
            handed.needs_sandbox = True
        elif colon and " " not in key:
            raise CourseError(f"{path}: unknown key {key!r}")
        else:
            handed.story += " " + line
    for cell in cells:
        order, _, body = cell.partition("\n")
        handed.changes.append((order.strip(), body.strip("\n")))
    return handed


def folder_of(course: Course) -> Path:
    """Return where the sample classes lie, a folder for each notebook."""
    return course.autograder / "demo" / "sample_class"


def students(folder: Path) -> list[Handed]:
    """Read all students of a folder, in order."""
    return [read(path) for path in sorted(folder.glob("*.txt"))]


def write(room: Classroom, asked: Assignment, one: Handed) -> None:
    """Write the submission of one student."""
    notebook = (
        solved(asked) if one.base == "solution" else copy.deepcopy(asked.released)
    )
    target = room.submission(one.student, asked.name)
    if target.parent.is_symlink():
        target.parent.unlink()
    shutil.rmtree(target.parent, ignore_errors=True)
    target.parent.mkdir(parents=True)
    after: list[Callable[[Path], None]] = []
    for order, body in one.changes:
        verb, *words = order.split()
        if verb == "file":
            after.append(_FILES[words[0]])
        elif verb == "known":
            title = order.partition(" -- ")[2].strip()
            code = _known(asked, words[0], title)
            _cell(notebook, words[0]).source = code
        else:
            _CHANGES[verb](notebook, words, body)
    target.write_text(pairs.to_text(notebook), encoding="utf-8")
    for change in after:
        change(target)


def solved(asked: Assignment) -> NotebookNode:
    """Return the release with every answer typed in."""
    notebook = copy.deepcopy(asked.released)
    for cell, source in zip(notebook.cells, asked.source.cells):
        if cell.metadata.get("nbgrader", {}).get("solution"):
            cell.source = MARKERS.sub("", SCHEME.sub("", source.source)).strip()
    return notebook


def _known(asked: Assignment, exercise: str, title: str) -> str:
    for answer in answers.read(asked.course, asked.name):
        wanted = answer.title == title if title else answer.kind == "wrong"
        if answer.exercise == exercise and wanted:
            return answer.source
    path = asked.course.answers(asked.name)
    raise CourseError(f"{path} has no answer {title!r} of {exercise}")


# --------------------------------------------------------------- changes to a notebook


def _index(notebook: NotebookNode, name: str) -> int:
    for index, cell in enumerate(notebook.cells):
        if cell.metadata.get("nbgrader", {}).get("grade_id") == name:
            return index
    raise CourseError(f"no cell {name}")


def _cell(notebook: NotebookNode, name: str) -> NotebookNode:
    return notebook.cells[_index(notebook, name)]


def _set_source(notebook: NotebookNode, words: list[str], body: str) -> None:
    _cell(notebook, words[0]).source = body


def _insert(notebook: NotebookNode, words: list[str], body: str) -> None:
    where, name = words
    at = _index(notebook, name) + (where == "after")
    notebook.cells.insert(at, nbformat.v4.new_code_cell(body))


def _insert_text(notebook: NotebookNode, words: list[str], body: str) -> None:
    where, name = words
    at = _index(notebook, name) + (where == "after")
    notebook.cells.insert(at, nbformat.v4.new_markdown_cell(body))


def _delete(notebook: NotebookNode, words: list[str], _: str) -> None:
    for name in words:
        del notebook.cells[_index(notebook, name)]


def _double(notebook: NotebookNode, words: list[str], body: str) -> None:
    at = _index(notebook, words[0])
    twin = copy.deepcopy(notebook.cells[at])
    twin["id"] = f"{twin['id'][:50]}-twin"
    twin.source = body or twin.source
    notebook.cells.insert(at + 1, twin)


def _retype(notebook: NotebookNode, words: list[str], _: str) -> None:
    at = _index(notebook, words[0])
    old = notebook.cells[at]
    new = nbformat.v4.new_markdown_cell(old.source, metadata=old.metadata)
    notebook.cells[at] = new


def _relabel(notebook: NotebookNode, words: list[str], _: str) -> None:
    _cell(notebook, words[0]).metadata.nbgrader.grade_id = words[1]


def _points(notebook: NotebookNode, words: list[str], _: str) -> None:
    _cell(notebook, words[0]).metadata.nbgrader.points = float(words[1])


_CHANGES = {
    "answer": _set_source,
    "source": _set_source,
    "cell": _insert,
    "text": _insert_text,
    "delete": _delete,
    "double": _double,
    "retype": _retype,
    "label": _relabel,
    "points": _points,
}


# --------------------------------------------------------------- changes to the file


def _not_json(path: Path) -> None:
    path.write_text("Dear Sir or Madam, my notebook is attached.\n", encoding="utf-8")


def _not_a_notebook(path: Path) -> None:
    path.write_text(json.dumps({"answer": [1, 2, 3]}), encoding="utf-8")


def _deep_json(path: Path) -> None:
    path.write_text('{"nbformat": 4, "cells": ' + "[" * 100_000, encoding="utf-8")


def _odd_cells(path: Path) -> None:
    cells = [{"cell_type": "code", "source": {"a": 1}}, 7, None]
    path.write_text(json.dumps({"nbformat": 4, "cells": cells}), encoding="utf-8")


def _nbformat_3(path: Path) -> None:
    notebook = nbformat.convert(nbformat.read(path, as_version=4), 3)
    path.write_text(json.dumps(notebook), encoding="utf-8")


def _extra(path: Path) -> None:
    shutil.copy(path, path.with_name("Untitled.ipynb"))


def _other_name(path: Path) -> None:
    path.rename(path.with_name("my_notebook.ipynb"))


def _link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


def _linked_folder(path: Path) -> None:
    elsewhere = path.parent.with_name("elsewhere")
    shutil.rmtree(elsewhere, ignore_errors=True)
    path.parent.rename(elsewhere)
    path.parent.symlink_to(elsewhere, target_is_directory=True)


def _huge(path: Path) -> None:
    with open(path, "r+b") as file:
        file.truncate(200 << 20)  # sparse: it needs no space on the disk


def _huge_cell(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(nbformat.v4.new_markdown_cell("long " * 600_000))
    nbformat.write(notebook, path)


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


_FILES: dict[str, Callable[[Path], None]] = {
    "not-json": _not_json,
    "not-a-notebook": _not_a_notebook,
    "deep-json": _deep_json,
    "odd-cells": _odd_cells,
    "nbformat-3": _nbformat_3,
    "extra": _extra,
    "other-name": _other_name,
    "link": _link,
    "linked-folder": _linked_folder,
    "huge": _huge,
    "huge-cell": _huge_cell,
    "pipe": _pipe,
}
