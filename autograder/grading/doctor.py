"""What this machine can protect, and what it lacks: a dry look, with the mend.

Nothing is graded and nothing is written. The sandbox is tried, not believed: a cell in
it says what it can reach.
"""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from ..authors import steps
from ..course import Course, CourseError
from ..worker import execute, hands, sandbox

GOOD, NOTE, LACKS = "good", "note", "LACKS"
TRIAL = sandbox.Limits(cell_seconds=30, notebook_seconds=60, memory_mb=600)
LEAST_DISK = 1 << 30  # bytes
WARM = 500  # MB that a warm sandbox takes by itself
VERSIONS = [
    "nbgrader",
    "nbclient",
    "nbconvert",
    "nbformat",
    "jupyter_client",
    "ipykernel",
    "pyzmq",
    "jupytext",
    "numpy",
    "torch",
]
CELL = """
import json, os, socket
def refused(work):
    try:
        work()
    except (OSError, MemoryError):
        return True
    return False
def write(path, size=1):
    with open(path, "wb") as file:
        file.write(bytes(size))
reached = {
    "the network": any(name != "lo" for _, name in socket.if_nameindex()),
    "the solutions": os.path.exists(SOLUTIONS),
    "the system's users": os.path.exists("/etc/passwd"),
    "other processes": len([p for p in os.listdir("/proc") if p.isdigit()]) > 2,
    "Python's folder": not refused(lambda: write(os.path.join(PREFIX, "x"))),
    "more memory": not refused(lambda: bytearray(MEMORY)),
    "a larger file": not refused(lambda: write("large", FILE)),
    "hidden memory": not refused(lambda: os.close(os.memfd_create("x"))),
}
print(json.dumps([what for what in reached if reached[what]]))
"""


@dataclass(frozen=True)
class Finding:
    """One line: what was looked at, how it is, and what mends it."""

    what: str
    state: str
    said: str
    mend: str = ""

    def __str__(self) -> str:
        mend = f"; {self.mend}" if self.mend else ""
        return f"{self.state:<5}  {self.what:<12} {self.said}{mend}"


def look(course: Course, jobs: int) -> Iterator[Finding]:
    """Yield what this machine has and lacks.

    Args:
        jobs: sandboxes at a time, as `grade` would have them.
    """
    yield _system()
    if hasattr(os, "fork"):
        contained = _bubblewrap()
        yield contained
        yield _limits()
        yield _trial(course, contained.state == GOOD)
    yield _memory(jobs)
    yield _disk(course)
    yield _python(course)
    yield _nbgrader(course)
    yield _cluster()
    yield _chromium()


def _system() -> Finding:
    said = f"{platform.system()} {platform.release()}, {platform.machine()}"
    said += f", Python {platform.python_version()}"
    if not hasattr(os, "fork"):
        mend = "grading needs Linux or macOS: use WSL 2"
        return Finding("system", LACKS, said, mend)
    if sys.platform != "linux":
        mend = "there is no sandbox: use Linux, in a virtual machine if need be"
        return Finding("system", LACKS, said, mend)
    inside = [p for p in ("/.dockerenv", "/run/.containerenv") if os.path.exists(p)]
    said += ", in a container" if inside else ""
    said += ", as root" if os.geteuid() == 0 else ""
    return Finding("system", GOOD, said)


def _bubblewrap() -> Finding:
    try:
        program = sandbox.bubblewrap()
    except sandbox.NoSandboxError as error:
        return Finding("bubblewrap", LACKS, "nothing can be contained", str(error))
    system = program == shutil.which("bwrap")
    origin = "the system's" if system else "it came with the Python packages"
    shown = subprocess.run([program, "--version"], capture_output=True, text=True)
    said = f"{shown.stdout.strip()} ({origin}), and the kernel gives it namespaces"
    return Finding("bubblewrap", GOOD, said)


def _limits() -> Finding:
    """Say which limits act on every process, whether there is a sandbox or not."""
    limits = sandbox.Limits()
    said = (
        f"{limits.cell_seconds} s for a cell, {limits.notebook_seconds} s for all, "
        f"{limits.memory_mb} MB, {limits.processes} processes, {limits.file_mb} MB in "
        f"a file, {limits.output_mb} MB printed"
    )
    if sys.platform != "linux":
        mend = "outside Linux nobody adds up the memory and processes of children"
        return Finding("limits", NOTE, said, mend)
    if os.geteuid() == 0:
        mend = (
            "as root the kernel does not hold the number of processes, the watcher in "
            "the sandbox does: grade as an ordinary user where you can"
        )
        return Finding("limits", NOTE, said, mend)
    return Finding("limits", GOOD, said)


def _trial(course: Course, contained: bool) -> Finding:
    """Let a cell in a sandbox, or without one, say what it reaches."""
    where = "in the sandbox" if contained else "with limits only"
    values = {
        "SOLUTIONS": str(course.solutions),
        "PREFIX": sys.prefix,
        "MEMORY": (TRIAL.memory_mb + 200) << 20,
        "FILE": (TRIAL.file_mb + 4) << 20,
    }
    names = "\n".join(f"{name} = {value!r}" for name, value in values.items())
    started = time.monotonic()
    try:
        job = execute.Job("doctor", (execute.Code(names + CELL),), TRIAL, contained)
        (ran,) = execute.execute(job).cells
    except (sandbox.SandboxError, CourseError) as error:
        return Finding("trial", LACKS, f"no kernel starts {where}", str(error)[:300])
    finally:
        hands.end_all()
    seconds = time.monotonic() - started
    text = "".join(one.get("text", "") for one in ran.outputs)
    try:
        reached = list(json.loads(text))
    except ValueError:
        why = ran.trouble or ran.error or "it said nothing"
        return Finding("trial", LACKS, f"a cell {where} did not end: {why}")
    said = f"a cell {where} was there after {seconds:.0f} s"
    if not reached:
        return Finding("trial", GOOD, f"{said}, and reached nothing outside")
    return Finding(
        "trial", LACKS, f"{said}, and reached {', '.join(reached)}", "see bubblewrap"
    )


def _memory(jobs: int) -> Finding:
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    each = sandbox.Limits().memory_mb + WARM
    free = _free_mb()
    said = f"{cores} cores, {jobs} sandboxes at a time"
    if free is None:
        return Finding("memory", NOTE, f"{said}; how much memory is free is not known")
    said += f" that may take {jobs * each} MB in all; {free} MB are free"
    if free < jobs * each:
        fit = max(free // each, 1)
        return Finding("memory", NOTE, said, f"grade --jobs {fit}, or --memory less")
    return Finding("memory", GOOD, said)


def _free_mb() -> int | None:
    """Return the memory that is free: the system's, or what a container may have."""
    try:
        text = Path("/proc/meminfo").read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.search(r"MemAvailable:\s+(\d+) kB", text)
    free = int(found[1]) >> 10 if found else None
    try:
        most = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        used = Path("/sys/fs/cgroup/memory.current").read_text().strip()
    except OSError:
        return free
    if most.isdigit() and used.isdigit():
        own = (int(most) - int(used)) >> 20
        return own if free is None else min(free, own)
    return free


def _disk(course: Course) -> Finding:
    free = shutil.disk_usage(course.root).free
    said = f"{free >> 30} GB are free below {course.root}"
    if free < LEAST_DISK:
        return Finding("disk", LACKS, said, "make room for copies and pages")
    if not os.access(course.autograder, os.W_OK):
        return Finding("disk", LACKS, f"{course.autograder} is read-only", "chmod u+w")
    return Finding("disk", GOOD, said)


def _python(course: Course) -> Finding:
    tested = {}
    path = course.root / "constraints.txt"
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            name, equal, version = line.partition(";")[0].strip().partition("==")
            if equal:
                tested[_plain(name)] = version.strip()
    missing, other = [], []
    for name in VERSIONS:
        try:
            here = metadata.version(name)
        except metadata.PackageNotFoundError:
            missing.append(name)
            continue
        wanted = tested.get(_plain(name), here)
        if here.partition("+")[0] != wanted.partition("+")[0]:
            other.append(f"{name} {here} (tested: {wanted})")
    mend = 'pip install -c constraints.txt -e course -e ".[cluster,site,test]"'
    if missing:
        return Finding("packages", LACKS, f"without {', '.join(missing)}", mend)
    if other:
        return Finding("packages", NOTE, ", ".join(other), mend)
    said = f"nbgrader {metadata.version('nbgrader')} and the others as they were tested"
    return Finding("packages", GOOD, said)


def _plain(name: str) -> str:
    return name.strip().lower().replace("_", "-")


def _nbgrader(course: Course) -> Finding:
    path = course.autograder / "nbgrader_config.py"
    try:
        config = steps.load_config(course)
        folder = course.autograder / config.CourseDirectory.source_directory
        feedback = config.GenerateFeedback.preprocessors == steps.FEEDBACK
    except Exception as error:  # a file of an instructor may raise anything
        said = f"{path} cannot be read ({type(error).__name__}: {error})"
        return Finding("nbgrader", LACKS, said, "take it from the repository")
    if folder.resolve() != course.solutions.resolve():
        said = f"{path} names another source folder, {folder}"
        return Finding("nbgrader", LACKS, said, "let source_directory be ../solutions")
    if not feedback:
        said = f"{path} leaves hidden tests in feedback"
        mend = "let GenerateFeedback.preprocessors be steps.FEEDBACK"
        return Finding("nbgrader", LACKS, said, mend)
    book = course.autograder / "gradebook.db"
    state = f"{book.stat().st_size >> 10} kB" if book.exists() else "none yet"
    return Finding("nbgrader", GOOD, f"its configuration is read; gradebook: {state}")


def _cluster() -> Finding:
    try:
        version = metadata.version("distributed")
    except metadata.PackageNotFoundError:
        said = "no Dask: one machine grades"
        mend = 'for more of them: pip install -c constraints.txt -e ".[cluster]"'
        return Finding("cluster", NOTE, said, mend)
    return Finding("cluster", GOOD, f"distributed {version}, for grade --scheduler")


def _chromium() -> Finding:
    mend = "only tests of pages need it: python -m playwright install chromium"
    try:
        from playwright.sync_api import sync_playwright

        with sync_playwright() as tools:
            path = tools.chromium.executable_path
    except Exception as error:  # not installed, or its driver does not start
        return Finding(
            "chromium", NOTE, f"no playwright ({type(error).__name__})", mend
        )
    if not os.path.exists(path):
        return Finding("chromium", NOTE, "playwright without its browser", mend)
    return Finding("chromium", GOOD, "there for the tests of pages")
