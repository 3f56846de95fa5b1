"""The world in which student code runs: warm, small, and closed."""

import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import time

import nbformat
import pytest
from grading_tools import needs_bubblewrap
from nbclient import NotebookClient

from autograder.course import CourseError
from autograder.worker import execute, hands, provisioner, sandbox, zygote
from autograder.worker.execute import Code, Job

CONNECTION = {
    "transport": "ipc",
    "shell_port": 1,
    "iopub_port": 2,
    "stdin_port": 3,
    "control_port": 4,
    "hb_port": 5,
    "key": "secret",
    "signature_scheme": "hmac-sha256",
}
LIMITS = sandbox.Limits(cell_seconds=10, notebook_seconds=60)


def run(*sources, contained=True, **more):
    codes = tuple(Code(s) if isinstance(s, str) else Code(*s) for s in sources)
    job = Job("trial", codes, more.pop("limits", LIMITS), contained, **more)
    return execute.execute(job)


def text(ran):
    return "".join(o.get("text", "") for o in ran.outputs) + ran.error


@pytest.fixture(autouse=True, scope="module")
def close():
    yield
    sandbox.discard()
    hands.end_all()


@needs_bubblewrap
def test_a_warm_kernel_is_there_long_before_a_cold_one():
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import ipykernel, torch"], check=True)
    cold = time.perf_counter() - started
    box = sandbox.current()
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        answer = box.ask(
            "start",
            connection=dict(CONNECTION, ip=f"{box.scratch}/k"),
            environment={},
            limits=LIMITS.for_kernel(True),
        )
        seconds.append(time.perf_counter() - started)
        assert answer["pid"] > 1
        box.clean()
    assert statistics.median(seconds) < cold / 2


@needs_bubblewrap
def test_torch_is_not_imported_again():
    ran = run("import sys; print({'torch', 'matplotlib'} <= sys.modules.keys())")
    assert text(ran.cells[0]) == "True\n"


@needs_bubblewrap
def test_what_student_code_can_see_and_write():
    ran = run(
        "import os\n"
        "def tree(top):\n    return [n for _, d, f in os.walk(top) for n in [*d, *f]]\n"
        "import odenets\nplace = os.path.dirname(os.path.dirname(odenets.__file__))\n"
        "print(sorted(os.listdir(place)))\n"
        "print([n for n in tree(os.path.dirname(place)) if n.endswith('.ipynb')\n"
        "       and 'site-packages' not in n and 'nbconvert' not in n][:3])",
        "print(os.listdir(os.path.expanduser('~')), os.getcwd())\n"
        "print(os.path.exists('/home'), os.path.exists('/etc/passwd'))\n"
        "print({k for k in os.environ if 'TOKEN' in k or 'USER' in k or 'SSH' in k})",
        "def writable(path):\n"
        "    try:\n        open(path, 'w').close(); return True\n"
        "    except OSError:\n        return False\n"
        "places = ['/x', '/usr/x', '/dev/shm/x', '/tmp/x', '/proc/x']\n"
        "places.append(odenets.__file__)\n"
        "print([p for p in places if writable(p)], writable('here'))",
        "import socket\nsocket.create_connection(('127.0.0.1', 80), 1)",
        "print(len([n for n in os.listdir('/proc') if n.isdigit()]), os.getuid())",
    )
    first, home, write, network, processes = map(text, ran.cells)
    assert first.splitlines()[0] == "['odenets']"
    assert "work" in home and "False False" in home and "set()" in home
    assert write == "[] True\n"
    assert "Error" in network
    assert processes.split()[0] == "2" and processes.split()[1] != "0"


@needs_bubblewrap
def test_limits_end_a_cell_and_not_the_notebook():
    limits = sandbox.Limits(
        cell_seconds=4, notebook_seconds=60, memory_mb=600, output_mb=1
    )
    ran = run(
        "x = 'still here'",
        "while True: pass",
        "print('a' * 5_000_000)",
        "hoard = bytearray(900_000_000)",
        "open('big', 'wb').write(b'0' * 40_000_000)",
        "print(x)",
        limits=limits,
    )
    troubles = [cell.trouble for cell in ran.cells]
    assert troubles[1] == "it took more than 4 s"
    assert troubles[2] == "it printed more than 1 MB"
    assert ran.cells[3].error.startswith("MemoryError")
    assert ran.cells[4].error.startswith("OSError")
    assert text(ran.cells[5]) == "still here\n"


@needs_bubblewrap
def test_many_processes_end_together():
    limits = sandbox.Limits(cell_seconds=10, notebook_seconds=60, processes=20)
    forks = (
        "import os, time\nfor _ in range(40):\n    if os.fork() == 0: time.sleep(30)"
    )
    ran = run("x = 1", forks, "print(x)", limits=limits)
    refused = ran.cells[1].error.startswith("BlockingIOError")
    assert refused or "20 processes" in ran.cells[1].trouble
    assert text(ran.cells[2]) == "1\n"


@needs_bubblewrap
def test_nothing_stays_for_the_next_submission():
    run(
        "import os, time\nopen('../left', 'w').write('secret')\n"
        "os.makedirs('locked/in'); os.chmod('locked', 0)\n"
        "if os.fork() == 0:\n    os.setsid()\n    time.sleep(300)",
        "remembered = 1",
    )
    ran = run(
        "import os\nprint(os.listdir('.'), os.path.exists('../left'))\n"
        "print(len([n for n in os.listdir('/proc') if n.isdigit()]))\n"
        "print('remembered' in globals())"
    )
    assert text(ran.cells[0]) == "[] False\n2\nFalse\n"


@needs_bubblewrap
def test_figures_and_errors_come_back_as_plain_data():
    ran = run(
        "import matplotlib.pyplot as plt\nplt.plot([1, 2]); plt.show()",
        "from IPython.display import HTML; HTML('<script>alert(1)</script>')",
        "1 / 0",
    )
    assert "image/png" in ran.cells[0].outputs[0]["data"]
    assert set(ran.cells[1].outputs[0]["data"]) == {"text/plain"}
    assert ran.cells[2].error == "ZeroDivisionError: division by zero"


@needs_bubblewrap
def test_records_are_those_of_the_test_that_ran():
    cell = (
        "@check.exercise('f', points=1)\ndef exercise(checks):\n"
        "    checks.close('one', lambda: 1.0)\ncheck.score(exercise)"
    )
    ran = run("from odenets import check", cell, (cell, "test_f"), "1")
    assert [json.loads(r)["label"] for r in ran.cells[2].records] == ["one"]
    assert ran.cells[1].records == [] == ran.cells[3].records


@needs_bubblewrap
def test_nbclient_as_it_comes_can_use_these_kernels():
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell("print(6 * 7)")]
    )

    async def execute_it():
        manager = provisioner.manager(LIMITS, True, {})
        client = NotebookClient(notebook, km=manager, timeout=120)
        await manager.start_kernel()
        client.kc = manager.client()
        client.kc.start_channels()
        await client.kc.wait_for_ready(timeout=120)
        await client.async_execute_cell(notebook.cells[0], 0)
        client.kc.stop_channels()
        await manager.shutdown_kernel(now=True)

    asyncio.run(execute_it())
    assert notebook.cells[0].outputs[0].text == "42\n"


def test_only_work_without_a_processor_counts_as_kept_waiting(monkeypatch, tmp_path):
    looks = [("R", 0.0), ("R", 0.9), ("R", 1.0), ("S", 1.0), ("D", 1.0), ("R", 2.0)]
    ticks = os.sysconf("SC_CLK_TCK")
    now = iter(range(100))
    world = zygote.Zygote(tmp_path, contained=False)
    monkeypatch.setattr(zygote.time, "monotonic", lambda: next(now))
    world.looked = next(now)
    came = []
    for state, worked in looks:  # a second apart
        fields = [state, *["0"] * 10, str(int(worked * ticks)), "0"]
        monkeypatch.setattr(zygote, "_stat", lambda pid, fields=fields: fields)
        world._watch_time()
        came.append(world.do_poll()["kept_waiting"])
    assert came == pytest.approx([1.0, 1.1, 2.0, 2.0, 2.0, 2.0])


def test_without_bubblewrap_grading_is_refused(monkeypatch):
    monkeypatch.setattr(sandbox, "_programs", lambda: iter(()))
    with pytest.raises(CourseError, match=r"(?s)apt install bubblewrap.*--unsandboxed"):
        sandbox.require(unsandboxed=False)
    assert sandbox.require(unsandboxed=True) is False


def test_the_system_s_bubblewrap_comes_first_and_one_that_works_is_taken(
    monkeypatch, tmp_path
):
    works, fails = tmp_path / "works", tmp_path / "fails"
    works.write_text("#!/bin/sh\nexit 0\n")
    fails.write_text("#!/bin/sh\necho 'bwrap: no permission' >&2\nexit 1\n")
    for program in (works, fails):
        program.chmod(0o755)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(shutil, "which", lambda name: f"/system/{name}")
    assert next(sandbox._programs()) == "/system/bwrap"
    monkeypatch.setattr(sandbox, "_programs", lambda: iter([str(fails), str(works)]))
    assert sandbox.bubblewrap() == str(works)
    monkeypatch.setattr(sandbox, "_programs", lambda: iter([str(fails)]))
    with pytest.raises(sandbox.NoSandboxError, match=r"\(bwrap: no permission\).*sudo"):
        sandbox.bubblewrap()


def test_without_a_sandbox_the_limits_hold():
    limits = sandbox.Limits(cell_seconds=3, notebook_seconds=120, memory_mb=500)
    ran = run(
        "x = 1",
        "while True: pass",
        "y = bytearray(800_000_000)",
        "import os; os._exit(4)",
        "print(x)",
        contained=False,
        limits=limits,
    )
    assert [cell.trouble for cell in ran.cells[1:4]] == [
        "it took more than 3 s",
        "",
        "it ended Python (exit status 4)",
    ]
    assert ran.cells[2].error.startswith("MemoryError")
    assert text(ran.cells[4]) == "1\n"
