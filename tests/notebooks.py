"""What the tests know of the notebooks: their cells, exercises and answers."""

import contextlib
import io
import linecache
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


@dataclass(frozen=True)
class Outcome:
    """What a test cell gave: the score, and the text that the student sees."""

    score: Any
    shown: str


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


def namespace(name: str) -> dict[str, Any]:
    """Execute the set-up cell of a notebook and return what it defines."""
    names: dict[str, Any] = {"__name__": "__main__"}
    run(code_cells(name)[0], "<set-up>", names)
    return names


def run(source: str, filename: str, names: dict[str, Any]) -> None:
    lines = source.splitlines(keepends=True)
    linecache.cache[filename] = (len(source), None, lines, filename)
    exec(compile(source, filename, "exec"), names)


def grade(exercise: Exercise, answer: str, names: dict[str, Any]) -> Outcome:
    """Run an answer and its test cell as a notebook would."""
    names = dict(names)
    shown = io.StringIO()
    body, last = exercise.test.rstrip().rsplit("\n", 1)
    with contextlib.redirect_stdout(shown):
        # An answer that cannot even be executed leaves its name undefined.
        with contextlib.suppress(Exception):
            run(answer, "<answer>", names)
        run(body, "<test>", names)
        score = eval(last, names)
    return Outcome(score, shown.getvalue())
