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


def test_a_worker_killed_at_work_is_said_and_costs_no_grade(tmp_path, capsys):
    course = executed(tmp_path / "course")
    room = Classroom(tmp_path / "class")
    slow = "# base: solution\n# %% cell before double\nimport time; time.sleep(3)"
    students = {f"s{i}": slow for i in range(4)} | {"none": "# base: untouched"}
    hand_in(course, room, TINY, **students)
    held = {}
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        dashboard_address=None,
        local_directory=tmp_path / "dask",
    ) as engine:
        scheduler = engine.scheduler

        def kill_one() -> None:
            """Kill the first worker that says that it executes one of our tasks."""
            deadline = time.monotonic() + 120
            while not held and time.monotonic() < deadline:
                for worker in list(scheduler.workers.values()):
                    for task in list(worker.executing):
                        if "execute_plain" in str(task.key) and not held:
                            os.kill(worker.pid, signal.SIGKILL)
                            held[task.key] = worker.address
                time.sleep(0.05)

        killer = threading.Thread(target=kill_one)
        killer.start()
        fate = graded(course, room, TINY, scheduler=engine.scheduler_address)
        killer.join()
        ((key, address),) = held.items()
        said = [event for _, event in scheduler.get_events("all")]
        story = scheduler.story(key)
    # The scheduler's own log: the worker was lost with this very task in its hands,
    (lost,) = [
        one
        for one in said
        if one.get("action") == "remove-worker" and not one["expected"]
    ]
    assert lost["worker"] == address and key in lost["processing-tasks"]
    # and the task was taken from it, given to another one, and done there.
    taken = [step.stimulus_id for step in story].index(lost["stimulus_id"])
    assert "processing" in [step.finish for step in story[:taken]]
    again = story[taken:]
    assert again[0].start == "processing"
    assert "processing" in [step.finish for step in again]
    assert ("processing", "memory") in [(step.start, step.finish) for step in again]
    said = capsys.readouterr().err
    assert said.count("A worker was lost") == 1, "and none that went home"
    assert sorted(fate.done) == sorted(students)
    table = rows(room, TINY)
    assert all(table[f"s{i}"].total == 5 for i in range(4))
    assert table["none"].total == 0


def test_a_wrong_address_is_said_in_one_line():
    with pytest.raises(CourseError, match="no Dask scheduler at"):
        with cluster.executor("tcp://127.0.0.1:9"):
            pass
