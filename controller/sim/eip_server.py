"""EtherNet/IP as a controller's network port speaks it: encapsulation, sessions, connections; the tags are elsewhere.

Encapsulation: CIP Networks Library Vol. 2, chapter 2; connection manager: Vol. 1, chapter 3. Explicit messages only,
unconnected and over class 3 connections, which end with their TCP connection.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass
from typing import Protocol

_HEADER = struct.Struct("<HHII8sI")
_REGISTER, _UNREGISTER, _IDENTITY, _UNCONNECTED, _CONNECTED = 0x65, 0x66, 0x63, 0x6F, 0x70
_BAD_COMMAND, _BAD_DATA, _BAD_SESSION = 0x01, 0x03, 0x64
_NULL, _ADDRESS, _DATA_CONNECTED, _DATA_UNCONNECTED, _LISTED = 0x00, 0xA1, 0xB1, 0xB2, 0x0C

CONNECTION_MANAGER = b"\x20\x06\x24\x01"
IDENTITY = b"\x20\x01\x24\x01"
_UNCONNECTED_SEND, _FORWARD_OPEN, _FORWARD_OPEN_LARGE, _FORWARD_CLOSE = 0x52, 0x54, 0x5B, 0x4E
_GET_ALL = 0x01
_SMALL_MESSAGE = 504

UNKNOWN_PATH, NOT_SUPPORTED, REFUSED, TOO_SHORT, TOO_LONG = 0x05, 0x08, 0x01, 0x13, 0x15
_NO_SUCH_CONNECTION = 0x0107

_RUNNING = 0x0060
_NAME = b"1756-L83E/B Linegate soft PLC"
_IDENTITY_OBJECT = struct.pack("<HHHBBHI", 1, 14, 166, 33, 11, _RUNNING, 0x11E6A7E) + bytes([len(_NAME)]) + _NAME
"""Vendor, product type (controller), code, firmware, status, serial number, name."""


class CipFault(Exception):
    """A service that fails. status: general status; extended: a further word where there is one."""

    def __init__(self, status: int, extended: int | None = None) -> None:
        super().__init__(f"CIP status {status:#x}")
        self.status, self.extended = status, extended


class CipDevice(Protocol):
    """What stands behind the port."""

    def serve(self, service: int, path: bytes, content: bytes, room: int) -> tuple[int, bytes]:
        """One service on one object: general status and a reply of at most `room` bytes. Raises CipFault."""
        ...


def split_message(message: bytes) -> tuple[int, bytes, bytes]:
    """Service, path and content of a request to the message router. Raises CipFault."""
    if len(message) < 2 or len(message) < 2 + 2 * message[1]:
        raise CipFault(TOO_SHORT)
    end = 2 + 2 * message[1]
    return message[0], message[2:end], message[end:]


def answered(service: int, status: int, content: bytes = b"", extended: int | None = None) -> bytes:
    """A reply of the message router."""
    words = b"" if extended is None else struct.pack("<H", extended)
    return bytes((service | 0x80, 0, status, len(words) // 2)) + words + content


def serve_message(device: CipDevice, message: bytes, room: int) -> bytes:
    """A request and its whole reply, whatever becomes of it."""
    service = message[0] if message else 0
    try:
        service, path, content = split_message(message)
        status, reply = device.serve(service, path, content, room)
    except CipFault as fault:
        return answered(service, fault.status, extended=fault.extended)
    return answered(service, status, reply)


class EipServer:
    """Listens and serves one device. Event loop thread only. large_messages: connections may exceed 500 bytes."""

    def __init__(self, device: CipDevice, *, large_messages: bool = True) -> None:
        self.device, self.large_messages = device, large_messages
        self.frozen = False
        self.ports: set[_Port] = set()
        self.next_session = 0x1000
        self._listening: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; the port. 0 takes a free one."""
        self._listening = await asyncio.get_running_loop().create_server(lambda: _Port(self), host, port)
        return int(self._listening.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Cut every connection and stop listening."""
        if self._listening is not None:
            self._listening.close()
        for port in tuple(self.ports):
            port.cut()
        await asyncio.sleep(0)

    def freeze(self) -> None:
        """From now on nothing is answered, nothing is lost: what a controller with a stuck network port does."""
        self.frozen = True

    def thaw(self) -> None:
        """Go on, with what came in the meantime first."""
        self.frozen = False
        for port in tuple(self.ports):
            port.work()


@dataclass(slots=True)
class _Connection:
    """A class 3 connection. answers_as: the identifier that the originator chose for replies."""

    answers_as: int
    triad: bytes
    room: int


class _Port(asyncio.Protocol):
    """One client's TCP connection."""

    def __init__(self, server: EipServer) -> None:
        self._server = server
        self._transport: asyncio.Transport
        self._pending = bytearray()
        self._session = 0
        self._connections: dict[int, _Connection] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._server.ports.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.ports.discard(self)

    def data_received(self, data: bytes) -> None:
        self._pending += data
        self.work()

    def cut(self) -> None:
        """End the connection at once."""
        self._transport.abort()

    def work(self) -> None:
        """Answer every whole message that has come."""
        while not self._server.frozen and len(self._pending) >= _HEADER.size:
            command, length, session, _, context, _ = _HEADER.unpack_from(self._pending)
            end = _HEADER.size + length
            if len(self._pending) < end:
                return
            body = bytes(self._pending[_HEADER.size : end])
            del self._pending[:end]
            if command == _UNREGISTER:
                self._transport.close()
                return
            status, reply = self._handle(command, session, body)
            if reply is not None:
                head = _HEADER.pack(command, len(reply), self._session or session, status, context, 0)
                self._transport.write(head + reply)

    def _handle(self, command: int, session: int, body: bytes) -> tuple[int, bytes | None]:
        if command == _REGISTER:
            self._server.next_session += 1
            self._session = self._server.next_session
            return 0, body
        if command == _IDENTITY:
            return 0, _listed_identity(self._transport)
        if command not in (_UNCONNECTED, _CONNECTED):
            return _BAD_COMMAND, b""
        if session != self._session or not session:
            return _BAD_SESSION, b""
        try:
            address, message = _items(body)
        except (struct.error, ValueError):
            return _BAD_DATA, b""
        if command == _UNCONNECTED:
            reply = self._unconnected(message)
            return 0, body[:6] + struct.pack("<HHHHH", 2, _NULL, 0, _DATA_UNCONNECTED, len(reply)) + reply
        connection = self._connections.get(int.from_bytes(address, "little"))
        if connection is None or len(message) < 2:
            return 0, None
        reply = message[:2] + serve_message(self._server.device, message[2:], connection.room)
        head = struct.pack("<HHHIHH", 2, _ADDRESS, 4, connection.answers_as, _DATA_CONNECTED, len(reply))
        return 0, body[:6] + head + reply

    def _unconnected(self, message: bytes) -> bytes:
        service = message[0] if message else 0
        try:
            service, path, content = split_message(message)
            if path == CONNECTION_MANAGER:
                return self._manage(service, content)
            if path == IDENTITY and service == _GET_ALL:
                return answered(service, 0, _IDENTITY_OBJECT)
        except CipFault as fault:
            return answered(service, fault.status, extended=fault.extended)
        except struct.error:
            return answered(service, TOO_SHORT)
        return serve_message(self._server.device, message, _SMALL_MESSAGE)

    def _manage(self, service: int, content: bytes) -> bytes:
        """The connection manager's services."""
        if service == _UNCONNECTED_SEND:
            (size,) = struct.unpack_from("<H", content, 2)
            return self._unconnected(content[4 : 4 + size])
        if service == _FORWARD_CLOSE:
            for number, connection in self._connections.items():
                if connection.triad == content[2:10]:
                    del self._connections[number]
                    return answered(service, 0, connection.triad + b"\0\0")
            raise CipFault(REFUSED, _NO_SUCH_CONNECTION)
        if service == _FORWARD_OPEN or (service == _FORWARD_OPEN_LARGE and self._server.large_messages):
            return self._open(service, content)
        raise CipFault(NOT_SUPPORTED)

    def _open(self, service: int, content: bytes) -> bytes:
        large = service == _FORWARD_OPEN_LARGE
        _, _, _, answers_as, triad, _, period, size = struct.unpack_from("<BBII8sII" + "IH"[not large], content)
        number = len(self._connections) + 1 + (self._session << 16)
        self._connections[number] = _Connection(answers_as, triad, size & (0xFFFF if large else 0x1FF))
        return answered(service, 0, struct.pack("<II8sIIH", number, answers_as, triad, period, period, 0))


def _items(body: bytes) -> tuple[bytes, bytes]:
    """Address and content of the two items of a message."""
    count, _, address_size = struct.unpack_from("<HHH", body, 6)
    address = body[12 : 12 + address_size]
    _, size = struct.unpack_from("<HH", body, 12 + address_size)
    start = 16 + address_size
    if count != 2 or len(body) != start + size:
        raise ValueError("item lengths do not add up")
    return address, body[start:]


def _listed_identity(transport: asyncio.Transport) -> bytes:
    host, port = transport.get_extra_info("sockname")[:2]
    place = struct.pack(">HH4s8x", socket.AF_INET, port, socket.inet_aton(host))
    item = struct.pack("<H", 1) + place + _IDENTITY_OBJECT + b"\x03"
    return struct.pack("<HHH", 1, _LISTED, len(item)) + item
