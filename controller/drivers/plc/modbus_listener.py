"""A Modbus TCP server over registers in memory. Every request is done within the arrival of its last byte.

pymodbus decodes and encodes. Its own server is not used: it answers from a task, so the time of arrival is lost, and of
two requests that arrive together it drops the second.
Framing: Modbus Messaging on TCP/IP V1.0b, 3.1.3. Functions 3, 4, 6, 16 and 23.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Collection
from typing import Protocol, Self

from pymodbus.constants import ExcCodes
from pymodbus.framer.socket import FramerSocket
from pymodbus.pdu import DecodePDU, ExceptionResponse, ModbusPDU
from pymodbus.pdu import register_message as pdu

from controller.drivers.plc.modbus_memory import Refused
from controller.errors import ConfigError

_HEADER = struct.Struct(">HHHB")
_LONGEST = 254
"""Unit id and the longest PDU."""
_CONNECTIONS = 16
_WHOEVER = frozenset({0, 255})
"""Unit ids that a TCP device must answer to besides its own (Messaging on TCP/IP, 4.4.1.3)."""


class Registers(Protocol):
    """What is served."""

    def read(self, address: int, count: int) -> list[int]:
        """Raises Refused."""
        ...

    def write(self, address: int, registers: list[int]) -> None:
        """Raises Refused."""
        ...


class Listener:
    """Listens until closed. masters: the addresses that may connect; none given, every one may."""

    def __init__(self, registers: Registers, unit: int, masters: Collection[str]) -> None:
        self._registers, self._masters = registers, frozenset(masters)
        self.units = _WHOEVER | {unit}
        self._server: asyncio.Server | None = None
        self.connections: dict[_Connection, None] = {}
        """The one that was silent for longest comes first."""
        self.framer = FramerSocket(DecodePDU(True))

    async def open(self, host: str, port: int) -> Self:
        """Raises ConfigError where nobody can listen there."""
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(lambda: _Connection(self), host, port, reuse_address=True)
        except OSError as error:
            cure = f"cannot listen there: {error.strerror or error}; ports below 1024 need CAP_NET_BIND_SERVICE"
            raise ConfigError("[plc]", "host, port", f"{host}:{port}", cure) from error
        return self

    @property
    def port(self) -> int:
        """Where it listens."""
        return 0 if self._server is None else int(self._server.sockets[0].getsockname()[1])

    def close(self) -> None:
        """Stop listening and cut every connection. Never raises."""
        if self._server is not None:
            self._server.close()
        for connection in tuple(self.connections):
            connection.cut()

    def admit(self, connection: _Connection, host: str) -> bool:
        """Take a connection, if its address may connect. One too many takes the place of the longest silent one: a PLC
        that lost power left its connections half open."""
        if self._masters and host not in self._masters:
            return False
        if len(self.connections) >= _CONNECTIONS:
            next(iter(self.connections)).cut()
        self.connections[connection] = None
        return True

    def answer(self, request: ModbusPDU) -> ModbusPDU:
        """Do what was asked. Raises Refused."""
        registers = self._registers
        match request:
            case pdu.ReadHoldingRegistersRequest(address=address, count=count):
                served = registers.read(address, count)
                if request.function_code == pdu.ReadInputRegistersRequest.function_code:
                    return pdu.ReadInputRegistersResponse(registers=served)
                return pdu.ReadHoldingRegistersResponse(registers=served)
            case pdu.WriteSingleRegisterRequest(address=address, registers=[register]):
                registers.write(address, [register])
                return pdu.WriteSingleRegisterResponse(address=address, registers=[register])
            case pdu.WriteMultipleRegistersRequest(address=address, count=count, registers=written):
                if not 0 < count == len(written):
                    raise Refused(ExcCodes.ILLEGAL_VALUE)
                registers.write(address, list(written))
                return pdu.WriteMultipleRegistersResponse(address=address, count=count)
            case pdu.ReadWriteMultipleRegistersRequest(write_registers=written):
                if not 0 < request.write_count == len(written):
                    raise Refused(ExcCodes.ILLEGAL_VALUE)
                # Written first, as the specification orders (6.17); a read that would be refused writes nothing.
                registers.read(request.read_address, request.read_count)
                registers.write(request.write_address, list(written))
                served = registers.read(request.read_address, request.read_count)
                return pdu.ReadWriteMultipleRegistersResponse(registers=served)
            case _:
                raise Refused(ExcCodes.ILLEGAL_FUNCTION)


class _Connection(asyncio.Protocol):
    """One master."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._transport: asyncio.Transport | None = None
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if not self._listener.admit(self, str(transport.get_extra_info("peername")[0])):
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._listener.connections.pop(self, None)

    def pause_writing(self) -> None:
        """A master that asks and does not take the replies."""
        self.cut()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        connections = self._listener.connections
        if self in connections:
            connections[self] = connections.pop(self)
        while self in connections and len(self._buffer) >= _HEADER.size:
            transaction, protocol, length, unit = _HEADER.unpack_from(self._buffer)
            if protocol != 0 or not 2 <= length <= _LONGEST:
                self.cut()
                return
            if len(self._buffer) < 6 + length:
                return
            body, self._buffer = self._buffer[_HEADER.size : 6 + length], self._buffer[6 + length :]
            self._reply(transaction, unit, body)

    def cut(self) -> None:
        """End the connection at once."""
        self._listener.connections.pop(self, None)
        if self._transport is not None:
            self._transport.abort()

    def _reply(self, transaction: int, unit: int, body: bytes) -> None:
        try:
            reply = self._listener.answer(self._request(unit, body))
        except Refused as refusal:
            reply = ExceptionResponse(body[0], refusal.code)
        reply.transaction_id, reply.dev_id = transaction, unit
        if self._transport is not None:
            self._transport.write(self._listener.framer.buildFrame(reply))

    def _request(self, unit: int, body: bytes) -> ModbusPDU:
        if unit not in self._listener.units:
            raise Refused(ExcCodes.GATEWAY_NO_RESPONSE)
        request = self._listener.framer.decoder.decode(body)
        if request is None:
            known = body[0] in self._listener.framer.decoder.list_function_codes()
            raise Refused(ExcCodes.ILLEGAL_VALUE if known else ExcCodes.ILLEGAL_FUNCTION)
        return request
