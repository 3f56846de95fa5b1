# ruff: noqa: E501 - the notebook in it has long lines
"""A small course to try the instructor's side on, and classes for it."""

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
import numpy as np
import pytest

from autograder.authors import pairs
from autograder.authors.assignment import Assignment, assignment
from autograder.classroom import report
from autograder.classroom.gradebook import Classroom
from autograder.course import Course
from autograder.demo import sample
from autograder.grading import grade
from autograder.worker import sandbox
from odenets.check import mistakes

ROOT = Path(__file__).resolve().parent.parent
REAL = Course(ROOT)
TINY = "01_tiny"
JOBS = min(4, os.cpu_count() or 1)
QUICK = sandbox.Limits(cell_seconds=20, notebook_seconds=90)


def _no_sandbox() -> str:
    try:
        sandbox.bubblewrap()
    except sandbox.NoSandboxError as error:
        return str(error)
    return ""


needs_bubblewrap = pytest.mark.skipif(_no_sandbox() != "", reason=_no_sandbox() or "-")
SOURCE = '''# %% [markdown]
# # 01 - A tiny notebook
#
# **The question.** Does it run?

# %%
import importlib.util
import torch
if importlib.util.find_spec("odenets") is None:  # on Colab: install the course's package
    get_ipython().run_line_magic("pip", "install -q git+REPOSITORY#subdirectory=course")
from odenets import check, scale, solvers
scale.use("lesson");

# %% [markdown]
# ## Given

# %%
offset = 3
print("three is", offset)

# %% nbgrader={"grade": false, "grade_id": "double", "locked": false, "schema_version": 3, "solution": true, "task": false}
def double(x):
    """Return twice `x`."""
    ### BEGIN SOLUTION
    twice_as_much = x + x
    return twice_as_much
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "test_double", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
@check.exercise(
    "double",
    points=2,
    answer=lambda: double,
    package=solvers.euler_step,
    further=1,
)
def exercise(checks):
    half = torch.full((2,), 0.5)
    checks.close("twice one half", lambda: double(half), torch.ones(2))
    ### BEGIN HIDDEN TESTS
    concealed = torch.tensor([7.0, -3.0])
    checks.close("negative numbers too", lambda: double(concealed), 2 * concealed)
    ### END HIDDEN TESTS
check.score(exercise)

# %%
my_double = check.yours(exercise)
print(my_double.__name__)

# %% nbgrader={"grade": false, "grade_id": "refuse", "locked": false, "schema_version": 3, "solution": true, "task": false}
def refuse(x):
    """Raise a ValueError for a negative number, else return its root."""
    ### BEGIN SOLUTION
    if x < 0:
        raise ValueError("negative numbers have no real root")
    return x**0.5
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "test_refuse", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
@check.exercise("refuse", points=3, further=1)
def exercise(checks):
    checks.between("the root of four", lambda: refuse(4.0), 1.99, 2.01)
    checks.raises("a negative number", lambda: refuse(-1.0), ValueError)
    ### BEGIN HIDDEN TESTS
    checks.at_most("the error of the root of two", lambda: abs(refuse(2.0) ** 2 - 2), 1e-9)
    ### END HIDDEN TESTS
check.score(exercise)

# %% [markdown] nbgrader={"grade": true, "grade_id": "why", "locked": false, "points": 1, "schema_version": 3, "solution": true, "task": false}
# Because a model answer says so.
#
# ### BEGIN MARK SCHEME
# One point for the magic word.
# ### END MARK SCHEME
'''

QUESTION = """
# %% [markdown] nbgrader={"grade": false, "grade_id": "question_depth", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": true}
# ### Question 1.4 - How deep? (2 points, ~3 min)
# How deep is it?
#
# ### BEGIN MARK SCHEME
# Two points for abyssal.
# ### END MARK SCHEME

# %% [markdown]
# *Your answer to question 1.4: double-click here and write.*

# %% [markdown]
# ## Recap
"""
PLACEHOLDER = "*Your answer to question 1.4: double-click here and write.*"

NAMES = {
    "double": {
        "checks": ["twice one half"],
        "mistakes": [
            {
                "title": "it is squared",
                "came": [mistakes.fingerprint({"observed": np.float32([0.25, 0.25])})],
            }
        ],
    }
}
"""What the package would know of the mistakes in it."""


def course(folder: Path, source: str = SOURCE) -> Course:
    """Write a course with one tiny notebook, not yet executed."""
    for name in ("solutions", "course", "autograder"):
        (folder / name).mkdir(parents=True)
    for name in ("pyproject.toml", "jupytext.toml", "autograder/nbgrader_config.py"):
        shutil.copy(ROOT / name, folder / name)
    made = Course(folder)
    made.source(TINY).parent.mkdir()
    made.source(TINY).write_text(source, encoding="utf-8")
    return made


def executed(folder: Path, source: str = SOURCE) -> Course:
    """Write the same with its executed twin."""
    made = course(folder, source)
    made.solution(TINY).write_bytes(_twin(source))
    return made


@functools.cache
def _twin(source: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        made = course(Path(folder) / "course", source)
        pairs.sync(made, TINY)
        return made.solution(TINY).read_bytes()


def hand_in(where: Course, room: Classroom, name: str, **students: str) -> Assignment:
    """Let students hand in the solution with changes, written as `sample` reads them."""
    asked = assignment(where, name)
    for student, text in students.items():
        path = room.root / f"{student}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# A student.\n{text}", encoding="utf-8")
        sample.write(room, asked, sample.read(path))
    return asked


def write(room, student, *texts, after=PLACEHOLDER):
    """Let a student write texts into cells of their own, the first in its place."""
    path = room.submission(student, TINY)
    notebook = nbformat.read(path, as_version=4)
    (at,) = (i for i, c in enumerate(notebook.cells) if c.source == after)
    cells = [nbformat.v4.new_markdown_cell(text) for text in texts]
    notebook.cells[at : at + 1] = cells
    nbformat.write(notebook, path)


def by_hand(room, student, cell, points, comment=""):
    with room.gradebook() as book:
        grade = book.find_grade(cell, TINY, TINY, student)
        grade.manual_score, grade.needs_manual_grade = points, False
        if comment:
            book.find_comment(cell, TINY, TINY, student).manual_comment = comment
        book.db.commit()


def graded(where: Course, room: Classroom, name: str, **options) -> grade.Graded:
    """Grade a class quickly and quietly."""
    chosen = {"jobs": JOBS, "limits": QUICK, "quiet": True} | options
    fate = grade.grade(assignment(where, name), room, grade.Options(**chosen))
    assert not fate.failed
    return fate


def rows(room: Classroom, name: str) -> dict[str, report.Row]:
    return {row.student: row for row in report.rows(room, name)}


def run_autograder(where: Course, *arguments: str, **more) -> subprocess.Popen:
    """Start `python -m autograder` in a course."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "100"}
    environment |= more.pop("env", {})
    command = [sys.executable, "-m", "autograder", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(
        command, cwd=where.root, env=environment, **{**pipes, **more}
    )
