"""The contract suite's rigs for Modbus: a soft PLC that serves, and a master for a station that serves."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from typing import Any

from pymodbus import ModbusException
from pymodbus.client import AsyncModbusTcpClient

from controller.drivers.plc.modbus import ModbusPlc, ModbusPlcSettings
from controller.drivers.plc.modbus_layout import RegisterMap
from controller.drivers.plc.modbus_server import ModbusServerPlc, ModbusServerSettings
from controller.ports import PlcLink
from controller.sim.modbus_map import Memory, register_map
from controller.sim.modbus_tags import ModbusTags
from controller.sim.plc_tags import TagKind
from controller.sim.sequence_tags import declared_tags
from tests.contract.tag_server import FreezingProxy, free_port


class ModbusRig:
    """A link that is the client, a relay that can freeze, and the soft PLC's tag server behind it."""

    def __init__(self, order: Any) -> None:
        self._order = order
        self._stack = AsyncExitStack()
        self.writes: list[tuple[str, Any]] = []
        self._server = ModbusTags(
            "127.0.0.1", 0, declared_tags(8, TagKind.WORD), self._written, Memory(word_order=order)
        )

    async def start(self) -> PlcLink:
        port = int((await self._server.start()).rpartition(":")[2])
        self._stack.push_async_callback(self._server.stop)
        self.proxy = await self._stack.enter_async_context(FreezingProxy(port))
        settings = ModbusPlcSettings("127.0.0.1", self.proxy.port, registers=RegisterMap(word_order=self._order))
        return _Forgetting(settings, self.writes)

    async def stop(self) -> None:
        await self._stack.aclose()

    async def set(self, name: str, value: Any) -> None:
        self._server.cell(name).set(value)

    async def get(self, name: str) -> Any:
        return self._server.cell(name).get()

    async def break_write(self, name: str) -> None:
        self._server.protect(name)

    def freeze(self) -> None:
        self.proxy.freeze()

    async def hung_up(self) -> None:
        await self.proxy.hung_up.wait()

    async def kill(self) -> None:
        await self.proxy.kill()

    def _written(self, name: str) -> None:
        self.writes.append((name, self._server.cell(name).get()))


class _Forgetting(ModbusPlc):
    """Forgets what connecting wrote back to try the registers: the suite looks at what was written for a reason."""

    def __init__(self, settings: ModbusPlcSettings, writes: list[tuple[str, Any]]) -> None:
        super().__init__(settings)
        self._probed = writes

    async def connect(self, deadline: Any) -> None:
        await super().connect(deadline)
        self._probed.clear()


class ModbusServerRig:
    """A link that is the server, and a master at work on it: it moves PlcClockMs until a test sets it."""

    def __init__(self) -> None:
        self._port = free_port()
        self._memory = Memory()
        self._spots = register_map(declared_tags(8, TagKind.WORD))
        self._client: AsyncModbusTcpClient | None = None
        self._turn = asyncio.Lock()
        self._clock: int | None = 0
        self._at_work: asyncio.Task[None] | None = None
        self.link = ModbusServerPlc(ModbusServerSettings("127.0.0.1", self._port, plc_lost_ms=60_000))

    async def start(self) -> PlcLink:
        self._at_work = asyncio.create_task(self._work())
        return self.link

    async def stop(self) -> None:
        if self._at_work is not None:
            self._at_work.cancel()
            await asyncio.wait([self._at_work])

    async def set(self, name: str, value: Any) -> None:
        if name == "PlcClockMs":
            self._clock = None
        await self._write(name, value)

    async def get(self, name: str) -> Any:
        spot = self._spots[name]
        async with self._turn:
            assert self._client is not None
            reply = await self._client.read_holding_registers(spot.first, count=spot.size)
        assert not reply.isError(), reply
        return self._memory.to_value(spot.tag.kind, reply.registers)

    @property
    def writes(self) -> list[tuple[str, Any]]:
        """A master sees no order of writes: what there is now, in address order, but for blocks that are all 0."""
        found = [(name, self.link.peek(name)) for name, spot in self._spots.items() if spot.tag.writable]
        touched = {_block(name) for name, value in found if value}
        return [(name, value) for name, value in found if _block(name) in touched]

    async def break_write(self, name: str) -> None:
        raise NotImplementedError(name)

    def freeze(self) -> None:
        raise NotImplementedError

    async def hung_up(self) -> None:
        raise NotImplementedError

    async def kill(self) -> None:
        raise NotImplementedError

    async def _write(self, name: str, value: Any) -> None:
        spot = self._spots[name]
        async with self._turn:
            assert self._client is not None
            reply = await self._client.write_registers(spot.first, self._memory.to_registers(spot.tag.kind, value))
        assert not reply.isError(), reply

    async def _work(self) -> None:
        while True:
            self._client = AsyncModbusTcpClient("127.0.0.1", port=self._port, timeout=0.2, retries=0, reconnect_delay=0)
            try:
                with suppress(ModbusException):
                    while self._client.connected or await self._client.connect():
                        if self._clock is not None:
                            self._clock += 10
                            await self._write("PlcClockMs", self._clock)
                        await asyncio.sleep(0.01)
            finally:
                self._client.close()
            await asyncio.sleep(0.01)


def _block(name: str) -> str:
    return name.rpartition(".")[0]
