"""One connection to a Modbus TCP device: two services, each with its own deadline, one request at a time.

pymodbus builds, sends and matches. What it leaves open is closed here: a connection that breaks ends what waits on it
at once, a reply is held against its request (kind, length, transaction), and whatever goes wrong ends the connection,
so that no late reply can ever meet a later request.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ModbusPDU
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersRequest,
    ReadHoldingRegistersResponse,
    WriteMultipleRegistersRequest,
    WriteMultipleRegistersResponse,
)

from controller.errors import DeviceError, DeviceRefused, DeviceTimeout, DeviceUnavailable
from statemachines.vocabulary import Ns

_NEVER_S = 3600.0
"""pymodbus's own time-out; each exchange has a deadline instead."""

_CODES = {
    1: "illegal function",
    2: "illegal address",
    3: "illegal value",
    4: "device failure",
    5: "acknowledge",
    6: "device busy",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target does not answer",
}


class Refusal(Exception):
    """The device answered with an exception code. The connection is still good."""

    def __init__(self, code: int) -> None:
        super().__init__(f"{_CODES.get(code, 'exception')} (code {code})")
        self.code = code

    @property
    def lasting(self) -> bool:
        """Whether the same request can never succeed: function, address or value are wrong, not the moment."""
        return self.code in (1, 2, 3)


class Channel:
    """Registers of one unit. All methods on one event loop; requests may overlap and are sent in the order of calls."""

    def __init__(self, host: str, port: int, unit: int) -> None:
        self._name = f"{host}:{port}"
        self._unit = unit
        self._client = AsyncModbusTcpClient(
            host, port=port, timeout=_NEVER_S, retries=0, reconnect_delay=0, trace_connect=self._traced
        )
        self._turn = asyncio.Lock()
        self._limits: set[asyncio.Timeout] = set()
        self._gone: type[DeviceError] | None = DeviceUnavailable
        self._why = "not connected"

    async def open(self, deadline: Ns) -> None:
        """Connect. Raises DeviceUnavailable or DeviceTimeout."""
        try:
            async with asyncio.timeout_at(deadline / 1e9):
                connected = await self._client.connect()
        except TimeoutError as error:
            raise DeviceTimeout(self._name, "no connection in time") from error
        if not connected:
            raise DeviceUnavailable(self._name, "cannot be reached: check host, port and cable")
        self._gone = None

    async def read(self, address: int, count: int, deadline: Ns) -> Sequence[int]:
        """FC3: `count` registers. Raises Refusal, else DeviceError and the connection is closed."""
        request = ReadHoldingRegistersRequest(address=address, count=count, dev_id=self._unit)
        reply = await self._exchange(request, deadline)
        if not isinstance(reply, ReadHoldingRegistersResponse) or len(reply.registers) != count:
            raise self._nonsense(f"{count} registers were asked for", reply)
        return reply.registers

    async def write(self, address: int, registers: Sequence[int], deadline: Ns) -> None:
        """FC16. Raises Refusal, else DeviceError and the connection is closed."""
        request = WriteMultipleRegistersRequest(address=address, registers=registers, dev_id=self._unit)
        reply = await self._exchange(request, deadline)
        echoed = isinstance(reply, WriteMultipleRegistersResponse)
        if not echoed or (reply.address, reply.count) != (address, len(registers)):
            raise self._nonsense(f"{len(registers)} registers from {address} were written", reply)

    def close(self, error: type[DeviceError] = DeviceUnavailable, why: str = "the connection was closed") -> None:
        """Drop the connection at once; what waits for a reply, and whatever is asked for later, fails. Never raises."""
        self._lose(error, why)
        transport = self._client.ctx.transport
        self._client.close()
        if isinstance(transport, asyncio.WriteTransport):
            # An orderly end would wait for a frozen peer to take what is still to be sent.
            transport.abort()

    async def _exchange(self, request: ModbusPDU, deadline: Ns) -> ModbusPDU:
        answered = False
        limit = asyncio.timeout_at(deadline / 1e9)
        try:
            async with limit:
                self._limits.add(limit)
                async with self._turn:
                    if self._gone is not None:
                        raise self._gone(self._name, self._why)
                    reply: ModbusPDU = await self._client.execute(False, request)
            answered = True
        except TimeoutError as error:
            if self._gone is not None:
                raise self._gone(self._name, self._why) from error
            self.close(DeviceTimeout, "an earlier request got no reply")
            late_ms = (time.monotonic_ns() - deadline) / 1e6
            raise DeviceTimeout(self._name, f"no reply by the deadline ({late_ms:.0f} ms ago)") from error
        except ModbusException as error:
            raise DeviceUnavailable(self._name, str(error)) from error
        finally:
            self._limits.discard(limit)
            if not answered:
                self.close(DeviceUnavailable, "an earlier request was given up")
        if reply.transaction_id != request.transaction_id:
            raise self._nonsense("a reply must carry its request's transaction id", reply)
        if reply.isError():
            raise Refusal(reply.exception_code)
        return reply

    def _nonsense(self, wanted: str, reply: ModbusPDU) -> DeviceRefused:
        self.close(DeviceRefused, "the device answered nonsense")
        return DeviceRefused(self._name, f"{wanted}, the reply was {reply}")

    def _traced(self, connected: bool) -> None:
        """pymodbus lets a request wait for its time-out when the connection breaks; end it at once."""
        if not connected:
            self._lose(DeviceUnavailable, "the connection broke")

    def _lose(self, error: type[DeviceError], why: str) -> None:
        if self._gone is None:
            self._gone, self._why = error, why
        now = asyncio.get_running_loop().time()
        for limit in self._limits:
            with suppress(RuntimeError):  # expiring or done already
                limit.reschedule(now)
