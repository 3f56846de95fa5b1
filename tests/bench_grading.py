"""How fast grading is, against nbgrader's own autograder, paired in one run.

    python -m pytest -q -s -m benchmark tests/bench_grading.py

BENCH_STUDENTS (40) is the size of the class, BENCH_LARGE (400) that of the large one.
"""

import os
import shutil
import statistics
import subprocess
import sys
import threading
import time

import psutil
import pytest
from grading_tools import JOBS, REAL, graded, hand_in, needs_bubblewrap, rows

from autograder.classroom import Classroom

pytestmark = [pytest.mark.benchmark, needs_bubblewrap]

NAME = "01_resnets_as_euler"
STUDENTS = int(os.environ.get("BENCH_STUDENTS", "40"))
LARGE = int(os.environ.get("BENCH_LARGE", "400"))
ROUNDS = 4


def classroom(folder, students):
    """A class in which everyone handed in the solution."""
    room = Classroom(folder)
    hand_in(REAL, room, NAME, first="# base: solution")
    first = room.submission("first", NAME)
    for student in students:
        path = room.submission(student, NAME)
        path.parent.mkdir(parents=True)
        shutil.copy(first, path)
    shutil.rmtree(room.submitted / "first")
    return room


class Memory(threading.Thread):
    """Watches this process, and the private memory of everything it started."""

    def __init__(self):
        super().__init__(daemon=True)
        self.own = self.children = 0
        self.running = True

    def run(self):
        me = psutil.Process()
        while self.running:
            self.own = max(self.own, me.memory_info().rss)
            used = 0
            for child in me.children(recursive=True):
                try:
                    used += child.memory_full_info().pss
                except psutil.Error:
                    pass
            self.children = max(self.children, used)
            time.sleep(0.5)


def stock(room, students):
    """Seconds that `nbgrader autograde` takes for some students."""
    environment = os.environ | {
        "PATH": f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "nbgrader", "autograde", NAME, "--force"]
    started = time.perf_counter()
    for student in students:
        done = subprocess.run(
            [*command, f"--student={student}"],
            cwd=room.root,
            env=environment,
            capture_output=True,
        )
        assert done.returncode == 0, done.stderr[-2000:]
    return time.perf_counter() - started


def stock_at_once(room, pattern):
    """The same in one process, so that its start is paid for once."""
    return stock(room, [pattern])


def test_at_least_three_times_the_throughput_per_core(tmp_path):
    per_round = max(STUDENTS // ROUNDS, 1)
    names = [[f"r{r}s{i:02d}" for i in range(per_round)] for r in range(ROUNDS)]
    everyone = [name for group in names for name in group]
    theirs = classroom(tmp_path / "theirs" / "autograder", everyone)
    shutil.copy(REAL.autograder / "nbgrader_config.py", theirs.root)
    for name in ("solutions", "pyproject.toml", "jupytext.toml"):
        os.symlink(REAL.root / name, tmp_path / "theirs" / name)
    theirs.enter_assignment(REAL, NAME)
    ours = classroom(tmp_path / "ours", everyone)
    stock_seconds, our_seconds = [], []
    for number, group in enumerate(names):
        seconds = stock_at_once(theirs, f"r{number}s*")
        stock_seconds.append(seconds / per_round)
        started = time.perf_counter()
        graded(REAL, ours, NAME, students=tuple(group), jobs=JOBS)
        our_seconds.append((time.perf_counter() - started) * JOBS / per_round)
    with theirs.gradebook() as book:
        for name in everyone:
            assert book.find_submission(NAME, name).score == 19
    assert all(row.total == 19 for row in rows(ours, NAME).values())
    theirs_, ours_ = statistics.median(stock_seconds), statistics.median(our_seconds)
    print(f"\nnbgrader autograde: {theirs_:.2f} s per student, one core")
    print(f"this autograder:    {ours_:.2f} core seconds per student, {JOBS} workers")
    print(f"throughput per core: {theirs_ / ours_:.1f} times")
    assert theirs_ / ours_ >= 3


def test_the_cost_per_student_is_flat_and_the_memory_bounded(tmp_path):
    cost = {}
    memory = Memory()
    memory.start()
    for size in (STUDENTS, LARGE):
        room = classroom(tmp_path / str(size), [f"s{i:03d}" for i in range(size)])
        started = time.perf_counter()
        graded(REAL, room, NAME, jobs=JOBS)
        cost[size] = (time.perf_counter() - started) / size
        print(f"\n{size} students: {cost[size]:.2f} s each with {JOBS} workers")
    memory.running = False
    memory.join()
    workers = memory.children / JOBS
    print(f"memory: {memory.own >> 20} MB here, {workers / 2**20:.0f} MB per worker")
    assert cost[LARGE] <= 1.2 * cost[STUDENTS]
    assert workers < 2**30 and memory.own < 500 * 2**20 + 2**30
