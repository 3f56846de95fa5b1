"""Between a kernel's sockets and ours: what it may say in a cell, and no more.

ZeroMQ limits the size of a part and the number of messages that wait, but not how many
parts a message has: one without an end fills the memory of whoever listens. So what a
kernel says passes through here and is counted as it comes (by the frames of ZMTP 3,
https://rfc.zeromq.org/spec/23/). A kernel that says too much is cut off.
"""

import asyncio
import os
import secrets
import socket
import struct
import sys
from collections.abc import Iterable
from typing import cast

MESSAGES = 10_000  # in one cell
PARTS = 64  # of one message
GREETING = 64  # bytes before the first frame
MORE, LONG = 1, 2  # flags of a frame


class Wire:
    """The connections to one kernel, by the numbers of its sockets.

    Attributes:
        ours: the address to connect to, without "-" and the number.
        why: what was too much; "" until then.
    """

    def __init__(self, kernel: str, most_mb: int) -> None:
        self.kernel = kernel
        # A name that no file bears: nothing is left of it, however a run ends.
        linux = sys.platform == "linux"
        self.ours = f"@odenets-{secrets.token_hex(16)}" if linux else f"{kernel}-ours"
        self.most_mb = most_mb
        # Beside the outputs, of which the client counts every byte, it names each cell.
        self.most_bytes = 4 * most_mb << 20
        self.why = ""
        self._open: list[asyncio.AbstractServer | asyncio.BaseTransport] = []
        self.refill()

    def refill(self) -> None:
        """Let the kernel say as much again: another cell begins."""
        self.bytes, self.messages = self.most_bytes, MESSAGES

    @property
    def sent(self) -> int:
        """How many messages the kernel has sent in this cell."""
        return MESSAGES - self.messages

    async def open(self, numbers: Iterable[int]) -> None:
        """Connect to the kernel, and wait for one connection from our side to each.

        Raises:
            OSError: if the kernel cannot be reached.
        """
        for number in numbers:
            await self._connect(number)

    async def _connect(self, number: int) -> None:
        loop, kernel = asyncio.get_running_loop(), _Kernel(self)
        theirs = f"{self.kernel}-{number}"
        here = f"{self.ours}-{number}".replace("@", "\0", 1)
        transport, _ = await loop.create_unix_connection(lambda: kernel, theirs)
        self._open.append(transport)
        kernel.server = await loop.create_unix_server(lambda: _Ours(kernel), here)
        self._open.append(kernel.server)

    def close(self) -> None:
        """Close all connections."""
        while self._open:
            self._open.pop().close()


class _End(asyncio.Protocol):
    """One end of a connection: what comes in here goes out at the other end."""

    transport: asyncio.Transport
    other: "_End"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.other.transport.write(data)

    def pause_writing(self) -> None:
        self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        self.other.transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        self.other.transport.close()


class _Ours(_End):
    """Our side's end: what the kernel has said before goes out here."""

    def __init__(self, kernel: "_Kernel") -> None:
        self.other: _Kernel = kernel

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        # What is said waits here, not in the kernel: it is counted before it is read.
        self.transport.set_write_buffer_limits(self.other.wire.most_bytes)
        if self.other.ours is None and _is_our_user(transport):
            self.other.join(self)
        else:
            self.transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        if self.other.ours is self:
            super().connection_lost(error)


def _is_our_user(transport: asyncio.BaseTransport) -> bool:
    """Return whether the other side runs as this user, where the system tells."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    one: socket.socket = transport.get_extra_info("socket")
    told = one.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return struct.unpack("3i", told)[1] == os.getuid()


class _Kernel(_End):
    """The kernel's end, which counts."""

    server: asyncio.AbstractServer
    ours: _Ours | None = None

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.early = b""  # what came before we joined: a greeting
        self.body = GREETING  # bytes that are still to come before the next frame
        self.head = b""
        self.parts = 0

    def join(self, ours: _Ours) -> None:
        """Begin to speak, with our side alone."""
        self.ours = self.other = ours
        self.server.close()
        ours.transport.write(self.early)
        if self.transport.is_closing():
            ours.transport.close()

    def data_received(self, data: bytes) -> None:
        self._count(data)
        if self.wire.why:
            self.transport.abort()
        elif self.ours is not None:
            super().data_received(data)
        else:
            self.early += data

    def connection_lost(self, error: Exception | None) -> None:
        if self.ours is not None:
            super().connection_lost(error)

    def _count(self, data: bytes) -> None:
        wire, at = self.wire, 0
        wire.bytes -= len(data)
        while at < len(data) and self.parts <= PARTS:
            if self.body:
                step = min(self.body, len(data) - at)
                self.body -= step
            else:
                flags = (self.head or data[at : at + 1])[0]
                length = 9 if flags & LONG else 2
                step = min(length - len(self.head), len(data) - at)
                self.head += data[at : at + step]
                if len(self.head) == length:
                    self.body, self.head = int.from_bytes(self.head[1:], "big"), b""
                    self.parts = self.parts + 1 if flags & MORE else 0
                    wire.messages -= not flags & MORE
            at += step
        if wire.bytes < 0:
            wire.why = f"it printed more than {wire.most_mb} MB"
        elif wire.messages < 0:
            wire.why = f"it sent more than {MESSAGES} messages"
        elif self.parts > PARTS:
            wire.why = f"it sent a message of more than {PARTS} parts"
