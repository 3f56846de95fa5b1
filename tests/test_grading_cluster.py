"""Grading on a Dask cluster: no shared disk, and a lost worker costs a retry only."""

import os
import signal
import threading
import time

import pytest
from grading_tools import TINY, executed, graded, hand_in, needs_bubblewrap, rows

from autograder.classroom.gradebook import Classroom
from autograder.course import CourseError
from autograder.worker import cluster

distributed = pytest.importorskip("distributed")
pytestmark = needs_bubblewrap


def test_a_lost_worker_is_said_and_costs_no_grade(tmp_path, capsys):
    course = executed(tmp_path / "course")
    room = Classroom(tmp_path / "class")
    slow = "# base: solution\n# %% cell before double\nimport time; time.sleep(1.5)"
    students = {f"s{i}": slow for i in range(6)} | {"none": "# base: untouched"}
    hand_in(course, room, TINY, **students)
    lost = []
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        dashboard_address=None,
        local_directory=tmp_path / "dask",
    ) as engine:
        results = room.root / "results" / TINY

        def kill_one() -> None:
            deadline = time.monotonic() + 120
            while time.monotonic() < deadline:  # as soon as both are at work
                if results.is_dir() and list(results.glob("s*.json")):
                    process = engine.workers[0].process
                    os.kill(process.pid, signal.SIGKILL)
                    lost.append(process.pid)
                    return
                time.sleep(0.05)

        killer = threading.Thread(target=kill_one)
        killer.start()
        fate = graded(course, room, TINY, scheduler=engine.scheduler_address)
        killer.join()
    assert lost, "no worker was killed"
    said = capsys.readouterr().err
    assert said.count("A worker was lost") == 1, "and none that went home"
    assert sorted(fate.done) == sorted(students)
    table = rows(room, TINY)
    assert all(table[f"s{i}"].total == 5 for i in range(6))
    assert table["none"].total == 0


def test_a_wrong_address_is_said_in_one_line():
    with pytest.raises(CourseError, match="no Dask scheduler at"):
        with cluster.executor("tcp://127.0.0.1:9"):
            pass
