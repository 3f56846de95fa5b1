"""`doctor` says what a machine can protect, what it lacks, and what mends it."""

import os
import sys

import pytest
from grading_tools import REAL, course, needs_bubblewrap, run_autograder

from autograder.grading import doctor
from autograder.worker import sandbox


def findings(where=REAL, jobs=1):
    return {one.what: one for one in doctor.look(where, jobs)}


@pytest.fixture
def no_trial(monkeypatch):
    """The trial starts a kernel, which takes seconds."""
    said = doctor.Finding("trial", doctor.GOOD, "")
    monkeypatch.setattr(doctor, "_trial", lambda course, contained: said)


def program(path, lines):
    path.write_text("#!/bin/sh\n" + lines)
    path.chmod(0o755)
    return str(path)


@needs_bubblewrap
def test_a_machine_with_everything():
    process = run_autograder(REAL, "doctor", "--jobs", "1")
    said = process.communicate(timeout=300)[0]
    lines = {line[7:].split()[0]: line for line in said.splitlines()[:-1]}
    looked_at = "system bubblewrap limits trial memory disk packages nbgrader cluster"
    assert list(lines) == [*looked_at.split(), "chromium"], said
    assert lines["bubblewrap"].startswith("good")
    assert "the kernel gives it namespaces" in lines["bubblewrap"]
    assert lines["trial"].startswith("good") and "reached nothing" in lines["trial"]
    lacking = [line for line in lines.values() if line.startswith(doctor.LACKS)]
    assert process.returncode == int(bool(lacking))
    assert lacking or said.splitlines()[-1] == "Grade as you like."


def test_without_bubblewrap(monkeypatch, no_trial):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(sandbox, "_programs", lambda: iter(()))
    found = findings()["bubblewrap"]
    assert found.state == doctor.LACKS and "apt install bubblewrap" in str(found)
    assert "\n" not in str(found)


def test_where_namespaces_are_refused(monkeypatch, no_trial, tmp_path):
    said = "bwrap: No permissions to create a new namespace"
    bwrap = program(tmp_path / "bwrap", f"echo '{said}' >&2\nexit 1\n")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(sandbox, "_programs", lambda: iter([bwrap]))
    found = findings()["bubblewrap"]
    assert found.state == doctor.LACKS
    assert (
        said in str(found) and "sysctl" in str(found) and "--privileged" in str(found)
    )


def test_where_it_comes_from(monkeypatch, no_trial, tmp_path):
    bwrap = program(tmp_path / "bwrap", "echo bubblewrap 9.9\n")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(sandbox, "_programs", lambda: iter([bwrap]))
    assert "bubblewrap 9.9 (it came with" in findings()["bubblewrap"].said
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "bubblewrap 9.9 (the system's)" in findings()["bubblewrap"].said


def test_a_cell_without_a_sandbox_tells_what_it_reaches(monkeypatch):
    monkeypatch.setattr(sandbox, "_programs", lambda: iter(()))
    found = findings()["trial"]
    assert found.state == doctor.LACKS and "with limits only" in found.said
    for part in ("the solutions", "the system's users", "other processes"):
        assert part in found.said
    assert "more memory" not in found.said, "this limit holds"


def test_other_systems(monkeypatch, no_trial):
    monkeypatch.setattr(sys, "platform", "darwin")
    found = findings()
    assert "virtual machine" in found["system"].mend
    assert found["system"].state == found["bubblewrap"].state == doctor.LACKS
    assert found["limits"].state == doctor.NOTE
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.delattr(os, "fork")
    found = findings()
    assert "WSL 2" in found["system"].mend and "trial" not in found


def test_too_little_memory_or_room(monkeypatch, no_trial):
    monkeypatch.setattr(doctor, "_free_mb", lambda: 6000)
    found = findings(jobs=4)["memory"]
    assert found.state == doctor.NOTE and found.mend.startswith("grade --jobs 2")
    assert findings(jobs=2)["memory"].state == doctor.GOOD
    monkeypatch.setattr(doctor, "LEAST_DISK", 1 << 60)
    assert findings()["disk"].state == doctor.LACKS


def test_packages_that_are_missing_or_others(monkeypatch, no_trial):
    monkeypatch.setattr(doctor, "VERSIONS", ["nbgrader", "no-such-package"])
    found = findings()["packages"]
    assert found.state == doctor.LACKS and "no-such-package" in found.said
    monkeypatch.setattr(doctor, "VERSIONS", ["nbgrader"])
    monkeypatch.setattr(doctor.metadata, "version", lambda name: "0.0.1")
    found = findings()["packages"]
    assert found.state == doctor.NOTE and "nbgrader 0.0.1 (tested: " in found.said


def test_a_configuration_that_leaks_or_is_broken(no_trial, tmp_path):
    made = course(tmp_path / "course")
    path = made.autograder / "nbgrader_config.py"
    assert findings(made)["nbgrader"].state == doctor.GOOD
    text = path.read_text()
    path.write_text(text.replace("c.GenerateFeedback.preprocessors", "kept"))
    assert "hidden tests in feedback" in findings(made)["nbgrader"].said
    path.write_text(text.replace("../solutions", "source"))
    assert "another source folder" in findings(made)["nbgrader"].said
    path.write_text("1 / 0")
    assert "ZeroDivisionError" in findings(made)["nbgrader"].said
