"""Grading again: said before it is written, and nothing that a person gave is lost."""

import re
import shutil
import subprocess
import sys

import nbformat
import pytest
from grading_tools import (
    PLACEHOLDER,
    QUESTION,
    SOURCE,
    TINY,
    by_hand,
    executed,
    graded,
    hand_in,
    needs_bubblewrap,
    rows,
    run_autograder,
    write,
)

from autograder.authors.assignment import assignment
from autograder.classroom import written
from autograder.classroom.gradebook import Classroom

pytestmark = needs_bubblewrap


@pytest.fixture(scope="module")
def asking(tmp_path_factory):
    """The tiny course, and below it a question as the notebooks ask them."""
    return executed(tmp_path_factory.mktemp("course"), SOURCE + QUESTION)


@pytest.fixture(scope="module")
def once(asking, tmp_path_factory):
    room = Classroom(tmp_path_factory.mktemp("class"))
    square = "# base: solution\n# %% answer double\ndef double(x):\n    return x**2"
    hand_in(asking, room, TINY, ada="# base: solution", bob=square)
    write(room, "ada", "It is **abyssal**.")
    graded(asking, room, TINY)
    return room


@pytest.fixture
def room(once, tmp_path):
    shutil.copytree(once.root, tmp_path / "class")
    return Classroom(tmp_path / "class")


def snapshot(room):
    """All that a run could write, as bytes; locks and the cache aside."""
    files = [p for p in room.root.rglob("*") if p.is_file() and p.name[0] != "."]
    return {path: path.read_bytes() for path in files}


def test_nothing_written_is_nothing_to_read(asking, room):
    table = rows(room, TINY)
    assert table["ada"].scores == {
        "double": 2,
        "refuse": 3,
        "why": None,
        "question_depth": None,
    }
    assert table["bob"].scores["question_depth"] == 0
    with room.gradebook() as book:
        for student, waits in (("ada", True), ("bob", False)):
            grade = book.find_grade("question_depth", TINY, TINY, student)
            assert grade.needs_manual_grade is waits
            assert grade.auto_score == (None if waits else 0)


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        ([f"{PLACEHOLDER}\n\nDeep."], "Deep."),
        (["Deep.", "And dark."], "Deep.\n\nAnd dark."),
        ([PLACEHOLDER + "  "], ""),
        ([PLACEHOLDER.replace("*", "_") + " x"], None),
    ],
)
def test_an_answer_is_found_below_its_question(asking, room, texts, found):
    write(room, "bob", *texts)
    own = written.answers(asked := assignment(asking, TINY), _read(room, "bob"))
    said = written.text(asked, own["question_depth"])
    assert said == found if found is not None else said.endswith("x")


def _read(room, student):
    return nbformat.read(room.submission(student, TINY), as_version=4)


def test_an_answer_in_another_place_is_seen_by_a_person(asking, room):
    write(room, "bob", "## Recap", "My answer to 1.4: abyssal.", after="## Recap")
    graded(asking, room, TINY)
    assert rows(room, TINY)["bob"].scores["question_depth"] is None
    result = room.read_result("bob", TINY)
    assert "abyssal" in result["answers"]["question_depth"]


def test_a_dry_run_says_all_and_writes_nothing(asking, room):
    by_hand(room, "ada", "question_depth", 1.5)
    path = room.submission("bob", TINY)
    path.write_text(path.read_text().replace("x**2", "2 * x"))
    write(room, "ada", "Something else.", after="It is **abyssal**.")
    hand_in(asking, room, TINY, eve="# base: untouched")
    before = snapshot(room)
    command = ["grade", "--dry-run", "--folder", str(room.root)]
    trial = run_autograder(asking, *command)
    said = trial.communicate(timeout=300)[0]
    assert trial.returncode == 0, said
    assert snapshot(room) == before
    assert "graded again 2, 2 of them change" in said
    assert "bob: 3 and ? -> 5 and ?" in said
    assert "double 0 -> 2: test 'twice one half' holds now" in said
    assert "hidden test 'negative numbers too' holds now" in said
    assert "ada: 6.5 and ? -> 5 and ?" in said
    assert "question_depth 1.5 -> ?: the 1.5 given by hand was for another" in said
    assert "graded for the first time 1" in said and "eve: 0" in said

    run = run_autograder(asking, "grade", "--folder", str(room.root))
    again = run.communicate(timeout=300)[0]
    assert re.search(r"double 0 -> 2.*students? .*total", again, re.S), "said first"
    assert rows(room, TINY)["bob"].scores["double"] == 2


def test_points_by_hand_stay_and_an_answer_that_changed_is_read_again(asking, room):
    by_hand(room, "ada", "question_depth", 1.5, "Good.")
    by_hand(room, "ada", "why", 1.0)
    by_hand(room, "bob", "test_double", 1.0)
    graded(asking, room, TINY, force=True)
    table = rows(room, TINY)
    assert table["ada"].scores["question_depth"] == 1.5 and not table["ada"].waits
    assert table["bob"].scores["double"] == 1.0

    write(room, "ada", PLACEHOLDER, after="It is **abyssal**.")
    fate = graded(asking, room, TINY)
    assert "now nothing is written" in fate.changes[0].lines[0]
    for _ in range(2):  # it is not forgotten by grading once more
        table = rows(room, TINY)
        assert table["ada"].scores["question_depth"] is None
        assert table["ada"].scores["why"] == 1.0
        with room.gradebook() as book:
            grade = book.find_grade("question_depth", TINY, TINY, "ada")
            assert grade.manual_score == 1.5 and grade.needs_manual_grade
            assert book.find_submission(TINY, "ada").needs_manual_grade
        graded(asking, room, TINY, force=True)


def test_a_file_that_cannot_be_read_any_more_is_a_change_too(asking, room):
    by_hand(room, "ada", "question_depth", 1.5)
    by_hand(room, "ada", "why", 1.0)
    room.submission("ada", TINY).write_text("{")
    (change,) = graded(asking, room, TINY).changes
    assert change.before.total == 7.5 and change.after.total == 0 and change.after.waits
    assert rows(room, TINY)["ada"].waits


def test_the_copy_tells_what_was_read_where_no_result_does(asking, room):
    by_hand(room, "ada", "question_depth", 1.5)
    shutil.rmtree(room.root / "results")
    write(room, "ada", "Shallow.", after="It is **abyssal**.")
    graded(asking, room, TINY)
    assert rows(room, TINY)["ada"].scores["question_depth"] is None
    shutil.rmtree(room.root / "results")
    by_hand(room, "ada", "question_depth", 0.5)
    graded(asking, room, TINY)
    assert rows(room, TINY)["ada"].scores["question_depth"] == 0.5


def test_tests_that_find_something_else_do_not_move_points_by_hand(asking, room):
    by_hand(room, "bob", "test_double", 1.0)
    path = room.submission("bob", TINY)
    path.write_text(path.read_text().replace("x**2", "2 * x"))
    (change,) = graded(asking, room, TINY).changes
    said = "double stays 1, given by hand; the tests give 2 instead of 0"
    assert change.lines == (said,) and rows(room, TINY)["bob"].scores["double"] == 1


def test_the_mark_scheme_stands_in_no_copy_and_no_feedback(asking, room):
    write(room, "ada", "### BEGIN MARK SCHEME", after="It is **abyssal**.")
    graded(asking, room, TINY)
    copy = nbformat.read(room.autograded("ada", TINY), as_version=4)
    (question,) = (c.source for c in copy.cells if "How deep is it?" in c.source)
    assert "Two points for abyssal." not in question
    assert "abyssal" not in room.feedback("ada", TINY).read_text()
    folders = [f"--CourseDirectory.root={room.root}", "--force"]
    folders += [f"--CourseDirectory.db_url={room.url}"]
    command = [sys.executable, "-m", "nbgrader", "generate_feedback", TINY, *folders]
    done = subprocess.run(
        command, cwd=asking.autograder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    page = room.feedback("ada", TINY).read_text()
    assert "How deep is it?" in page and "Two points for abyssal" not in page
