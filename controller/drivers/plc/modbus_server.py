"""The PLC link over Modbus TCP with the station as server: the PLC is the master of our registers.

Nothing is asked of the PLC, so nothing can time out but the PLC itself: the link is up while a master writes PlcClockMs
and reads Heartbeat. A read serves what the master wrote last; how old that is, its clock tells (`modbus_age`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from controller.drivers.plc.modbus_age import ArrivalClock
from controller.drivers.plc.modbus_layout import RegisterMap, layout
from controller.drivers.plc.modbus_listener import Listener
from controller.drivers.plc.modbus_memory import ServedRegisters
from controller.drivers.plc.tags import TAG_SETS, TagValue
from controller.errors import DeviceRefused, DeviceTimeout, DeviceUnavailable
from controller.ports import PlcReading, StatusValue
from statemachines.vocabulary import MS, Answer, Ns, PlcHead, TriggerSlot

_QUIET_NS = 50 * MS
"""A read is due after so long even if no master wrote: the station must see that the PLC's clock stands still."""
_SAME_NS = 10 * MS
"""How long a second read of the same registers waits for a write that would change them."""


@dataclass(frozen=True)
class ModbusServerSettings:
    """Where the station listens. masters: addresses that may connect, all if none is given.

    plc_lost_ms: a master silent for twice as long takes the link down; after once as long the station has already
    stopped taking parts (rule 10) and only delivers what is in flight. plc_delay_ms: what a write takes at most from
    the PLC's scan to here when nothing holds it up; every part counts as that much older.
    """

    host: str
    port: int = 502
    unit: int = 1
    masters: tuple[str, ...] = ()
    registers: RegisterMap = field(default_factory=RegisterMap)
    plc_lost_ms: float = 500.0
    plc_delay_ms: float = 10.0


class ModbusServerPlc:
    """PlcLink over Modbus TCP, as server. All methods on one event loop."""

    def __init__(self, settings: ModbusServerSettings) -> None:
        """Raises ConfigError for a layout that can never work."""
        self._settings = settings
        self._tags = TAG_SETS[settings.registers.profile]
        self._layout = layout(settings.registers)
        self._places = {place.name: place for place in (*self._layout.from_plc, *self._layout.to_plc)}
        self._device = f"Modbus master at {settings.host}:{settings.port}"
        self._silence_ns = int(2 * settings.plc_lost_ms * MS)
        self._listener: Listener | None = None
        self._served: ServedRegisters | None = None
        self._writes_read = 0
        self._connected_at = 0

    @property
    def port(self) -> int:
        """Where it listens; 0 while it does not."""
        return 0 if self._listener is None else self._listener.port

    def peek(self, name: str) -> TagValue:
        """What a master would find in a tag now, by full name. Raises DeviceUnavailable while not connected."""
        if self._served is None:
            raise DeviceUnavailable(self._device, "not connected")
        return self._served.value(self._places[name])

    @property
    def polls(self) -> bool:
        """Never: it is told of every change."""
        return False

    async def connect(self, deadline: Ns) -> None:
        """Listen, all registers 0, and wait for a master that writes PlcClockMs.

        Raises ConfigError where nobody can listen, DeviceUnavailable for no master by the deadline; then closed again.
        """
        await self.close()
        settings = self._settings
        arrivals = ArrivalClock(int(settings.plc_delay_ms * MS), int(settings.plc_lost_ms * MS))
        served = ServedRegisters(self._layout, arrivals, time.monotonic_ns)
        listener = Listener(served, settings.unit, settings.masters)
        connected = False
        self._listener = listener
        try:
            await listener.open(settings.host, settings.port)
            async with asyncio.timeout_at(deadline / 1e9):
                while served.clock_at is None:
                    await served.written.wait()
                    served.written.clear()
            connected = True
        except TimeoutError as error:
            found = f"{len(listener.connections)} connected, {served.writes} writes"
            why = f"no master wrote PlcClockMs ({self._places['PlcClockMs'].title}) yet; {found}"
            raise DeviceUnavailable(self._device, why) from error
        finally:
            if not connected:
                await self.close()
        self._served, self._writes_read, self._connected_at = served, 0, time.monotonic_ns()

    async def read(self, seqs: Sequence[int], deadline: Ns) -> PlcReading:
        """The registers as the master wrote them last. Raises DeviceTimeout for a master that is silent."""
        served = self._alive()
        if served.writes == self._writes_read:
            await self._written(served, min(deadline, time.monotonic_ns() + _SAME_NS))
            served = self._alive()
        self._writes_read = served.writes
        value, depth = served.value, self._settings.registers.depth
        # Each value has the type of its tag's kind, which is that of the field.
        head = {name: value(place) for name, place in self._layout.head}
        slots = [
            {name: value(place) for name, place in self._layout.triggers[self._tags.slot_of(seq, depth)]}
            for seq in seqs
        ]
        return PlcReading(
            served.sent_at,
            PlcHead(**head),  # pyright: ignore[reportArgumentType]
            tuple(TriggerSlot(**slot) for slot in slots),  # pyright: ignore[reportArgumentType]
        )

    async def changed(self, deadline: Ns) -> None:
        """Return when a master wrote, after 50 ms, or at the deadline."""
        served = self._alive()
        if served.writes == self._writes_read:
            await self._written(served, min(deadline, time.monotonic_ns() + _QUIET_NS))
        else:
            await asyncio.sleep(0)

    async def write_status(self, values: Mapping[str, StatusValue], deadline: Ns) -> None:
        """Set single tags, all at once. A new SessionId empties the result ring: here it is ours to clear."""
        served = self._alive()
        try:
            packed = self._layout.packed_status(values)
        except ValueError as error:
            raise DeviceRefused(self._device, str(error)) from error
        if "SessionId" in values and self._tags.rings:
            for place in (place for slot in self._layout.results for place in slot):
                served.put(place, [0] * place.words)
        for place, registers in packed.items():
            served.put(place, registers)

    async def write_answer(self, answer: Answer, deadline: Ns) -> None:
        """Set a result block and its ResultSeq: no request of a master comes between the two."""
        served = self._alive()
        index = self._tags.slot_of(answer.seq, self._settings.registers.depth)
        try:
            packed = self._layout.packed_answer(index, answer)
        except ValueError as error:
            raise DeviceRefused(self._device, str(error)) from error
        for place, registers in packed:
            served.put(place, registers)

    async def close(self) -> None:
        """Stop listening and cut every master off. Never raises."""
        listener, self._listener, self._served = self._listener, None, None
        if listener is not None:
            listener.close()
            # The sockets themselves close in the loop's next turn.
            await asyncio.sleep(0)

    async def _written(self, served: ServedRegisters, until: int) -> None:
        """Return with the next write of a master, or at `until`. Always gives way to other tasks once."""
        served.written.clear()
        try:
            async with asyncio.timeout_at(until / 1e9):
                await served.written.wait()
        except TimeoutError:
            pass

    def _alive(self) -> ServedRegisters:
        """The registers, if a master is at work on them. Raises DeviceUnavailable or DeviceTimeout."""
        served = self._served
        if served is None:
            raise DeviceUnavailable(self._device, "not connected")
        silent_since = time.monotonic_ns() - self._silence_ns
        for tag, at, done in (("PlcClockMs", served.clock_at, "wrote"), ("Heartbeat", served.watched_at, "read")):
            if (at or self._connected_at) < silent_since:
                raise DeviceTimeout(self._device, f"no master {done} {tag} for {self._silence_ns // MS} ms")
        return served
