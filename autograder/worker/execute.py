"""The untrusted step: code in, outputs and records out.

`execute` is a pure function of its job. It needs no course, no gradebook and no shared
disk, so it runs in this process, in a pool, or on another machine. Whatever the code
does, the answer is a result, and it comes in time. A kernel that dies, hangs or floods
loses the cell that did it, and the cells after it run in a new kernel; a submission
that holds up the grader itself is given up with what its cells left until then.
"""

import asyncio
import copy
import json
import logging
import os
import re
import signal
import stat
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import nbformat
import zmq
from jupyter_client.channels import AsyncZMQSocketChannel
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from . import hands, provisioner, sandbox, wire

MARGIN_SECONDS = 90.0  # beyond its own limit: to warm up a sandbox, and to end
READY_SECONDS = 30.0
BUSY_SECONDS = 30.0  # of them, for a machine that is busy with other things
REPLY_SECONDS = 20.0  # what may pass between the end of a cell and the word of it
MAX_RECORDS = 4 << 20  # bytes of one test cell
MAX_LINES = 1000
LOOKS = 10  # at a cell whose time is over
CAREFUL = 3  # deaths after which every test gets a kernel of its own
LOG = logging.getLogger("autograder.execute")
LOG.addHandler(logging.NullHandler())
LOG.propagate = False  # kernels that die are our daily work, not news

DEATH = "it ended Python"
KEPT_OUTPUTS = {"stream", "display_data", "execute_result", "error"}
KEPT_MESSAGES = KEPT_OUTPUTS | {"status", "execute_input", "clear_output"}
KEPT_MIMES = ("text/plain", "image/png", "image/jpeg")


@dataclass(frozen=True)
class Code:
    """One cell to execute: `test` cells leave records, the others leave names."""

    source: str
    test: str = ""  # the grade_id of a test cell
    answer: str = ""  # the grade_id of an answer cell
    decoys: tuple[Any, ...] = ()  # stay here: see `grading.tests.arm`


@dataclass(frozen=True)
class Job:
    """All that a worker needs to know."""

    name: str
    codes: tuple[Code, ...]
    limits: sandbox.Limits = field(default_factory=sandbox.Limits)
    contained: bool = True
    reference: bool = False  # the instructor's own code: records hold the criteria


@dataclass
class Ran:
    """What came of one cell."""

    outputs: list[dict[str, Any]] = field(default_factory=list)
    count: int | None = None
    trouble: str = ""  # why it did not run to its end; "" when it did
    error: str = ""  # the exception that it ended in
    records: list[str] = field(default_factory=list)  # lines of JSON, or of anything


@dataclass
class Result:
    """What came of a job."""

    name: str
    cells: list[Ran]
    seconds: float
    restarts: int


class _Channel(AsyncZMQSocketChannel):
    """A channel whose limits act although its messages never end."""

    async def get_msg(self, timeout: float | None = None) -> dict[str, Any]:  # type: ignore[override]
        await asyncio.sleep(0)  # a message that is there already lets nobody else work
        return await super().get_msg(timeout)


class _Client(NotebookClient):
    """nbclient, with a limit on what it listens to."""

    budget = 0
    flooded = False
    cut = False
    seconds = 0  # that a cell may take, beside those in which it is kept waiting
    late = False

    def watch(self) -> None:
        """Learn at once when the kernel's side of a connection goes away."""
        assert self.kc is not None
        channels = (self.kc.shell_channel, self.kc.iopub_channel)
        gone = zmq.EVENT_DISCONNECTED
        self.monitors = [one.socket.get_monitor_socket(gone) for one in channels]

    async def _async_poll_kernel_alive(self) -> None:
        """Stop waiting for a kernel that is dead, late, or cannot be heard any more."""
        started, kernel = time.monotonic(), provisioner.of(self.km)
        waited = kernel.kept_waiting
        while not (self.cut or self.late) and await kernel.poll() is None:
            try:
                ready = [await one.poll(250) for one in self.monitors]
            except zmq.ZMQError:  # they were closed meanwhile
                return
            self.cut = any(ready)
            busy = kernel.kept_waiting - waited
            self.late = time.monotonic() - started > self.seconds + busy
        assert self.task_poll_for_reply is not None
        self.task_poll_for_reply.cancel()

    def process_message(
        self, msg: dict[str, Any], cell: NotebookNode, cell_index: int
    ) -> NotebookNode | None:
        if msg["msg_type"] not in KEPT_MESSAGES:
            return None  # widgets and their like: nothing of it is graded
        if msg["msg_type"] in KEPT_OUTPUTS:
            self.budget -= len(json.dumps(msg["content"], default=str))
            if self.budget < 0:
                self.flooded = True
                assert self.task_poll_for_reply is not None
                self.task_poll_for_reply.cancel()  # as if the kernel had died
                return None
        return super().process_message(msg, cell, cell_index)


def execute(job: Job) -> Result:
    """Execute a job in a sandbox.

    Raises:
        SandboxError: if no sandbox starts here; never because of the code.
        Ended: if all are told to end.
    """
    limit = job.limits.notebook_seconds + MARGIN_SECONDS
    for last in (False, True):
        run = _Run(job)
        try:
            return hands.within(limit, run.go)
        except TimeoutError:
            return run.result(f"it held up the grader for more than {limit:g} s")
        except sandbox.SandboxError as error:
            if last and not run.began:
                raise
            why = f"it broke the sandbox, twice ({error})"
    return run.result(why)


def execute_plain(job: dict[str, Any]) -> dict[str, Any]:
    """Execute a job that arrived as plain data, and return plain data."""
    parts = ("source", "test", "answer")
    codes = tuple(Code(*(code[part] for part in parts)) for code in job["codes"])
    limits = sandbox.Limits(**job["limits"])
    return asdict(execute(Job(**{**job, "codes": codes, "limits": limits})))


class _Run:
    """One execution of one job, over as many kernels as it takes."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.started = time.monotonic()
        self.began = False  # with anything that the sandbox is there for
        self.cells = [Ran() for _ in job.codes]
        self.ended: set[int] = set()  # cells that have met their fate
        self.restarts = 0
        self.skip: set[int] = set()
        self.died: set[int] = set()
        self.client: _Client | None = None
        self.seen = 0  # bytes of the records that were read
        self.suspicious = False

    def go(self) -> Result:
        """Execute all cells in this thread's sandbox, which is warm by then."""
        self._box()
        try:
            return asyncio.run(self._all())
        except sandbox.SandboxError:
            sandbox.discard()
            raise

    def result(self, why: str = "") -> Result:
        """Return what came; `why` is the fate of the cells that did not get theirs."""
        cells = copy.deepcopy(self.cells)
        for index, cell in enumerate(cells):
            if why and index not in self.ended:
                cell.trouble, why = why, f"not run: {why.removeprefix('not run: ')}"
        seconds = round(time.monotonic() - self.started, 3)
        return Result(self.job.name, cells, seconds, self.restarts)

    async def _all(self) -> Result:
        self.deadline = time.monotonic() + self.job.limits.notebook_seconds
        self.latest = self.deadline + BUSY_SECONDS
        try:
            for index, code in enumerate(self.job.codes):
                ran = self.cells[index]
                if time.monotonic() > self.deadline:
                    limit = self.job.limits.notebook_seconds
                    ran.trouble = f"not run: the notebook took more than {limit} s"
                elif self.restarts < CAREFUL:
                    await self._one(index, range(index))
                elif code.test:
                    await self._alone(index)
                elif not code.answer:
                    ran.trouble = f"not run: {self.restarts} cells ended the kernel"
                self.ended.add(index)
            await self._retry()
        finally:
            await self._stop()
            if self.suspicious:
                sandbox.discard()  # a new world for the next one
        return self.result()

    async def _retry(self) -> None:
        """Run tests alone that left nothing, or in whose time the kernel died.

        So they do where that befell their answer. It may be another cell's fault: a
        thread strikes when it will, and what a cell leaves behind may break the tests.
        """
        died = set(self.died)
        for index, code in enumerate(self.job.codes):
            name = code.test.removeprefix("test_")
            answers = {i for i, c in enumerate(self.job.codes) if name == c.answer}
            silent = not (self.cells[index].records or self.cells[index].trouble)
            hit = code.test and (silent or died & {index, *answers})
            if hit and time.monotonic() < self.deadline:
                self.ended.discard(index)
                self.cells[index] = Ran()
                await self._alone(index)
                self.ended.add(index)

    async def _alone(self, index: int) -> None:
        """Run the test at `index` in a new kernel, after the set-up and its answer."""
        answer = self.job.codes[index].test.removeprefix("test_")
        others = range(1, index)
        before = [0, *(i for i in others if self.job.codes[i].answer == answer)]
        self.skip -= {index, *before}
        await self._stop()
        await self._one(index, before)

    async def _one(self, index: int, before: Iterable[int]) -> None:
        """Run cell `index`; where it ends the kernel, say so and go on.

        Args:
            before: the cells that a new kernel has to repeat.
        """
        ran = self.cells[index]
        if self.client is None and not await self._start(before):
            ran.trouble = "not run: the cells before it end the kernel"
            return
        test = bool(self.job.codes[index].test)
        if test:
            self._new_records(Ran())  # what was there before belongs to no test
        trouble = await self._execute(index, ran)
        if test:
            ran.records = self._new_records(ran)
        if trouble:
            ran.trouble = trouble
            self.skip.add(index)
            late = trouble.startswith("it took more than")
            if late or trouble.startswith(DEATH) or self.job.codes[index].answer:
                self.died.add(index)
            await self._end_kernel()

    async def _end_kernel(self) -> None:
        self.suspicious = True
        self.restarts += 1
        await self._stop()

    async def _start(self, before: Iterable[int]) -> bool:
        """Start a kernel and repeat the definitions `before`; return if it lives.

        What ran well at first may end the kernel now: that cell is left out then.
        """
        before = [i for i in before if not self.job.codes[i].test]
        for _ in range(CAREFUL):
            await self._new_kernel()
            for index in before:
                trouble = index not in self.skip and await self._execute(index, Ran())
                if trouble:
                    self.skip.add(index)
                    if trouble.startswith(DEATH):
                        self.died.add(index)
                    await self._end_kernel()
                    break
            else:
                return True
            if time.monotonic() > self.deadline:
                break
        return False

    async def _new_kernel(self) -> None:
        environment = {"ODENETS_CHECK_RECORDS": self._inside("records.jsonl")}
        if self.job.reference:
            environment["ODENETS_CHECK_REFERENCE"] = "1"
        limits = self.job.limits
        # A check that hangs leaves time for those that follow it in its cell.
        environment["ODENETS_CHECK_SECONDS"] = str(limits.cell_seconds / 6)
        manager = provisioner.manager(limits, self.job.contained, environment)
        # A test finds them again, whatever a student's code has made of them.
        again = f"import os\nos.environ.update({environment!r})\n"
        cells = [
            nbformat.v4.new_code_cell(again + code.source if code.test else code.source)
            for code in self.job.codes
        ]
        self.client = _Client(
            nbformat.v4.new_notebook(cells=cells),
            km=manager,
            timeout=limits.cell_seconds,
            interrupt_on_timeout=False,
            allow_errors=True,
            record_timing=False,
            store_widget_state=False,
            log=LOG,
        )
        self.seen = 0
        await manager.start_kernel()
        channels = {f"{name}_channel_class": _Channel for name in ("shell", "iopub")}
        client = self.client.kc = manager.client(**channels)
        # No heartbeat: it waits for answers without a limit, and we ask the sandbox.
        client.start_channels(hb=False)
        try:
            ready = client.wait_for_ready(timeout=READY_SECONDS)
            await asyncio.wait_for(ready, READY_SECONDS + REPLY_SECONDS)
        except (RuntimeError, TimeoutError) as error:
            raise sandbox.SandboxError(f"the kernel is silent: {error}") from None
        client.allow_stdin = False
        self.client.watch()

    async def _execute(self, index: int, ran: Ran) -> str:
        """Execute one cell; return what ended the kernel, or nothing."""
        client = self.client
        assert client is not None
        limits = self.job.limits
        rest = max(self.deadline - time.monotonic(), 1.0)
        client.seconds = max(1, int(min(limits.cell_seconds, rest)))
        # A busy machine does no harm, within reason.
        client.timeout = client.seconds + min(3 * client.seconds, int(BUSY_SECONDS))
        client.budget, client.flooded = limits.output_mb << 20, False
        kernel = provisioner.of(client.km)
        client.late, waited = False, kernel.kept_waiting
        kernel.wire.refill()
        cell = client.nb.cells[index]
        trouble = ""
        self.began |= index > 0
        try:
            done = client.async_execute_cell(cell, index)
            await asyncio.wait_for(done, client.timeout + REPLY_SECONDS)
        except (CellTimeoutError, TimeoutError):
            client.late = True
        except DeadKernelError:
            trouble = "" if client.late else await self._how_it_died(client)
        except Exception as error:  # a kernel may say anything
            trouble = f"it confused the protocol ({type(error).__name__})"
        if client.late:
            trouble = await self._of_limits(client)
        self.deadline += kernel.kept_waiting - waited
        self.deadline = min(self.deadline, self.latest)
        ran.outputs = _plain_outputs(cell.outputs)
        ran.count = cell.execution_count if type(cell.execution_count) is int else None
        for output in ran.outputs:
            if output["output_type"] == "error":
                ran.error = f"{output['ename']}: {output['evalue']}"[:500]
        return trouble

    async def _of_limits(self, client: _Client) -> str:
        """Say why a cell was not done in time: the limit that it met, loop or wait.

        On a busy machine time may be over before another limit is reached: then what
        it had used until then tells.
        """
        limits = self.job.limits
        looks = []
        for _ in range(LOOKS):
            looks.append(provisioner.of(client.km).state("look"))
            await asyncio.sleep(0.02)
        last = looks[-1]
        if why := last["why"] or last["near"]:
            return f"it used {why}"
        late = f"was not done after {client.seconds} s"
        if last["memory_mb"] > limits.memory_mb / 2:
            return f"it used {last['memory_mb']} MB of memory, and {late}"
        if last["processes"] > limits.processes / 2:
            return f"it used {last['processes']} processes, and {late}"
        if (sent := provisioner.of(client.km).wire.sent) > wire.MESSAGES / 10:
            return f"it sent {sent} messages, and {late}"
        if client.seconds < limits.cell_seconds:
            return f"the notebook took more than {limits.notebook_seconds} s"
        waited = not any(look["computing"] for look in looks)
        return f"it took more than {client.seconds} s" + ", and waited" * waited

    async def _how_it_died(self, client: _Client) -> str:
        limits = self.job.limits
        if client.flooded:
            return f"it printed more than {limits.output_mb} MB"
        if too_much := provisioner.of(client.km).wire.why:
            return too_much
        for _ in range(20):  # the connection may be gone some moments earlier
            state = provisioner.of(client.km).state()
            if state["exit"] is not None:
                break
            await asyncio.sleep(0.1)
        else:
            return (
                f"it printed more than {limits.output_mb} MB at once, or cut its "
                "connection to the grader"
            )
        code = state["exit"]
        why = state["why"] or (state["near"] if code == -signal.SIGKILL else "")
        if why:
            return f"it used {why}"
        names = {
            -signal.SIGKILL: "it was killed, by its own code or for lack of memory",
            -signal.SIGSEGV: "it crashed (segmentation fault)",
            -signal.SIGXCPU: f"it used {limits.notebook_seconds} s of processor time",
            -signal.SIGABRT: "it aborted",
        }
        return names.get(code, f"{DEATH} (exit status {code})")

    async def _stop(self) -> None:
        client, self.client = self.client, None
        if client is None:
            return
        if client.kc is not None:
            client.kc.stop_channels()  # each of them without a wait
        await provisioner.of(client.km).kill()
        assert client.km is not None
        client.km._close_control_socket()
        client.km.context.destroy(linger=0)

    # ------------------------------------------------------------------- records

    def _box(self) -> sandbox.Sandbox:
        return sandbox.current(
            contained=self.job.contained, scratch_mb=self.job.limits.scratch_mb
        )

    def _inside(self, name: str) -> str:
        return f"{self._box().scratch}/{name}"

    def _new_records(self, ran: Ran) -> list[str]:
        """Read what was appended to the records since the last time.

        Only what a test cell appended while it ran counts for it. The file belongs to
        the student: it may be anything, of any size. Its lines stay text until they
        are judged, because text takes no more room than it says.
        """
        if self.client is None or self.client.km is None:
            return []
        box = provisioner.of(self.client.km).sandbox
        path = box.outside / "records.jsonl"
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            descriptor = os.open(path, flags)
        except OSError:
            return []
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                return []
            start, self.seen = min(self.seen, status.st_size), status.st_size
            data = os.pread(descriptor, MAX_RECORDS + 1, start)
        except OSError:
            return []
        finally:
            os.close(descriptor)
        if len(data) > MAX_RECORDS or data.count(b"\n") > MAX_LINES:
            ran.trouble = ran.trouble or "its values are too large"
            return []
        lines = data.decode("utf-8", errors="replace").split("\n")
        return [line for line in lines if line]


def _plain_outputs(outputs: Iterable[NotebookNode]) -> list[dict[str, Any]]:
    """Return plain outputs, all that went to one stream as one."""
    made: list[dict[str, Any]] = []
    streams: dict[str, list[str]] = {}
    for output in outputs:
        plain = _plain_output(output)
        if plain is None:
            continue
        if plain["output_type"] != "stream":
            made.append(plain)
        elif plain["name"] in streams:
            streams[plain["name"]].append(plain["text"])
        else:
            streams[plain["name"]] = [plain["text"]]
            made.append(plain)
    for plain in made:
        if plain["output_type"] == "stream":
            plain["text"] = "".join(streams[plain["name"]])
    return made


def _is(mime: str, text: str) -> bool:
    """Return whether a text is what it is called: a picture is nothing but base64."""
    return mime == "text/plain" or re.fullmatch(r"[A-Za-z0-9+/=\s]*", text) is not None


def _plain_output(output: NotebookNode) -> dict[str, Any] | None:
    """Return an output without anything that a browser would run."""
    kind = output.get("output_type")
    if kind == "stream":
        name = "stderr" if output.name == "stderr" else "stdout"
        return {"output_type": kind, "name": name, "text": str(output.text)}
    if kind == "error":
        trace = [str(line)[:2000] for line in output.traceback[-40:]]
        names = {"ename": str(output.ename)[:200], "evalue": str(output.evalue)[:2000]}
        return {"output_type": kind, **names, "traceback": trace}
    if kind in ("display_data", "execute_result"):
        data = {key: output.data[key] for key in KEPT_MIMES if key in output.data}
        data = {k: v for k, v in data.items() if isinstance(v, str) and _is(k, v)}
        if not data:
            return None
        plain = {"output_type": kind, "data": data, "metadata": {}}
        if kind == "execute_result":
            plain["execution_count"] = output.get("execution_count")
        return plain
    return None
