"""How fast grading is, against nbgrader's own autograder, paired in one run.

    python -m pytest -q -s -m benchmark tests/bench_grading.py

BENCH_STUDENTS (40) is the size of the class, BENCH_LARGE (400) that of the large one.
"""

import os
import resource
import shutil
import statistics
import subprocess
import sys
import threading
import time

import psutil
import pytest
from grading_tools import JOBS, REAL, graded, hand_in, needs_bubblewrap, rows

from autograder.authors.assignment import assignment
from autograder.classroom.gradebook import Classroom
from autograder.worker import hands, sandbox

pytestmark = [pytest.mark.benchmark, needs_bubblewrap]

NAME = "01_resnets_as_euler"
STUDENTS = int(os.environ.get("BENCH_STUDENTS", "40"))
LARGE = int(os.environ.get("BENCH_LARGE", "400"))


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


def stock(room):
    """Let `nbgrader autograde` grade the class, as an instructor would call it."""
    environment = os.environ | {
        "PATH": f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "nbgrader", "autograde", NAME, "--force"]
    done = subprocess.run(command, cwd=room.root, env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr[-2000:]


def timed(work):
    """Return seconds on the clock, and seconds of all processors, of `work()`."""

    def used():
        both = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        seen = sum(sum(resource.getrusage(who)[:2]) for who in both)
        return seen + sandbox.closed_cpu_seconds  # bubblewrap does not pass it on

    hands.end_all()  # each begins as a command does, without a warm sandbox
    clock, cpu = time.perf_counter(), used()
    work()
    hands.end_all()
    return time.perf_counter() - clock, used() - cpu


def test_at_least_three_times_the_throughput_per_core(tmp_path):
    everyone = [f"s{i:03d}" for i in range(STUDENTS)]
    theirs = classroom(tmp_path / "theirs" / "autograder", everyone)
    shutil.copy(REAL.autograder / "nbgrader_config.py", theirs.root)
    for name in ("solutions", "pyproject.toml", "jupytext.toml"):
        os.symlink(REAL.root / name, tmp_path / "theirs" / name)
    asked = assignment(REAL, NAME)
    full = sum(test.points for test in asked.tests)
    theirs.enter_assignment(asked)
    ours = classroom(tmp_path / "ours", everyone)

    def grade_ours():
        graded(REAL, ours, NAME, jobs=JOBS, force=True)

    grade_ours()  # the criteria of the solution are kept from the first run on

    def grade_one():
        graded(REAL, ours, NAME, jobs=1, force=True, students=everyone[:1])

    before = timed(grade_ours)
    one_before = timed(grade_one)
    stock_clock, stock_cpu = timed(lambda: stock(theirs))
    one_after = timed(grade_one)
    after = timed(grade_ours)
    clock, cpu = (statistics.mean(pair) for pair in zip(before, after))
    first = statistics.mean([one_before[1], one_after[1]])
    # A worker more warms up once more; what is left is due to the students.
    further = (cpu - first * min(JOBS, STUDENTS)) / (STUDENTS - min(JOBS, STUDENTS))
    with theirs.gradebook() as book:
        for name in everyone:
            assert book.find_submission(NAME, name).score == full
    assert all(row.total == full for row in rows(ours, NAME).values())
    per_core = stock_clock / (clock * JOBS)
    print(f"\n{STUDENTS} students, seconds on the clock (of all processors) for each:")
    print(
        f"nbgrader autograde {stock_clock / STUDENTS:.2f} ({stock_cpu / STUDENTS:.2f})"
    )
    print(f"this, {JOBS} workers  {clock / STUDENTS:.2f} ({cpu / STUDENTS:.2f})")
    print(
        f"processor time: {first:.1f} s with the first, {further:.2f} s a further one"
    )
    print(f"throughput {stock_clock / clock:.1f} times, per core {per_core:.1f} times,")
    print(f"per second of a processor {stock_cpu / cpu:.1f} times")
    assert per_core >= 3


def test_the_cost_per_student_is_flat_and_the_memory_bounded(tmp_path):
    cost = {}
    memory = Memory()
    memory.start()
    for size in (STUDENTS, LARGE):
        room = classroom(tmp_path / str(size), [f"s{i:03d}" for i in range(size)])
        hands.end_all()
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
