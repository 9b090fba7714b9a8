"""The bare Modbus client for `latency.py`: the least that a person would write with pymodbus."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controller.sim.modbus_map import Memory, register_map
from controller.sim.plc_tags import TagKind
from controller.sim.sequence_tags import declared_tags


class BareModbus:
    """One FC3 or FC16 over everything that is asked for. Tags by the contract's names."""

    def __init__(self) -> None:
        self._spots = register_map(declared_tags(8, TagKind.WORD))
        self._memory = Memory()

    async def open(self, address: str) -> None:
        """Connect."""
        from pymodbus.client import AsyncModbusTcpClient

        host, _, port = address.rpartition(":")
        self._client = AsyncModbusTcpClient(host, port=int(port), timeout=4)
        await self._client.connect()

    async def read(self, *tags: str) -> list[Any]:
        """Two tags or more in one request, in this order."""
        spots = [self._spots[tag] for tag in tags]
        start, end = min(spot.first for spot in spots), max(spot.first + spot.size for spot in spots)
        reply = await self._client.read_holding_registers(start, count=end - start)
        return [
            self._memory.to_value(spot.tag.kind, reply.registers[spot.first - start : spot.first - start + spot.size])
            for spot in spots
        ]

    async def write(self, values: Mapping[str, int | bool]) -> None:
        """Some tags in one request; what lies between them becomes 0."""
        spots = {self._spots[tag]: value for tag, value in values.items()}
        start, end = min(spot.first for spot in spots), max(spot.first + spot.size for spot in spots)
        registers = [0] * (end - start)
        for spot, value in spots.items():
            at = spot.first - start
            registers[at : at + spot.size] = self._memory.to_registers(spot.tag.kind, value)
        await self._client.write_registers(start, registers)

    async def close(self) -> None:
        """Disconnect."""
        self._client.close()
