"""The simulated PLC's tags as Modbus holding registers, served to a station that is the client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from controller.sim.modbus_map import Memory, Spot, register_map
from controller.sim.plc_settings import free_port
from controller.sim.plc_tags import DeclaredTag

_ANY_UNIT = 0


class ModbusCell:
    """One tag's registers."""

    __slots__ = ("_end", "_kind", "_memory", "_registers", "_start")

    def __init__(self, registers: list[int], spot: Spot, memory: Memory) -> None:
        self._registers, self._memory, self._kind = registers, memory, spot.tag.kind
        self._start, self._end = spot.first, spot.first + spot.size

    def get(self) -> Any:
        """What the registers hold."""
        return self._memory.to_value(self._kind, self._registers[self._start : self._end])

    def set(self, value: Any) -> None:
        """Replace all its registers at once."""
        self._registers[self._start : self._end] = self._memory.to_registers(self._kind, value)


class ModbusTags:
    """TagServer over Modbus TCP, for any unit id. port: 0 takes a free one."""

    def __init__(
        self,
        host: str,
        port: int,
        declared: Sequence[DeclaredTag],
        on_written: Callable[[str], None],
        memory: Memory | None = None,
    ) -> None:
        self._host, self._port, self._on_written = host, port, on_written
        self._spots = register_map(declared)
        size = max(spot.first + spot.size for spot in self._spots.values())
        self._registers = [0] * size
        self._covering: dict[int, str] = {
            register: spot.tag.name
            for spot in self._spots.values()
            if spot.tag.writable
            for register in range(spot.first, spot.first + spot.size)
        }
        memory = memory or Memory()
        self._cells = {name: ModbusCell(self._registers, spot, memory) for name, spot in self._spots.items()}
        self._server: ModbusTcpServer | None = None

    async def build(self) -> None:
        """Nothing to make: the registers are there."""

    async def start(self) -> str:
        """Serve; "host:port"."""
        self._port = self._port or free_port(self._host)
        device = SimDevice(_ANY_UNIT, simdata=_areas(self._spots.values()), action=self._accessed)
        self._server = ModbusTcpServer(device, address=(self._host, self._port))
        await self._server.serve_forever(background=True)
        return f"{self._host}:{self._port}"

    async def stop(self) -> None:
        """Cut every connection."""
        if self._server is not None:
            await self._server.shutdown()

    async def run(self) -> None:
        """Nothing goes on beside the requests."""
        await asyncio.Event().wait()

    def cell(self, name: str) -> ModbusCell:
        """One tag."""
        return self._cells[name]

    def protect(self, name: str) -> None:
        """From now on nobody may write this tag."""
        self._covering = {register: tag for register, tag in self._covering.items() if tag != name}

    async def _accessed(
        self,
        _function: int,
        start: int,
        address: int,
        count: int,
        served: list[int],
        written: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        """pymodbus asks before each read and write; `served` is its own copy of the registers, from `start` on."""
        if written is None:
            served[address - start : address - start + count] = self._registers[address : address + count]
            return None
        names = [self._covering.get(register) for register in range(address, address + count)]
        if None in names:
            return ExcCodes.ILLEGAL_ADDRESS
        self._registers[address : address + count] = [int(register) for register in written]
        # In address order, each tag once.
        for name in dict.fromkeys(filter(None, names)):
            self._on_written(name)
        return None


def _areas(spots: Iterable[Spot]) -> list[SimData]:
    return [SimData(spot.first, count=spot.size, datatype=DataType.REGISTERS) for spot in spots]
