"""How Jupyter starts a kernel in the sandbox: a kernel provisioner, an entry point.

nbclient and nbgrader ask `jupyter_client` for a kernel and get one that was forked from
the warm process of this thread's sandbox; they need not know. It talks through sockets
in the sandbox's scratch folder, which the outside reaches through `/proc`; what it may
say there is limited by a `wire`.
"""

import os
import signal
from importlib.metadata import EntryPoint
from typing import Any

import zmq.asyncio
from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager, KernelManager
from jupyter_client.provisioning import KernelProvisionerBase, KernelProvisionerFactory

from . import sandbox
from .wire import Wire

NAME = "odenets-warm"
PORTS = {"shell": 1, "iopub": 2, "stdin": 3, "control": 4, "hb": 5}
MAX_MESSAGES = 200  # that wait to be read, with `output_mb` at most in each


class WarmProvisioner(KernelProvisionerBase):
    """Forks a kernel from the warm process of this thread's sandbox."""

    running = False
    kept_waiting = 0.0
    """Seconds in which the kernel had work and no processor, when we last asked."""
    limits = sandbox.Limits()
    contained = True
    environment: dict[str, str] = {}  # noqa: RUF012 - a default, never changed

    @property
    def has_process(self) -> bool:
        return self.running

    def state(self, do: str = "poll") -> dict[str, Any]:
        """Return how the kernel ended (`exit`, None while it lives) and why.

        `why` names the limit that it went beyond, `near` one that it only came to. With
        `look` it tells `memory_mb`, `processes` and whether it is `computing`, too.
        """
        try:
            came = self.sandbox.ask(do)
        except sandbox.SandboxError:  # with all that was in it
            gone = {"exit": -int(signal.SIGKILL), "why": "", "near": ""}
            return {**gone, "memory_mb": 0, "processes": 0, "computing": False}
        self.kept_waiting = came["kept_waiting"]
        return came

    async def poll(self) -> int | None:
        return self.state()["exit"] if self.running else 0

    async def wait(self) -> int | None:
        if self.running:
            await self.kill()
        return 0

    async def send_signal(self, signum: int) -> None:
        self.sandbox.ask("signal", number=int(signum))

    async def kill(self, restart: bool = False) -> None:
        """Kill the kernel and everything that it started."""
        if self.running:
            self.running = False
            self.wire.close()
            try:
                self.sandbox.clean()
            except sandbox.SandboxError:
                sandbox.discard()

    async def terminate(self, restart: bool = False) -> None:
        await self.kill(restart)

    async def cleanup(self, restart: bool = False) -> None:
        await self.kill(restart)

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        self.sandbox = sandbox.current(
            contained=self.contained, scratch_mb=self.limits.scratch_mb
        )
        manager: Any = self.parent
        manager.transport = "ipc"
        self.wire = Wire(str(self.sandbox.outside / "k"), self.limits.output_mb)
        manager.ip = self.wire.ours
        for name, port in PORTS.items():
            setattr(manager, f"{name}_port", port)
        self.connection_info = manager.get_connection_info()
        return await super().pre_launch(cmd=[], **kwargs)

    async def launch_kernel(
        self, cmd: list[str], **kwargs: Any
    ) -> KernelConnectionInfo:
        outside: dict[str, Any] = dict(self.connection_info)
        inside: dict[str, Any] = {f"{name}_port": port for name, port in PORTS.items()}
        inside |= {"transport": "ipc", "ip": f"{self.sandbox.scratch}/k"}
        inside["key"] = outside["key"].decode()
        inside["signature_scheme"] = outside["signature_scheme"]
        self.sandbox.ask(
            "start",
            connection=inside,
            environment=self.environment,
            limits=self.limits.for_kernel(self.contained),
        )
        self.running = True
        try:
            await self.wire.open(PORTS.values())
        except OSError as error:
            raise sandbox.SandboxError(f"the kernel is out of reach: {error}") from None
        return self.connection_info


class _OneSpec(KernelSpecManager):
    """Knows one kernel: ours. Nothing has to be installed anywhere."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        provisioner = {"provisioner_name": NAME, "config": {}}
        return KernelSpec(
            argv=["python"],
            display_name="Python 3 (ipykernel)",
            language="python",
            interrupt_mode="signal",
            metadata={"kernel_provisioner": provisioner},
        )


class _Manager(AsyncKernelManager):
    """Keeps the key to itself: nobody else connects, and no file is left behind."""

    def write_connection_file(self, **kwargs: Any) -> None:
        pass


def manager(
    limits: sandbox.Limits, contained: bool, environment: dict[str, str]
) -> AsyncKernelManager:
    """Return a kernel manager whose kernels are warm and contained."""
    factory = KernelProvisionerFactory.instance()
    if NAME not in factory.provisioners:  # on the path, but not installed
        value = f"{WarmProvisioner.__module__}:{WarmProvisioner.__name__}"
        group = KernelProvisionerFactory.GROUP_NAME
        factory.provisioners[NAME] = EntryPoint(NAME, value, group)
    context = zmq.asyncio.Context()
    # A kernel may neither flood us with one message nor make us call elsewhere.
    context.setsockopt(zmq.MAXMSGSIZE, (limits.output_mb + 1) << 20)
    context.setsockopt(zmq.RCVHWM, MAX_MESSAGES)
    context.setsockopt(zmq.RECONNECT_IVL, -1)
    context.setsockopt(zmq.LINGER, 0)
    made = _Manager(kernel_name=NAME, kernel_spec_manager=_OneSpec(), context=context)
    made.provisioner = factory.create_provisioner_instance(
        f"odenets-{os.getpid()}", made.kernel_spec, parent=made
    )
    kernel = of(made)
    kernel.limits, kernel.contained = limits, contained
    kernel.environment = environment
    return made


def of(manager: KernelManager | None) -> WarmProvisioner:
    """Return the provisioner of a manager that `manager` made."""
    assert manager is not None
    assert isinstance(manager.provisioner, WarmProvisioner)
    return manager.provisioner
