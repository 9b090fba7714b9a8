"""The simulated PLC as a Modbus master: it writes its tags into the station's registers and reads the station's own.

As a real one it goes round and round: changed trigger slots, then its single tags with TriggerSeq, then everything that
the station has to say, a result slot never split over two requests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from pymodbus import ModbusException
from pymodbus.client import AsyncModbusTcpClient

from controller.sim.modbus_map import PRIVATE_AREA, Memory, Spot, register_map
from controller.sim.plc_settings import free_port
from controller.sim.plc_tags import EMPTY, DeclaredTag

_CYCLE_S = 0.002
_REQUEST_S = 0.3
_RETRY_S = 0.02
_READ_AT_MOST = 125


class MasterCell:
    """One tag in the PLC's own memory."""

    __slots__ = ("_changed", "value")

    def __init__(self, value: Any, changed: Callable[[], None]) -> None:
        self.value, self._changed = value, changed

    def get(self) -> Any:
        """The value."""
        return self.value

    def set(self, value: Any) -> None:
        """Replace it; the station has it with the next round."""
        if value != self.value:
            self.value = value
            self._changed()


class ModbusMaster:
    """TagServer for a PLC that is the master: `start` returns where the station must listen. port: 0 picks a free one.

    `on_written` is called, in address order, with each tag that a read found changed.
    """

    def __init__(
        self,
        host: str,
        port: int,
        declared: Sequence[DeclaredTag],
        on_written: Callable[[str], None],
        memory: Memory | None = None,
    ) -> None:
        self._host, self._port, self._on_written = host, port, on_written
        self._memory = memory or Memory()
        self._due = asyncio.Event()
        spots = register_map(declared).values()
        self._cells = {spot.tag.name: MasterCell(EMPTY[spot.tag.kind], self._due.set) for spot in spots}
        outward = [spot for spot in spots if not spot.tag.writable and spot.first < PRIVATE_AREA]
        self._head = [spot for spot in outward if not spot.tag.name.startswith("Trigger[")]
        self._slots = _grouped([spot for spot in outward if spot.tag.name.startswith("Trigger[")])
        self._reads = _packed(_grouped([spot for spot in spots if spot.tag.writable]))
        self._sent: dict[int, list[int]] = {}

    async def build(self) -> None:
        """Nothing to make: the registers are the station's."""

    async def start(self) -> str:
        """Where the station must listen, "host:port"."""
        self._port = self._port or free_port(self._host)
        return f"{self._host}:{self._port}"

    async def stop(self) -> None:
        """Nobody is connected to the master."""

    async def run(self) -> None:
        """Go round for ever; a station that cannot be reached is tried again and again."""
        while True:
            client = AsyncModbusTcpClient(self._host, port=self._port, timeout=_REQUEST_S, retries=0, reconnect_delay=0)
            self._sent = {}
            try:
                if await client.connect():
                    while True:
                        await self._round(client)
            except ModbusException:
                # No reply in time, or the connection broke: as a PLC does, begin again with a new connection.
                pass
            finally:
                client.close()
            await asyncio.sleep(_RETRY_S)

    def cell(self, name: str) -> MasterCell:
        """One tag."""
        return self._cells[name]

    async def _round(self, client: AsyncModbusTcpClient) -> None:
        self._due.clear()
        # Copied before the first request: a trigger that comes during the round must not overtake its slot.
        slots = [self._image(slot) for slot in self._slots]
        head = self._image(self._head)
        for slot, registers in zip(self._slots, slots, strict=True):
            if registers != self._sent.get(slot[0].first):
                await self._write(client, slot[0].first, registers)
        await self._write(client, self._head[0].first, head)
        for spots in self._reads:
            await self._read(client, spots)
        try:
            async with asyncio.timeout(_CYCLE_S):
                await self._due.wait()
        except TimeoutError:
            pass

    def _image(self, spots: Sequence[Spot]) -> list[int]:
        return [
            register
            for spot in spots
            for register in self._memory.to_registers(spot.tag.kind, self._cells[spot.tag.name].value)
        ]

    async def _write(self, client: AsyncModbusTcpClient, first: int, registers: list[int]) -> None:
        reply = await client.write_registers(first, registers)
        if reply.isError():
            raise ModbusException(f"register {first} not written: {reply}")
        self._sent[first] = registers

    async def _read(self, client: AsyncModbusTcpClient, spots: Sequence[Spot]) -> None:
        start = spots[0].first
        reply = await client.read_holding_registers(start, count=spots[-1].first + spots[-1].size - start)
        if reply.isError():
            raise ModbusException(f"register {start} not read: {reply}")
        changed: list[str] = []
        for spot in spots:
            at = spot.first - start
            value = self._memory.to_value(spot.tag.kind, reply.registers[at : at + spot.size])
            cell = self._cells[spot.tag.name]
            if value != cell.value:
                cell.value = value
                changed.append(spot.tag.name)
        for name in changed:
            self._on_written(name)


def _grouped(spots: Sequence[Spot]) -> list[list[Spot]]:
    """Neighbours of one slot together; single tags are one group."""
    groups: dict[str, list[Spot]] = {}
    for spot in spots:
        groups.setdefault(spot.tag.name.rpartition("]")[0], []).append(spot)
    return list(groups.values())


def _packed(groups: Sequence[list[Spot]]) -> list[list[Spot]]:
    """Whole groups, as many as go into one request."""
    packed: list[list[Spot]] = []
    for group in groups:
        end = group[-1].first + group[-1].size
        if packed and end - packed[-1][0].first <= _READ_AT_MOST:
            packed[-1].extend(group)
        else:
            packed.append(list(group))
    return packed
