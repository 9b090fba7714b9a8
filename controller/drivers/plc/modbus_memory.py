"""The registers of a station that is a Modbus server: what the PLC may write, what it may read, and when it last did.

A request is taken whole or not at all, and one after the other: nothing here waits, so no reader ever sees half of one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from pymodbus.constants import ExcCodes

from controller.drivers.plc.modbus_age import ArrivalClock
from controller.drivers.plc.modbus_layout import Layout, Place
from controller.drivers.plc.modbus_words import Kind
from controller.drivers.plc.tags import TagValue
from statemachines.vocabulary import Ns


class Refused(Exception):
    """The master gets this exception code instead of a reply."""

    def __init__(self, code: ExcCodes) -> None:
        super().__init__(code.name)
        self.code = code


class ServedRegisters:
    """Both areas, all 0. now: monotonic ns."""

    def __init__(self, made: Layout, arrivals: ArrivalClock, now: Callable[[], int]) -> None:
        self._words, self._now = made.words, now
        self._registers = dict.fromkeys(
            (register for place in (*made.from_plc, *made.to_plc) for register in range(place.address, place.end)), 0
        )
        self._writable = {place.address: place for place in made.from_plc}
        self._clock = next(place for _, place in made.head if place.tag.name == "PlcClockMs")
        self._heartbeat = next(place for place in made.status if place.tag.name == "Heartbeat")
        self._arrivals = arrivals
        self.written = asyncio.Event()
        """Set with every write of a master; whoever waits clears it."""
        self.writes = 0
        """How many requests of a master were taken."""
        self.clock_at: int | None = None
        """When a master last wrote PlcClockMs."""
        self.sent_at = Ns(0)
        """Before this, the PLC cannot have read the clock that it wrote last."""
        self.watched_at: int | None = None
        """When a master last read Heartbeat."""

    def read(self, address: int, count: int) -> list[int]:
        """Registers for a master. Raises Refused."""
        try:
            found = [self._registers[register] for register in range(address, address + count)]
        except KeyError:
            raise Refused(ExcCodes.ILLEGAL_ADDRESS) from None
        if address <= self._heartbeat.address and self._heartbeat.end <= address + count:
            self.watched_at = self._now()
        return found

    def write(self, address: int, registers: Sequence[int]) -> None:
        """Take a master's write: whole tags of its own area, no BOOL but 0 and 1. Raises Refused and writes nothing."""
        at, end = address, address + len(registers)
        while at < end:
            place = self._writable.get(at)
            if place is None or place.end > end:
                raise Refused(ExcCodes.ILLEGAL_ADDRESS)
            if place.kind is Kind.BOOL and registers[at - address] > 1:
                raise Refused(ExcCodes.ILLEGAL_VALUE)
            at = place.end
        self._registers.update(zip(range(address, end), registers, strict=True))
        self.writes += 1
        if address <= self._clock.address < end:
            self.clock_at = self._now()
            clock_ms = self.value(self._clock)
            assert isinstance(clock_ms, int)
            self.sent_at = self._arrivals.arrived(clock_ms, self.clock_at)
        self.written.set()

    def value(self, place: Place) -> TagValue:
        """What a tag holds."""
        registers = [self._registers[register] for register in range(place.address, place.end)]
        return self._words.unpack(place.kind, registers, 0)

    def put(self, place: Place, packed: Sequence[int]) -> None:
        """Set a tag for the masters to read."""
        self._registers.update(zip(range(place.address, place.end), packed, strict=True))
