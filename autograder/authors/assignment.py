"""What was asked: the cells of a notebook that have an identity, whole and released."""

from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import nbformat
from nbformat import NotebookNode

from ..course import Course, CourseError
from . import pairs, steps


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
    """What was asked: a notebook from its source to what students got of it."""

    course: Course
    name: str
    source: NotebookNode
    complete: NotebookNode  # without solutions, with the hidden tests: for gradebooks
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
    """Read what is asked in notebook `name`, as it would be released now.

    Raises:
        CourseError: if the executed notebook is not up to its text, or nbgrader
            refuses it.
    """
    source = pairs.build(course, name)
    stale = pairs.problems(course, name, source)
    if stale:
        advice = f"run: python -m autograder sync {name}"
        raise CourseError("\n".join([*stale, advice]))
    config = steps.load_config(course)
    complete = steps.apply(config, steps.COMPLETE, deepcopy(source), name)
    released = steps.apply(config, steps.RELEASED, deepcopy(complete), name)
    # As it comes from its file, with metadata in the order in which they are written.
    released = nbformat.reads(pairs.to_text(released), as_version=4)
    return Assignment(course, name, source, complete, released)


def label_of(cell: NotebookNode) -> str | None:
    """Return the `grade_id` of a cell, or None where it has none."""
    return cell.metadata.get("nbgrader", {}).get("grade_id")
