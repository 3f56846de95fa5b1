"""The untrusted step: code in, outputs and records out.

`execute` is a pure function of its job. It needs no course, no gradebook and no shared
disk, so it runs in this process, in a pool, or on another machine. Whatever the code
does, the answer is a result: a kernel that dies, hangs or floods loses the cell that
did it, and the cells after it run in a new kernel.
"""

import asyncio
import contextlib
import json
import os
import stat
import time
from dataclasses import asdict, dataclass, field
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from . import provisioner, sandbox

MAX_RECORDS = 12 << 20
MAX_RESTARTS = 12
KEPT_OUTPUTS = {"stream", "display_data", "execute_result", "error"}
KEPT_MESSAGES = KEPT_OUTPUTS | {"status", "execute_input", "clear_output"}
KEPT_MIMES = ("text/plain", "image/png", "image/jpeg")


@dataclass(frozen=True)
class Code:
    """One cell to execute: `test` cells leave records, the others leave names."""

    source: str
    test: str = ""  # the grade_id of a test cell


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
    records: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Result:
    """What came of a job."""

    name: str
    cells: list[Ran]
    seconds: float
    restarts: int
    trouble: str = ""  # what ended the whole notebook early


class _TooMuch(Exception):
    """The kernel said more than is read."""


class _Client(NotebookClient):
    """nbclient, with a limit on what it listens to."""

    budget = 0

    def process_message(
        self, msg: dict[str, Any], cell: NotebookNode, cell_index: int
    ) -> NotebookNode | None:
        if msg["msg_type"] not in KEPT_MESSAGES:
            return None  # widgets and their like: nothing of it is graded
        if msg["msg_type"] in KEPT_OUTPUTS:
            self.budget -= len(json.dumps(msg["content"], default=str))
            if self.budget < 0:
                raise _TooMuch
        return super().process_message(msg, cell, cell_index)


def execute(job: Job) -> Result:
    """Execute a job in this thread's sandbox.

    Raises:
        SandboxError: if the sandbox itself failed twice; never because of the code.
    """
    for attempt in (1, 2):
        try:
            return asyncio.run(_Run(job).all())
        except sandbox.SandboxError:
            sandbox.discard()
            if attempt == 2:
                raise
    raise AssertionError  # unreachable


def execute_plain(job: dict[str, Any]) -> dict[str, Any]:
    """Execute a job that arrived as plain data, and return plain data."""
    codes = tuple(Code(**code) for code in job["codes"])
    limits = sandbox.Limits(**job["limits"])
    return asdict(execute(Job(**{**job, "codes": codes, "limits": limits})))


class _Run:
    """One execution of one job, over as many kernels as it takes."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.cells = [Ran() for _ in job.codes]
        self.restarts = 0
        self.skip: set[int] = set()
        self.client: _Client | None = None
        self.seen = 0  # bytes of the records that were read
        self.suspicious = False

    async def all(self) -> Result:
        started = time.monotonic()
        deadline = started + self.job.limits.notebook_seconds
        trouble = ""
        try:
            for index in range(len(self.job.codes)):
                if time.monotonic() > deadline:
                    seconds = self.job.limits.notebook_seconds
                    trouble = f"the notebook took more than {seconds} s"
                elif self.restarts > MAX_RESTARTS:
                    trouble = f"the kernel died {self.restarts} times"
                if trouble:
                    self.cells[index].trouble = f"not run: {trouble}"
                    continue
                await self._one(index, deadline)
        finally:
            await self._stop()
            if self.suspicious:
                sandbox.discard()  # a new world for the next one
        seconds = round(time.monotonic() - started, 3)
        return Result(self.job.name, self.cells, seconds, self.restarts, trouble)

    async def _one(self, index: int, deadline: float) -> None:
        """Run cell `index`; where it ends the kernel, say so and go on."""
        if self.client is None and not await self._start(index, deadline):
            self.cells[index].trouble = "not run: the cells before it end the kernel"
            return
        ran = self.cells[index]
        trouble = await self._execute(index, ran, deadline)
        code = self.job.codes[index]
        if code.test:
            ran.records = self._new_records(ran)
        if trouble:
            ran.trouble = trouble
            self.skip.add(index)
            self.suspicious = True
            self.restarts += 1
            await self._stop()

    async def _start(self, upto: int, deadline: float) -> bool:
        """Start a kernel, and repeat the definitions before cell `upto` in it."""
        while True:
            environment = {"ODENETS_CHECK_RECORDS": self._inside("records.jsonl")}
            if self.job.reference:
                environment["ODENETS_CHECK_REFERENCE"] = "1"
            manager = provisioner.manager(
                self.job.limits, self.job.contained, environment
            )
            notebook = nbformat.v4.new_notebook(
                cells=[nbformat.v4.new_code_cell(c.source) for c in self.job.codes]
            )
            self.client = _Client(
                notebook,
                km=manager,
                timeout=self.job.limits.cell_seconds,
                interrupt_on_timeout=False,
                allow_errors=True,
                record_timing=False,
                coalesce_streams=True,
                store_widget_state=False,
            )
            self.seen = 0
            await manager.start_kernel()
            client = self.client.kc = manager.client()
            client.start_channels()
            try:
                await client.wait_for_ready(timeout=30)
            except RuntimeError as error:
                raise sandbox.SandboxError(f"the kernel is silent: {error}") from None
            client.allow_stdin = False
            died = None
            for index in range(upto):
                if self.job.codes[index].test or index in self.skip:
                    continue
                if await self._execute(index, Ran(), deadline):
                    died = index
                    break
            if died is None:
                self._new_records(Ran())
                return True
            # What ran well at first ends the kernel now: leave it out, and try again.
            self.skip.add(died)
            self.restarts += 1
            await self._stop()
            if self.restarts > MAX_RESTARTS or time.monotonic() > deadline:
                return False

    async def _execute(self, index: int, ran: Ran, deadline: float) -> str:
        """Execute one cell; return what ended the kernel, or nothing."""
        client = self.client
        limits = self.job.limits
        rest = max(deadline - time.monotonic(), 1.0)
        client.timeout = max(1, int(min(limits.cell_seconds, rest)))
        client.budget = limits.output_mb << 20
        cell = client.nb.cells[index]
        trouble = ""
        try:
            await client.async_execute_cell(cell, index)
        except CellTimeoutError:
            trouble = f"it took more than {client.timeout} s"
        except DeadKernelError:
            trouble = self._how_it_died()
        except _TooMuch:
            trouble = f"it printed more than {limits.output_mb} MB"
        except Exception as error:  # a kernel may say anything
            trouble = f"it confused the protocol ({type(error).__name__})"
        ran.outputs = [kept for o in cell.outputs if (kept := _plain_output(o))]
        ran.count = cell.execution_count
        for output in ran.outputs:
            if output["output_type"] == "error":
                ran.error = f"{output['ename']}: {output['evalue']}"[:500]
        return trouble

    def _how_it_died(self) -> str:
        state = self.client.km.provisioner.state()
        if state["why"]:
            return f"it used {state['why']}"
        names = {-9: "it was killed", -11: "it crashed (segmentation fault)"}
        names |= {-24: "it used too much processor time", -6: "it aborted"}
        code = state["exit"]
        return names.get(code, f"it ended Python (exit status {code})")

    async def _stop(self) -> None:
        client, self.client = self.client, None
        if client is None:
            return
        if client.kc is not None:
            client.kc.stop_channels()
        await client.km.provisioner.kill()
        client.km._close_control_socket()
        client.km.context.destroy(linger=0)

    # ------------------------------------------------------------------- records

    def _inside(self, name: str) -> str:
        box = sandbox.current(
            contained=self.job.contained, scratch_mb=self.job.limits.scratch_mb
        )
        return f"{box.scratch}/{name}"

    def _new_records(self, ran: Ran) -> list[dict[str, Any]]:
        """Read what was appended to the records since the last time.

        Only what a test cell appended while it ran counts for it. The file belongs to
        the student: it may be anything, of any size.
        """
        if self.client is None or self.client.km is None:
            return []
        box = self.client.km.provisioner.sandbox
        path = box.outside / "records.jsonl"
        try:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
            descriptor = os.open(path, flags)
        except OSError:
            return []
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                return []
            start, self.seen = min(self.seen, status.st_size), status.st_size
            file.seek(start)
            data = file.read(MAX_RECORDS + 1)
        if len(data) > MAX_RECORDS:
            ran.trouble = ran.trouble or "its values are too large"
            return []
        records = []
        for line in data.decode("utf-8", errors="replace").splitlines():
            with contextlib.suppress(ValueError, RecursionError):
                record = json.loads(line)
                if isinstance(record, dict):
                    records.append(record)
        return records


def _plain_output(output: NotebookNode) -> dict[str, Any] | None:
    """Return an output without anything that a browser would run."""
    kind = output.get("output_type")
    if kind == "stream":
        return {"output_type": kind, "name": output.name, "text": str(output.text)}
    if kind == "error":
        trace = [str(line)[:2000] for line in output.traceback[-40:]]
        names = {"ename": str(output.ename)[:200], "evalue": str(output.evalue)[:2000]}
        return {"output_type": kind, **names, "traceback": trace}
    if kind in ("display_data", "execute_result"):
        data = {key: output.data[key] for key in KEPT_MIMES if key in output.data}
        data = {key: value for key, value in data.items() if isinstance(value, str)}
        if not data:
            return None
        plain = {"output_type": kind, "data": data, "metadata": {}}
        if kind == "execute_result":
            plain["execution_count"] = output.get("execution_count")
        return plain
    return None
