"""nbgrader's exchange with this course: released, fetched, handed in, graded, returned.

Its stock commands run, each as on a hub where instructor and students share a folder.
"""

import os
import shutil
import subprocess
import sys

import nbformat
from grading_tools import TINY, executed, graded, needs_bubblewrap, rows

from autograder.authors import release
from autograder.classroom.gradebook import Classroom

pytestmark = needs_bubblewrap


def nbgrader(folder, exchange, *arguments):
    """Run a command of nbgrader in a folder, and return what it says."""
    command = [sys.executable, "-m", "nbgrader", *arguments]
    command += [f"--Exchange.root={exchange}"]
    home = {"HOME": str(folder), "JUPYTER_CONFIG_DIR": str(folder / ".jupyter")}
    done = subprocess.run(
        command, cwd=folder, env=os.environ | home, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_there_and_back_again(tmp_path):
    course = executed(tmp_path / "course")
    release.release(course, TINY)
    exchange = tmp_path / "exchange"
    exchange.mkdir()
    exchange.chmod(0o777)
    teacher, student = course.autograder, tmp_path / "student"
    student.mkdir()
    named = "--course=odenets"

    nbgrader(teacher, exchange, "release_assignment", TINY)
    assert TINY in nbgrader(student, exchange, "list", named)
    nbgrader(student, exchange, "fetch_assignment", TINY, named)
    path = student / TINY / f"{TINY}.ipynb"
    assert path.read_bytes() == course.release(TINY).read_bytes()
    assert not list(student.glob(f"{TINY}/*.py")), "a text twin is not handed out"

    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("grade_id") == "double":
            cell.source = "def double(x):\n    return 2 * x"
    nbformat.write(notebook, path)
    nbgrader(student, exchange, "submit", TINY, named)
    nbgrader(teacher, exchange, "collect", TINY)

    room = Classroom(teacher)
    (who,) = room.students(TINY)
    assert room.timestamp(who, TINY)[0] is not None
    graded(course, room, TINY)
    assert rows(room, TINY)[who].total == 2

    nbgrader(teacher, exchange, "release_feedback", TINY)
    nbgrader(student, exchange, "fetch_feedback", TINY, named)
    (page,) = (student / TINY / "feedback").rglob("*.html")
    assert page.read_bytes() == room.feedback(who, TINY).read_bytes()
    shutil.rmtree(exchange)
