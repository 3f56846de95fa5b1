"""The process that student kernels are forked from, with torch already imported.

It runs alone: inside the sandbox nothing of the autograder exists but this file. Orders
come as lines of JSON on standard input, answers go to standard output, one for one:

* ``start``: fork a kernel, put it under its limits, answer when its sockets are bound;
* ``poll``: whether the kernel lives, else how it ended; how long it was kept waiting;
* ``look``: the same, and what it uses and whether it computes at this moment;
* ``signal``: send the kernel a signal;
* ``clean``: kill whatever the kernel left behind and empty the scratch folder.

In a sandbox this is process 1 of its own world: what it kills cannot hide, and what it
forked cannot kill it.
"""

import contextlib
import ctypes
import errno
import importlib
import json
import os
import resource
import select
import shutil
import signal
import struct
import sys
import time
from pathlib import Path

PRELOAD = [
    "torch",
    "torch.func",
    "numpy",
    "matplotlib.pyplot",
    "ipykernel.kernelapp",
    "ipykernel.ipkernel",
    "ipykernel.zmqshell",
    "ipykernel.debugger",
    "odenets.check",
    "odenets.data.toy",
    "odenets.data.images",
    "odenets.data.video",
    "odenets.plots",
    "odenets.scale",
    "odenets.solvers",
    "odenets.adjoint",
    "odenets.training",
]
WATCH_SECONDS = 0.02  # between two looks at what a kernel uses
WATCH_SECONDS_BARE = 0.5  # the same where all processes of the system are in sight
SPARE_BYTES = 64 << 20  # that were mapped before the limit, and are used now
NEAR = 0.95  # of a limit: who gets there and no further has met it, too
START_SECONDS = 30.0
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP = 1, 4, 38, 22
MAX_FILES = 20_000  # an empty file takes memory of the system, too

# Ways to memory that is counted for no process: segments and queues of System V,
# memfd, io_uring. By machine: what the kernel calls it, and its numbers of the calls.
HIDDEN_MEMORY = {
    "x86_64": (0xC000003E, {29: "shmget", 68: "msgget", 319: "memfd_create"}),
    "aarch64": (0xC00000B7, {194: "shmget", 186: "msgget", 279: "memfd_create"}),
}
HIDDEN_MEMORY_ANYWHERE = {425: "io_uring_setup", 447: "memfd_secret"}


def set_dumpable(allowed: bool) -> None:
    """Allow or forbid others of the same user to read this process's memory."""
    with contextlib.suppress(OSError, AttributeError):  # only Linux knows it
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, int(allowed), 0, 0, 0)


def die_with_parent() -> None:
    """End this process with the one that forked it (only on Linux)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def forbid_hidden_memory() -> None:
    """Let system calls fail whose memory no limit would find (only on Linux)."""
    machine = os.uname().machine
    if sys.platform != "linux" or machine not in HIDDEN_MEMORY:
        return
    architecture, calls = HIDDEN_MEMORY[machine]
    numbers = sorted({**calls, **HIDDEN_MEMORY_ANYWHERE})
    load, equal, at_least, give = 0x20, 0x15, 0x35, 0x06  # of the packet filter
    allow, fail, kill = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x80000000
    last = len(numbers) + 1
    program = [
        (load, 0, 0, 4),
        (equal, 1, 0, architecture),
        (give, 0, 0, kill),  # the numbers of another machine mean other calls
        (load, 0, 0, 0),
        (at_least, last, 0, 0x40000000),  # the x32 calls
        *((equal, last - i, 0, number) for i, number in enumerate(numbers, start=1)),
        (give, 0, 0, allow),
        (give, 0, 0, fail),
    ]
    code = ctypes.create_string_buffer(
        b"".join(struct.pack("=HBBI", *step) for step in program)
    )
    head = struct.pack("@HP", len(program), ctypes.addressof(code))
    control = ctypes.CDLL(None, use_errno=True).prctl
    control(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if control(PR_SET_SECCOMP, 2, head, 0, 0):
        raise OSError(ctypes.get_errno(), "the filter of system calls was refused")


def warm_up() -> None:
    """Use what loads its parts at first use, before anyone waits for it."""
    import io

    import torch
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    torch.func.grad(lambda x: (x @ x).sum())(torch.ones(2, 2))
    figure = Figure()
    FigureCanvasAgg(figure)
    figure.add_subplot().plot([0, 1], label="$h$")
    figure.savefig(io.BytesIO(), format="png")


class Zygote:
    """Holds one kernel at a time."""

    def __init__(self, scratch: Path, contained: bool) -> None:
        self.scratch = scratch
        self.contained = contained
        self.kernel: int | None = None
        self.exit: int | None = None
        self.why = ""
        self.near = ""  # a limit that it came to without going beyond
        self.kept_waiting = 0.0  # seconds in which it had work and no processor
        self.looked = self.worked = self.counted = 0.0
        self.memory = 0  # bytes in use when it was last looked at
        self.processes = 0
        self.limits: dict[str, int] = {}
        self.base_memory = self.base_size = self.base_files = 0

    def serve(self) -> None:
        """Answer orders until standard input closes."""
        buffer = b""
        while True:
            busy = self.kernel is not None and self.exit is None
            ready, _, _ = select.select([0], [], [], WATCH_SECONDS if busy else None)
            self._reap()
            if busy:
                self._watch()
            if not ready:
                continue
            data = os.read(0, 1 << 16)
            if not data:
                self._kill_all()
                return
            *lines, buffer = (buffer + data).split(b"\n")
            for line in lines:
                order = json.loads(line)
                try:
                    answer = getattr(self, "do_" + order.pop("do"))(**order)
                except Exception as error:
                    answer = {"error": f"{type(error).__name__}: {error}"}
                os.write(1, json.dumps(answer).encode() + b"\n")

    # ------------------------------------------------------------------- orders

    def do_start(
        self, connection: dict, environment: dict[str, str], limits: dict[str, int]
    ) -> dict:
        if self.kernel is not None and self.exit is None:
            raise RuntimeError("a kernel is running already")
        self.limits, self.exit, self.why, self.near = limits, None, "", ""
        self.kept_waiting, self.looked, self.worked = 0.0, time.monotonic(), 0.0
        read, write = os.pipe()
        self.kernel = os.fork()
        if self.kernel == 0:
            try:
                os.close(read)
                become_kernel(self.scratch, connection, environment, limits, write)
            finally:
                os._exit(1)
        os.close(write)
        ready, _, _ = select.select([read], [], [], START_SECONDS)
        said = os.read(read, 2000) if ready else b"no sign of life"
        os.close(read)
        if said != b"ready":
            self._kill_all()
            return {"error": said.decode(errors="replace") or "the kernel ended"}
        # What the kernel itself takes is not the student's.
        self.base_files = self._files()
        self.base_memory, self.base_size = _bytes_of(str(self.kernel))
        return {"pid": self.kernel}

    def do_poll(self) -> dict:
        self._reap()
        waited = max(round(self.kept_waiting, 2), 0.0)
        ended = {"exit": self.exit, "why": self.why, "near": self.near}
        return {**ended, "kept_waiting": waited}

    def do_look(self) -> dict:
        computing = any(map(_computing, self._others()))
        used = {"memory_mb": self.memory >> 20, "processes": self.processes}
        return {**self.do_poll(), **used, "computing": computing}

    def do_signal(self, number: int) -> dict:
        if self.kernel is not None and self.exit is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.kernel, number)
        return {}

    def do_clean(self) -> dict:
        self._kill_all()
        self.kernel = None
        for path in self.scratch.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, onerror=_force)
            else:
                path.unlink()
        left = [path.name for path in self.scratch.iterdir()]
        alive = self._others()
        return {"left": left, "alive": alive, "cpu": sum(os.times()[:4])}

    # ------------------------------------------------------------------- watching

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                if pid == self.kernel:
                    self.exit = os.waitstatus_to_exitcode(status)

    def _watch(self) -> None:
        """Kill a kernel with too many processes or files, or too much memory in all."""
        self._watch_time()
        if not self.contained:
            if time.monotonic() - self.counted < WATCH_SECONDS_BARE:
                return
            self.counted = time.monotonic()
        others = self._others()
        many = self.limits.get("processes", 64)
        self.processes = len(others)
        if len(others) > many:
            self._kill_all(f"more than {many} processes")
            return
        self.near = f"all of its {many} processes" if len(others) == many else ""
        if self.contained and self._files() - self.base_files > MAX_FILES:
            self._kill_all(f"more than {MAX_FILES} files")
            return
        most = self.limits.get("memory", 0)
        held = [_bytes_of(str(pid)) for pid in others]
        self.memory = sum(max(own - self.base_memory, 0) for own, _ in held)
        asked = max((size - self.base_size for _, size in held), default=0)
        # A single process is told by the system, and lives on.
        spare = SPARE_BYTES if len(others) == 1 else 0
        if most and self.memory > most + spare:
            self._kill_all(f"more than {most >> 20} MB of memory")
        elif most and max(self.memory, asked) > NEAR * most:
            self.near = f"all of its {most >> 20} MB of memory"

    def _files(self) -> int:
        disk = os.statvfs(self.scratch)
        return disk.f_files - disk.f_ffree

    def _watch_time(self) -> None:
        """Count the time in which the kernel is ready to work while others do."""
        now, before = time.monotonic(), self.worked
        self.looked, passed = now, now - self.looked
        fields = _stat(self.kernel)
        if not fields:
            return
        ticks = int(fields[11]) + int(fields[12])
        self.worked = ticks / os.sysconf("SC_CLK_TCK")
        if fields[0] == "R":
            self.kept_waiting += passed - (self.worked - before)

    def _others(self) -> list[int]:
        """Return the processes besides this one, where they are all ours.

        Without a sandbox they are those of the kernel's session.
        """
        mine = os.getpid()
        try:
            pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
        except OSError:  # no Linux
            return [self.kernel] if self.kernel and self.exit is None else []
        alive = {pid: stat for pid in pids if _alive(stat := _stat(pid))}
        if self.contained:
            return [pid for pid in alive if pid != mine]
        return [pid for pid, stat in alive.items() if stat[3] == str(self.kernel)]

    def _kill_all(self, why: str = "") -> None:
        deadline = time.monotonic() + 10
        while self._others() and time.monotonic() < deadline:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if self.contained:
                    os.kill(-1, signal.SIGKILL)  # all but this one: it is process 1
                else:
                    for pid in self._others():
                        os.kill(pid, signal.SIGKILL)
            time.sleep(0.005)
            self._reap()
        self.why = self.why or why


def _bytes_of(pid: str) -> tuple[int, int]:
    """Return what a process holds besides files, shared or not, and its addresses."""
    try:
        with open(f"/proc/{pid}/status") as file:
            fields = dict(line.split(":", 1) for line in file)
        keys = ("RssAnon", "RssShmem", "VmSize")
        own, shared, size = (int(fields[key].split()[0]) << 10 for key in keys)
        return own + shared, size
    except (OSError, ValueError, KeyError, IndexError):
        return 0, 0


def _stat(process: int | str | None) -> list[str]:
    """Return what the system says of a process, from its state on."""
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return []


def _alive(stat: list[str]) -> bool:
    return stat[:1] not in ([], ["Z"])


def _computing(pid: int) -> bool:
    """Whether one of a process's threads has something to do at this moment."""
    try:
        threads = [f"{pid}/task/{thread}" for thread in os.listdir(f"/proc/{pid}/task")]
    except OSError:
        return False
    return any(_stat(thread)[:1] == ["R"] for thread in threads)


def _force(function, path, _) -> None:
    """Delete what a student made undeletable: our user owns it all."""
    with contextlib.suppress(OSError):
        os.chmod(os.path.dirname(path), 0o700)
        os.chmod(path, 0o700)
        function(path)


# ---------------------------------------------------------------- the forked side


def become_kernel(
    scratch: Path,
    connection: dict,
    environment: dict[str, str],
    limits: dict[str, int],
    ready: int,
) -> None:
    """Turn this fork into an IPython kernel; it returns when the kernel ends."""
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):  # the orders are not for the student
            os.dup2(null, descriptor)
        set_dumpable(True)
        die_with_parent()
        work = scratch / "work"
        work.mkdir(exist_ok=True)
        os.chdir(work)
        os.environ.update(environment)
        forbid_hidden_memory()
        for stream in ("stdin", "stdout", "stderr"):
            setattr(sys, stream, open(os.devnull, "r" if stream == "stdin" else "w"))
        app = kernel_app(connection)
        limit_resources(limits)  # beyond what the kernel itself takes
    except BaseException as error:
        os.write(ready, f"{type(error).__name__}: {error}".encode()[:2000])
        raise
    os.write(ready, b"ready")
    os.close(ready)
    app.start()


def limit_resources(limits: dict[str, int]) -> None:
    """Put this process and all that it forks under hard limits."""

    def limit(name: str, value: int | None, more: int = 0) -> None:
        number = getattr(resource, name, None)
        if number is None or not value:
            return
        hard = resource.getrlimit(number)[1]
        top = value + more
        top = top if hard == resource.RLIM_INFINITY else min(top, hard)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(number, (min(value, top), top))

    # What is mapped already (libraries, stacks of threads) is not the student's.
    mapped = 0
    with contextlib.suppress(OSError), open("/proc/self/statm") as file:
        mapped = int(file.read().split()[0]) * resource.getpagesize()
    if mapped and limits.get("memory"):
        limit("RLIMIT_AS", mapped + limits["memory"])
    limit("RLIMIT_CPU", limits.get("cpu"), 2)  # first a signal that says why
    limit("RLIMIT_FSIZE", limits.get("file"))
    if limits.get("contained"):
        # It counts threads, of which a kernel has some; processes are counted by us.
        limit("RLIMIT_NPROC", 4 * limits.get("processes", 64))
    limit("RLIMIT_NOFILE", 512)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def kernel_app(connection: dict):
    """Return an IPython kernel whose sockets are bound as `connection` says."""
    from ipykernel.kernelapp import IPKernelApp
    from traitlets.config import Config

    config = Config()
    config.IPKernelApp.capture_fd_output = False
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    config.InteractiveShell.xmode = "Plain"  # others take seconds for a deep stack
    config.Session.key = connection.pop("key").encode()
    config.Session.signature_scheme = connection.pop("signature_scheme")
    app = IPKernelApp.instance(
        config=config, connection_file=f"{connection['ip']}.json", **connection
    )
    app.initialize([])
    assert app.shell is not None
    app.shell.ask_exit = lambda: None  # quit() in a cell ends nobody's kernel
    return app


def main() -> None:
    """Import everything once, say so, and serve."""
    scratch, contained, *path = sys.argv[1:]
    sys.path[:0] = path
    sys.path[:] = [entry for entry in sys.path if entry not in ("", "/odenets")]
    sys.argv[:] = ["kernel"]
    set_dumpable(False)
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # as process 1, no other one reaches it
    missing = []
    for name in PRELOAD:
        try:
            importlib.import_module(name)
        except ImportError as error:
            missing.append(f"{name}: {error}")
    with contextlib.suppress(Exception):
        warm_up()
    os.write(1, json.dumps({"ready": os.getpid(), "missing": missing}).encode() + b"\n")
    Zygote(Path(scratch), contained == "contained").serve()
    os._exit(0)  # to take all that is loaded apart takes a second, for nothing


if __name__ == "__main__":
    main()
