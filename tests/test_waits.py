"""No wait is without a limit: what is held up is given up, and the run goes on."""

import json
import math
import re
import signal
import threading
import time

import pytest
from grading_tools import (
    TINY,
    executed,
    graded,
    hand_in,
    needs_bubblewrap,
    rows,
    run_autograder,
)

from autograder.classroom.gradebook import Classroom
from autograder.worker import execute, hands, sandbox
from autograder.worker.execute import Code, Job

pytestmark = needs_bubblewrap
LIMITS = sandbox.Limits(cell_seconds=5, notebook_seconds=10)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return executed(tmp_path_factory.mktemp("course"))


@pytest.fixture(autouse=True)
def _close():
    yield
    hands.end_all()


def result_of(*sources):
    return execute.execute(Job("trial", tuple(map(Code, sources)), LIMITS))


def test_a_hand_that_is_held_up_is_given_up_with_its_sandbox():
    held = threading.Event()
    boxes = []

    def work():
        boxes.append(sandbox.current())
        held.wait(60)

    hands.within(150, sandbox.current)  # a warm one
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        hands.within(0.5, work)
    assert not boxes[0].alive()
    assert hands.within(30, lambda: 7) == 7
    assert time.monotonic() - started < 60
    held.set()


def test_whatever_holds_the_grader_up_is_the_fate_of_one_submission(monkeypatch):
    """As the heartbeat's channel once did: a wait of our own side that never ends."""
    stop = execute._Run._end_kernel

    async def held_up(run):
        time.sleep(600)

    result_of("x = 0")  # the limit is not for the start of a sandbox
    monkeypatch.setattr(execute, "MARGIN_SECONDS", 0.0)
    monkeypatch.setattr(execute._Run, "_end_kernel", held_up)
    came = result_of("x = 1", "print(x)", "import os; os._exit(3)", "print(x)")
    monkeypatch.setattr(execute._Run, "_end_kernel", stop)
    assert came.cells[1].outputs[0]["text"] == "1\n"
    assert came.cells[2].trouble == "it held up the grader for more than 10 s"
    assert came.cells[3].trouble.startswith("not run: it held up the grader")
    monkeypatch.undo()
    assert result_of("x = 2", "print(x)").cells[1].outputs[0]["text"] == "2\n"


def test_a_submission_that_breaks_every_sandbox_has_a_reason_of_its_own(monkeypatch):
    def broken(box, scratch_mb):
        raise sandbox.SandboxError("no start")

    original = execute._Run._execute

    async def break_at_one(run, index, ran):
        if index == 1:
            run.began = True
            raise sandbox.SandboxError("it is gone")
        return await original(run, index, ran)

    monkeypatch.setattr(execute._Run, "_execute", break_at_one)
    came = result_of("x = 1", "x = 2", "x = 3")
    assert [cell.trouble for cell in came.cells] == [
        "",
        "it broke the sandbox, twice (it is gone)",
        "not run: it broke the sandbox, twice (it is gone)",
    ]
    monkeypatch.setattr(sandbox.Sandbox, "_start", broken)
    with pytest.raises(sandbox.SandboxError, match="no start"):
        execute.execute(Job("trial", (Code("x = 1"),), LIMITS, contained=False))


HANGS = "# base: solution\n# %% cell before double\nimport time; time.sleep(300)"


def wait_for(process, reached, seconds=300, lasting=0.0):
    """Wait until something is so, and has been for some seconds without a break."""
    deadline = time.monotonic() + seconds
    since = math.inf
    while time.monotonic() - since < lasting:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
        since = min(since, time.monotonic()) if reached() else math.inf


def test_who_was_there_when_two_runs_were_killed_is_left_out_and_can_come_back(
    tiny, tmp_path
):
    room = Classroom(tmp_path / "class")
    hand_in(tiny, room, TINY, bad=HANGS, good="# base: solution")
    running = room.root / "results" / TINY / ".running"
    note = running / "bad.json"
    start = ["grade", TINY, "--jobs", "1", "--folder", str(room.root)]
    for killed in (1, 2):
        process = run_autograder(tiny, *start, start_new_session=True)

        def only_bad_is_in_hand(killed=killed):
            try:
                in_hand = json.loads(note.read_text())["killed"] == killed
            except (OSError, ValueError):
                return False
            return in_hand and not (running / "good.json").exists()

        # While it reads them, a run has every submission in hand for a moment.
        wait_for(process, only_bad_is_in_hand, lasting=1)
        if killed == 2:  # everybody else comes first
            assert room.read_result("good", TINY)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    said = run_autograder(tiny, *start).communicate(timeout=300)[0]
    assert "2 graded" in said or "1 graded, 1 unchanged" in said
    table = rows(room, TINY)
    assert table["good"].total == 5 and table["bad"].total == 0
    (reason,) = table["bad"].reasons
    assert "2 runs of the grader were killed" in reason
    assert "grade 01 --force --students bad" in reason
    page = room.feedback("bad", TINY).read_text(encoding="utf-8")
    assert "2 runs of the grader were killed" in page
    quick = sandbox.Limits(cell_seconds=4, notebook_seconds=60)
    graded(tiny, room, TINY, students=("bad",), force=True, limits=quick)
    assert rows(room, TINY)["bad"].total == 5
    assert not note.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_soon_with_what_is_done(number, tiny, tmp_path):
    room = Classroom(tmp_path / "class")
    hand_in(tiny, room, TINY, aa="# base: solution", zz=HANGS)
    start = ["grade", TINY, "--jobs", "1", "--timeout", "200"]
    start += ["--folder", str(room.root)]
    process = run_autograder(tiny, *start, start_new_session=True)
    running = room.root / "results" / TINY / ".running" / "zz.json"
    wait_for(process, lambda: room.result("aa", TINY).exists() and running.exists())
    process.send_signal(number)
    sent = time.monotonic()
    said = process.communicate(timeout=300)[0]
    assert time.monotonic() - sent < 20
    assert process.returncode == 130 and "Traceback" not in said, said
    assert "grade --resume" in said
    assert re.search(r"aa,2.0,3.0", room.table(TINY).read_text())
    assert not running.exists(), "nobody is to blame"
