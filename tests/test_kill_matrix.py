"""Every wrong answer loses points, every right one gets them all.

The table of both is kept in `tests/kill_matrix.md`: `make kill-matrix` writes it, and
the last test here fails where it is out of date.
"""

import ast
import functools
import re

import notebooks
import pytest

from autograder.demo import sample
from odenets import check

STUB = "raise NotImplementedError()"
TABLE = notebooks.ROOT / "tests" / "kill_matrix.md"
ALL = [exercise for name in notebooks.NAMES for exercise in notebooks.exercises(name)]


@functools.cache
def names_of(notebook: str) -> dict:
    return notebooks.namespace(notebook)


@functools.cache
def outcomes(exercise: notebooks.Exercise) -> dict:
    """Grade all answers to an exercise once."""
    return {
        answer: notebooks.grade(exercise, answer.source, names_of(exercise.notebook))
        for answer in notebooks.answers(exercise.notebook)
        if answer.exercise == exercise.name
    }


def by_name(exercise: notebooks.Exercise) -> str:
    return f"{exercise.notebook[:2]}-{exercise.name}"


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setenv("ODENETS_SCALE", "quick")
    monkeypatch.delenv(check.RECORDS, raising=False)


@pytest.mark.parametrize("exercise", ALL, ids=by_name)
def test_the_solution_earns_all_points(exercise):
    outcome = notebooks.grade(exercise, exercise.answer, names_of(exercise.notebook))
    assert outcome.score == exercise.points, outcome.shown
    assert type(outcome.score) is float


@pytest.mark.parametrize("exercise", ALL, ids=by_name)
def test_an_untouched_answer_earns_nothing(exercise):
    answer = re.sub(
        r"^( *)### BEGIN SOLUTION.*?### END SOLUTION",
        rf"\1{STUB}",
        exercise.answer,
        flags=re.M | re.S,
    )
    assert STUB in answer
    for stub in (answer, STUB):
        outcome = notebooks.grade(exercise, stub, names_of(exercise.notebook))
        assert outcome.score == 0.0, outcome.shown


ATTACKS = notebooks.ROOT / "tests" / "attacks" / "01_resnets_as_euler"
ANYTHING = sample.read(ATTACKS / "object_for_everything.txt").changes[0][1]


@pytest.mark.parametrize("exercise", ALL, ids=by_name)
@pytest.mark.parametrize(
    "value", ["Anything()", "Anything().same", "lambda *a, **k: None"]
)
def test_an_answer_that_does_nothing_earns_nothing(exercise, value):
    """So a side condition (the input is left unchanged) is asked with a result."""
    kinds = (ast.FunctionDef, ast.ClassDef)
    asked = [n.name for n in ast.parse(exercise.answer).body if isinstance(n, kinds)]
    assert asked
    answer = f"{ANYTHING}\n{' = '.join(asked)} = {value}"
    outcome = notebooks.grade(exercise, answer, names_of(exercise.notebook))
    assert outcome.score == 0.0, outcome.shown


@pytest.mark.parametrize("exercise", ALL, ids=by_name)
def test_wrong_answers_lose_and_right_ones_do_not(exercise):
    graded = outcomes(exercise)
    kinds = [answer.kind for answer in graded]
    assert kinds.count("wrong") >= 4, "at least four named wrong answers"
    assert kinds.count("right") >= 2, "at least two right answers written differently"
    for answer, outcome in graded.items():
        told = f"{answer.kind}: {answer.title}\n{outcome.shown}"
        if answer.kind == "right":
            assert outcome.score == exercise.points, told
        else:
            assert outcome.score < exercise.points, told


def test_every_answer_belongs_to_an_exercise():
    for name in notebooks.NAMES:
        known = {exercise.name for exercise in notebooks.exercises(name)}
        assert {answer.exercise for answer in notebooks.answers(name)} <= known


def first_complaint(shown: str) -> str:
    """The first failed check and, where it was recognised, the misconception."""
    lines = shown.splitlines()
    for place, line in enumerate(lines):
        if line.startswith("  ✗ "):
            said = line.removeprefix("  ✗ ")
            for more in lines[place + 1 :]:
                if not more.startswith("      "):
                    break
                if re.match(r" *(this is what|usual mistake|your answer)", more):
                    said += " - " + re.sub(r"0x[0-9a-f]+", "...", more.strip())
                    break
            return said.replace("|", "\\|")
    return "-"


def table(exercises: list[notebooks.Exercise]) -> str:
    lines = [
        "# The kill matrix",
        "",
        "Made by `tests/test_kill_matrix.py`: each wrong answer in",
        "`solutions/*/answers.py` loses points, each right one gets all. The last",
        "column is the first thing that the student is told.",
    ]
    for name in notebooks.NAMES:
        lines += ["", f"## {name}", ""]
        lines += ["| exercise | answer | score | said |", "|---|---|---|---|"]
        for exercise in exercises:
            if exercise.notebook != name:
                continue
            for answer, outcome in outcomes(exercise).items():
                title = answer.title.replace("|", "\\|")
                lines.append(
                    f"| {exercise.name} | {answer.kind}: {title} "
                    f"| {outcome.score:g} / {exercise.points:g} "
                    f"| {first_complaint(outcome.shown)} |"
                )
    return "\n".join(lines) + "\n"


def test_the_table_is_up_to_date(request):
    computed = table(ALL)
    if request.config.getoption("--write-kill-matrix"):
        TABLE.write_text(computed)
    assert TABLE.read_text() == computed, "run: make kill-matrix"
