"""One TCP connection, bounded: what it sends before it is understood, what it leaves unread, how long it dawdles.

asyncua 2.1 collects whatever a header announces (up to 4 GB), writes into a socket that nobody reads without end, and
goes on after a message that it could not decode.
"""

from __future__ import annotations

import asyncio
import logging
import struct
import time
from typing import TYPE_CHECKING, Any

from asyncua import ua
from asyncua.common.connection import TransportLimits
from asyncua.common.utils import Buffer
from asyncua.server.binary_server_asyncio import BinaryServer, OPCUAProtocol
from asyncua.ua.ua_binary import header_from_binary

from controller.status.security import limits
from controller.status.security.processor import GuardedProcessor, Refusal

if TYPE_CHECKING:
    from controller.status.security.server import GuardedInternalServer

_log = logging.getLogger("controller.status.connection")
_HEADER = struct.Struct("<3scI")
_KINDS = {
    ua.MessageType.Hello: 8192,
    ua.MessageType.SecureOpen: limits.LARGEST_CHUNK,
    ua.MessageType.SecureMessage: limits.LARGEST_CHUNK,
    ua.MessageType.SecureClose: limits.LARGEST_CHUNK,
}
"""What a client sends, and the bytes of its largest packet."""
SWEEP_S = 1.0


class Outlet:
    """A transport that is cut off rather than filled without end."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def write(self, data: bytes) -> None:
        """Queue bytes for the client."""
        if self._transport.is_closing():
            return
        if self._transport.get_write_buffer_size() > limits.MOST_UNREAD:
            self._transport.abort()
            return
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class GuardedConnection(OPCUAProtocol):
    """The library's protocol with its own reading, bounded."""

    iserver: GuardedInternalServer  # pyright: ignore[reportIncompatibleVariableOverride]
    processor: GuardedProcessor | None  # pyright: ignore[reportIncompatibleVariableOverride]

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._inbox = bytearray()
        self._since = self._partial_since = time.monotonic()
        self._unread_since: float | None = None

    # --- coming and going ---------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client came: it gets a place, of a longer waiting half-open one if need be."""
        assert isinstance(transport, asyncio.Transport)
        self.peer_name = transport.get_extra_info("peername")
        waiting = [client for client in self.clients if isinstance(client, GuardedConnection) and client.half_open]
        if len(waiting) >= limits.HALF_OPEN:
            waiting[0].cut("half open, and another one came")
        if len(self.clients) >= self.iserver.max_connections:
            transport.abort()
            return
        transport.set_write_buffer_limits(high=limits.UNREAD)
        self.transport = transport
        self.processor = GuardedProcessor(  # pyright: ignore[reportIncompatibleVariableOverride]
            self.iserver, Outlet(transport), self.limits
        )
        self.processor.set_policies(self.policies)
        self.iserver.asyncio_transports.append(transport)
        self.clients.append(self)
        self._task = asyncio.create_task(self._process_received_message_loop())

    @property
    def half_open(self) -> bool:
        """Nobody logged in here, or not any more."""
        return self.processor is None or not self.processor.logged_in

    def cut(self, why: str) -> None:
        """End the connection at once; what waits for the client is thrown away."""
        if self.transport is not None and not self.transport.is_closing():
            _log.info("connection of %s ended: %s", self.peer_name, why)
            self.transport.abort()

    def sweep(self, now: float) -> None:
        """End it when it dawdles, or when its client is not welcome any more."""
        processor = self.processor
        if processor is None:
            return
        if self.half_open:
            if now - self._since > limits.HALF_OPEN_S:
                self.cut("nobody logged in")
            return
        self._since = now
        if self._inbox and now - self._partial_since > limits.HALF_OPEN_S:
            self.cut("half a message")
        elif self._unread_since is not None and now - self._unread_since > limits.UNREAD_S:
            self.cut("reads nothing")
        elif not self.iserver.welcome(processor):
            self.cut("its certificate or its account was taken away")

    # --- flow ---------------------------------------------------------------------------------------------------

    def pause_writing(self) -> None:
        """The client does not read: take no more requests from it."""
        self._unread_since = time.monotonic()
        if self.transport is not None and not self.transport.is_closing():
            self.transport.pause_reading()

    def resume_writing(self) -> None:
        """It reads again."""
        self._unread_since = None
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Cut the stream into packets; the first impossible one ends the connection."""
        if not self._inbox:
            self._partial_since = time.monotonic()
        self._inbox += data
        start = 0
        while len(self._inbox) - start >= _HEADER.size:
            kind, chunk, size = _HEADER.unpack_from(self._inbox, start)
            least = 8 if kind == ua.MessageType.Hello else 12
            if not least <= size <= _KINDS.get(kind, 0) or chunk not in b"FCA":
                self.cut(f"no packet of the protocol: {kind!r} {chunk!r} of {size} bytes")
                return
            if len(self._inbox) - start < size:
                break
            packet = Buffer(bytes(self._inbox[start : start + size]))
            start += size
            try:
                self.messages.put_nowait((header_from_binary(packet), packet))
            except asyncio.QueueFull:
                self.cut("sends faster than it can be served")
                return
        if start:
            del self._inbox[:start]
            self._partial_since = time.monotonic()

    async def _process_one_msg(self, header: Any, buf: Buffer) -> bool:
        """One packet; one that cannot be understood ends the connection, as the protocol wants it."""
        try:
            return await super()._process_one_msg(header, buf)
        except Refusal as refusal:
            self.cut(str(refusal))
        except Exception as error:  # noqa: BLE001 - the library's decoders fail in every way there is
            self.cut(f"{type(error).__name__}: {str(error)[:100]}")
        return False


class GuardedBinaryServer(BinaryServer):
    """The listener: its connections are guarded, and swept once a second."""

    iserver: GuardedInternalServer  # pyright: ignore[reportIncompatibleVariableOverride]

    def __init__(self, iserver: GuardedInternalServer, host: str, port: int, transport_limits: TransportLimits) -> None:
        super().__init__(iserver, host, port, transport_limits)
        self._sweeper: asyncio.Task[None] | None = None

    def _make_protocol(self) -> OPCUAProtocol:
        return GuardedConnection(
            iserver=self.iserver,
            policies=self._policies,
            clients=self.clients,
            closing_tasks=self.closing_tasks,
            limits=self.limits,
        )

    async def start(self) -> None:
        """Listen."""
        await super().start()
        self._sweeper = asyncio.create_task(self._sweep())

    async def stop(self) -> None:
        """Stop listening and end all connections."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        await super().stop()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            now = time.monotonic()
            for client in tuple(self.clients):
                if isinstance(client, GuardedConnection):
                    client.sweep(now)
            await self._close_tasks()
