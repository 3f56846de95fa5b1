"""What the tests know of the notebooks: their cells, exercises and answers."""

from dataclasses import dataclass
from pathlib import Path

import jupytext

from autograder.authors.answers import Answer
from autograder.authors.answers import read as read_answers
from autograder.course import Course

ROOT = Path(__file__).resolve().parent.parent
SOLUTIONS = ROOT / "solutions"
COURSE = Course(ROOT)
NAMES = COURSE.notebooks()


@dataclass(frozen=True)
class Exercise:
    """A graded exercise: the sources of its answer cell and of its test cell."""

    notebook: str
    name: str
    points: float
    answer: str
    test: str


def read(name: str):
    """Return the notebook node of a solution's source."""
    return jupytext.read(SOLUTIONS / name / f"{name}.py")


def code_cells(name: str) -> list[str]:
    return [cell.source for cell in read(name).cells if cell.cell_type == "code"]


def exercises(name: str) -> list[Exercise]:
    """Return the exercises with a test cell, in order."""
    cells = {
        cell.metadata["nbgrader"]["grade_id"]: cell
        for cell in read(name).cells
        if "nbgrader" in cell.metadata
    }
    return [
        Exercise(
            notebook=name,
            name=grade_id.removeprefix("test_"),
            points=float(cell.metadata["nbgrader"]["points"]),
            answer=cells[grade_id.removeprefix("test_")].source,
            test=cell.source,
        )
        for grade_id, cell in cells.items()
        if cell.cell_type == "code" and cell.metadata["nbgrader"]["grade"]
    ]


def answers(name: str) -> list[Answer]:
    """Return the named answers, wrong and right, to the exercises of a notebook."""
    return read_answers(COURSE, name)
