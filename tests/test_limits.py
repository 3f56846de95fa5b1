"""Limits act at the number that they name, and each is called by its name.

All cores are busy meanwhile, with processes of ours where no other tests take them: a
busy machine makes time short, and turns no memory bomb into a loop without an end.
"""

import os
import subprocess
import sys

import pytest
from grading_tools import needs_bubblewrap

from autograder.grading import reasons
from autograder.worker import execute, hands, sandbox, zygote
from autograder.worker.execute import Code, Job

LIMITS = sandbox.Limits(
    cell_seconds=6, notebook_seconds=150, memory_mb=600, processes=20, output_mb=1
)


@pytest.fixture(scope="module", autouse=True)
def busy():
    """Processes that compute for as long as these tests run."""
    command = [sys.executable, "-S", "-c", "while True: pass"]
    others = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1)) - 1
    free = max(1, (os.cpu_count() or 1) - others)
    load = [subprocess.Popen(command) for _ in range(free)]
    yield
    for process in load:
        process.kill()
        process.wait()


@pytest.fixture(scope="module", autouse=True)
def _close():
    yield
    hands.end_all()


def run(*sources, contained=True):
    codes = tuple(map(Code, sources))
    return execute.execute(Job("trial", codes, LIMITS, contained)).cells


def said(ran):
    """What the table says of a cell."""
    if ran.trouble:
        return reasons.of_trouble(ran.trouble)
    name, _, text = ran.error.partition(":")
    return f"raised {reasons.of_error(name, text)}"


HOARD = "hoard = []\nwhile True:\n    "
CHILD = (
    "import os, time\nfor _ in range(6):\n    if os.fork() == 0:\n"
    "        hoard = bytearray(150_000_000)\n"
    "        for i in range(0, len(hoard), 4096): hoard[i] = 1\n"
    "        time.sleep(60)\n"
    "time.sleep(60)"
)
WAYS = {
    "a loop": ("while True: pass", "took more than 6 s;", "a loop without an end"),
    "a sleep": (
        "import time; time.sleep(60)",
        "took more than 6 s, and waited",
        "take sleep() and input() out",
    ),
    "a question": ("input('name?')", "raised an error of its own kind", ""),
    "memory": (
        f"{HOARD}hoard.append(bytearray(20_000_000))",
        "memory",
        "",
    ),
    "memory of torch": (
        f"import torch\n{HOARD}hoard.append(torch.ones(10_000_000))",
        "memory",
        "",
    ),
    "memory, and no word of it": (
        f"{HOARD}try: hoard.append(bytearray(20_000_000))\n"
        "    except MemoryError: pass",
        "600 MB of memory",
        "keep less",
    ),
    "memory in children": (CHILD, "it used more than 600 MB of memory", "keep less"),
    "a fork bomb": (
        "import os\nwhile True: os.fork()",
        "it used more than 20 processes",
        "start fewer",
    ),
    "a slow fork bomb": (
        "import os, time\nfor _ in range(40):\n    time.sleep(0.01)\n"
        "    if os.fork() == 0: time.sleep(60)\ntime.sleep(60)",
        "it used more than 20 processes",
        "start fewer",
    ),
    "threads": (
        "import threading, time\nwhile True:\n"
        "    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
        "processes",
        "",
    ),
    "output": ("while True: print('x' * 999)", "printed more than 1 MB", "print less"),
    "one output": ("print('x' * 30_000_000)", "printed more than 1 MB", "print less"),
    "a large file": (
        "open('f', 'wb').write(bytes(17 << 20))",
        "raised OSError (it wrote a larger file than it may)",
        "",
    ),
    "large files": (
        "for i in range(9): open(str(i), 'wb').write(bytes(15 << 20))",
        "raised OSError (its files took all the room that they may)",
        "",
    ),
    "open files": (
        "kept = [open('f', 'w') for _ in range(600)]",
        "raised OSError (it opened too many files)",
        "",
    ),
    "an end": ("import os; os._exit(3)", "ended Python (exit status 3)", "restart"),
    "a crash": (
        "import ctypes; ctypes.string_at(0)",
        "it crashed (segmentation fault)",
        "restart",
    ),
    "an abort": ("import os; os.abort()", "it aborted", "restart"),
    "a kill": (
        "import os; os.kill(os.getpid(), 9)",
        "it was killed, by its own code or for lack of memory",
        "",
    ),
    "recursion": ("def f(): f()\nf()", "RecursionError (it calls itself", ""),
    "the network": (
        "import urllib.request as r; r.urlopen('http://example.org')",
        "raised an error of its own kind (there is no network",
        "",
    ),
    "a file beside": (
        "open('data.csv')",
        "raised FileNotFoundError (only the notebook is there",
        "",
    ),
    "a package": (
        "import pandas_or_so",
        "raised ModuleNotFoundError (only the packages of the course",
        "",
    ),
    "a name": ("undefined", "raised NameError (no cell above defines the name", ""),
    "no Python": (
        "def f(x) return x",
        "raised SyntaxError (the cell is not Python",
        "",
    ),
}


@needs_bubblewrap
@pytest.mark.parametrize("first", range(5))
def test_each_way_to_fail_is_called_by_its_name_on_a_busy_machine(first, monkeypatch):
    monkeypatch.setattr(execute, "CAREFUL", len(WAYS))  # kernels end one after another
    # In one sandbox, whose start takes longest; what keeps its memory comes last.
    ways = [*reversed(list(WAYS)[first::5])]
    cells = [cell for way in ways for cell in (WAYS[way][0], "print(x)")]
    start, *came = run("x = 7", *cells)
    assert not start.trouble
    for way, ran, after in zip(ways, came[0::2], came[1::2], strict=True):
        _, cause, mend = WAYS[way]
        assert cause in said(ran) and mend in said(ran), f"{way}: {said(ran)}"
        assert after.outputs[0]["text"] == "7\n", "the next cell runs"


@needs_bubblewrap
def test_files_are_counted_to_the_number_that_is_named():
    many = zygote.MAX_FILES
    make = "import os, time\nfor i in range({}, {}): os.mknod(str(i))\ntime.sleep(1)"
    exactly, more = run(make.format(0, many), make.format(many, many + 1))
    assert not exactly.trouble and not exactly.error
    assert said(more) == f"it used more than {many} files; write fewer"


@needs_bubblewrap
def test_processes_are_counted_to_the_number_that_is_named():
    fork = (
        "import os, time\nfor _ in range({}):\n    if os.fork() == 0: time.sleep(60)\n"
        "time.sleep(1)"
    )
    exactly, more = run(fork.format(LIMITS.processes - 1), fork.format(1))
    assert not exactly.trouble and not exactly.error, "one of them is the kernel"
    assert said(more) == "it used more than 20 processes; start fewer"


@needs_bubblewrap
def test_memory_is_counted_to_the_number_that_is_named():
    take = "hoard = bytearray({} << 20)\nfor i in range(0, len(hoard), 4096):\n"
    take += "    hoard[i] = 1"
    fits, more = run(take.format(570), "del hoard\n" + take.format(610))
    assert not fits.trouble and not fits.error
    assert "too much memory" in said(more)


@needs_bubblewrap
def test_a_file_may_have_the_size_that_is_named():
    write = "import os\nwith open('f', 'wb') as f: f.write(bytes({}))\nos.remove('f')"
    most = LIMITS.file_mb << 20
    fits, more = run(write.format(most), write.format(most + 1))
    assert not fits.error and "a larger file than it may" in said(more)


@needs_bubblewrap
def test_the_time_of_a_notebook_is_called_so():
    limits = sandbox.Limits(cell_seconds=30, notebook_seconds=6)
    loop = (Code("x = 1"), Code("while True: pass"))
    ran = execute.execute(Job("trial", loop, limits)).cells[1]
    assert ran.trouble == "the notebook took more than 6 s"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody counts children")
def test_children_are_counted_without_a_sandbox_too():
    _, ran, after = run(
        "x = 7", WAYS["a slow fork bomb"][0], "print(x)", contained=False
    )
    assert said(ran) == "it used more than 20 processes; start fewer"
    assert after.outputs[0]["text"] == "7\n"
