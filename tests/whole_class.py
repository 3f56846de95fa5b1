"""A whole class with hostile students in it, graded by runs that are killed."""

import contextlib
import json
import random
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from grading_tools import rows, run_autograder

from autograder.authors.assignment import assignment
from autograder.classroom.gradebook import Classroom
from autograder.course import Course
from autograder.demo import sample


@dataclass
class Seen:
    """What a run and all that it started were seen to use."""

    seconds: float = 0.0
    cpu: dict[psutil.Process, float] = field(default_factory=dict)  # of each process
    trusted: int = 0  # bytes, at most
    workers: int = 0  # bytes of all sandboxes together, at most
    descriptors: list[int] = field(default_factory=list)


class Watch(threading.Thread):
    """Looks at a run and its processes, every now and then, until it has ended."""

    def __init__(self, process: subprocess.Popen, seen: Seen, every: float) -> None:
        super().__init__(daemon=True)
        self.run_itself, self.seen, self.every = (
            psutil.Process(process.pid),
            seen,
            every,
        )
        self.start()

    def look(self) -> None:
        seen, used = self.seen, 0
        everyone = [self.run_itself, *self.run_itself.children(recursive=True)]
        for one in everyone:
            with contextlib.suppress(psutil.Error):
                seen.cpu[one] = sum(one.cpu_times()[:4])  # with children that ended
                if one is not self.run_itself:
                    used += one.memory_full_info().pss
        with contextlib.suppress(psutil.Error):
            seen.trusted = max(seen.trusted, self.run_itself.memory_info().rss)
            seen.descriptors.append(self.run_itself.num_fds())
        seen.workers = max(seen.workers, used)

    def run(self) -> None:
        started = time.monotonic()
        with contextlib.suppress(psutil.NoSuchProcess):
            while self.run_itself.is_running():
                if self.run_itself.status() == psutil.STATUS_ZOMBIE:
                    break
                self.look()
                time.sleep(self.every)
        self.seen.seconds += time.monotonic() - started


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """Yield a folder with a short name, for temporary files that can be counted."""
    made = Path(tempfile.mkdtemp(prefix="class-"))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def graded_through_kills(
    course: Course,
    room: Classroom,
    name: str,
    handed: list[sample.Handed],
    *,
    kills: int,
    jobs: int,
    chance: random.Random,
    options: tuple[str, ...] = (),
    every: float = 0.5,
) -> Seen:
    """Grade a class by runs that end by `kill -9`, and a last one that may end.

    After each of them nothing is left of it, the gradebook is sound and what was done
    stays as it is; in the end everyone has the right points.
    """
    asked = assignment(course, name)
    for one in handed:
        sample.write(room, asked, one)
    results = room.root / "results" / name
    seen, done = Seen(), {}
    mounts = Path("/proc/self/mounts").read_text()
    with folder() as temporary:
        for leg in range(kills + 1):
            start = ["grade", name, "--jobs", str(jobs), "--folder", str(room.root)]
            if leg and chance.random() < 0.5:
                start = ["grade", "--resume", "--folder", str(room.root)]
            else:
                start += options
            process = run_autograder(
                course,
                *start,
                start_new_session=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env={"TMPDIR": str(temporary)},
            )
            watch = Watch(process, seen, every)
            if leg < kills:  # while those who were in hand before are not in hand again
                suspects = len(list((results / ".running").glob("*.json")))
                rest = len(handed) - len(done) - suspects - jobs
                enough = len(done) + chance.randrange(max(rest * 2 // (kills + 1), 1))
                while process.poll() is None and len(_results(results)) <= enough:
                    time.sleep(0.01)
                time.sleep(chance.random() * 0.5)
                assert process.poll() is None, process.communicate()
                process.send_signal(signal.SIGKILL)
            said = process.communicate()[1]
            if leg == kills:
                assert process.returncode == 0, said
            watch.join()
            _, alive = psutil.wait_procs(list(seen.cpu), timeout=15)
            assert not alive, f"leg {leg}: left behind {alive}"
            left = [path.name for path in temporary.iterdir()]
            assert not left, f"leg {leg}: left behind {left}"
            assert Path("/proc/self/mounts").read_text() == mounts
            before, done = done, _results(results)
            assert before.items() <= done.items(), f"leg {leg}: graded twice"
            _is_sound(room, name, done, leg == kills)
    assert sorted(done) == sorted(one.student for one in handed)
    table = rows(room, name)
    wrong = []
    for one in handed:
        row = table[one.student]
        for exercise, points in one.expected(asked).items():
            came = row.scores[exercise]
            if came != points and points is not None:
                said = f"{came} of {points} in {exercise}"
                wrong.append(f"{one.student} ({one.story}): {said}, {row.reasons}")
    assert not wrong, "\n".join(wrong)
    assert not (results / ".running").exists() or not list(
        (results / ".running").iterdir()
    )
    return seen


def _results(folder: Path) -> dict[str, tuple[int, int]]:
    """Return when each result was written, and its number on the disk."""
    found = {}
    for path in folder.glob("*.json"):
        if not path.name.startswith("."):
            status = path.stat()
            found[path.stem] = (status.st_mtime_ns, status.st_ino)
    return found


def _is_sound(room: Classroom, name: str, done: dict, ended: bool) -> None:
    """Whoever has a result is in the gradebook once, with the points of the result."""
    path = room.root / "gradebook.db"
    with contextlib.closing(sqlite3.connect(path)) as book:
        assert book.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert book.execute("PRAGMA foreign_key_check").fetchall() == []
        students = [
            one
            for (one,) in book.execute(
                "SELECT student_id FROM submitted_assignment s JOIN assignment a "
                "ON s.assignment_id = a.id WHERE a.name = ?",
                (name,),
            )
        ]
        points = book.execute(
            "SELECT s.student_id, SUM(g.auto_score) FROM grade g "
            "JOIN submitted_notebook n ON g.notebook_id = n.id "
            "JOIN submitted_assignment s ON n.assignment_id = s.id GROUP BY 1"
        ).fetchall()
    assert len(students) == len(set(students))
    assert set(done) <= set(students), "a result without an entry"
    if ended:
        assert set(done) == set(students)
    for student, earned in points:
        if student in done:
            result = json.loads(room.result(student, name).read_text())
            total = sum(one["score"] for one in result["exercises"])
            assert abs((earned or 0.0) - total) < 1e-9, student
