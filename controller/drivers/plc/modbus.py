"""The PLC link over Modbus TCP with the PLC as server: Linegate reads and writes its holding registers.

One FC3 brings the head and the trigger slot wherever both lie within 125 registers; else the head comes first, as the
contract's order asks. An answer takes two FC16: its fields, then, after success, its ResultSeq. The connection is
dropped after any error, by whoever calls: this driver never reconnects by itself and never retries.

A server takes one request after the other, so while an answer is being written no request of a status starts: in a
queue it would come between the answer's two.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from controller.drivers.plc.modbus_channel import Channel, Refusal
from controller.drivers.plc.modbus_layout import READ_LIMIT, WRITE_LIMIT, Place, RegisterMap, extent, layout, runs
from controller.drivers.plc.modbus_probe import Probe, refused_read, refused_write
from controller.drivers.plc.modbus_torn import doubtful
from controller.drivers.plc.pacing import Pace
from controller.drivers.plc.tags import TAG_SETS
from controller.errors import DeviceRefused, DeviceUnavailable
from controller.ports import PlcReading, StatusValue, TagReport
from statemachines.vocabulary import MS, Answer, Ns, PlcHead, TriggerSlot

_READINGS = 5
"""A head that still moves in a doubtful way after so many readings is refused."""
_FLOOR_NS = 5 * MS
"""What an answer past its deadline still gets: once handed over it may be retried (rule f)."""
_PLANS = 256


@dataclass(frozen=True)
class ModbusPlcSettings:
    """Where the PLC listens and how its registers are laid out. unit: the unit id that it answers to.

    looking: for a person, maybe beside a running station: connecting does not try whether the registers can be written.
    """

    host: str
    port: int = 502
    unit: int = 1
    registers: RegisterMap = field(default_factory=RegisterMap)
    poll_ms: float = 2.0
    looking: bool = False


@dataclass(frozen=True, slots=True)
class _ReadPlan:
    """Requests (first register, count) whose replies, joined, hold the head and some slots at these offsets."""

    requests: tuple[tuple[int, int], ...]
    head: tuple[tuple[str, Place, int], ...]
    slots: tuple[tuple[tuple[str, Place, int], ...], ...]


class ModbusPlc:
    """PlcLink over Modbus TCP, as client. All methods on one event loop; requests may overlap."""

    def __init__(self, settings: ModbusPlcSettings) -> None:
        """Raises ConfigError for a layout that can never work."""
        self._settings = settings
        self._tags = TAG_SETS[settings.registers.profile]
        self._layout = layout(settings.registers)
        self._device = f"{settings.host}:{settings.port}"
        self._channel: Channel | None = None
        self._pace = Pace(int(settings.poll_ms * MS))
        self._plans: dict[tuple[int, ...], _ReadPlan] = {}
        self._seen: PlcHead | None = None
        self._answered = asyncio.Event()
        self._answered.set()
        self.notices: tuple[str, ...] = ()
        """Nothing: what was asked for is what it does."""

    @property
    def polls(self) -> bool:
        """Always: nobody tells it of a change."""
        return True

    async def connect(self, deadline: Ns) -> None:
        """Connect and try every register. Raises ConfigError or DeviceError; then closed again."""
        await self.close()
        settings = self._settings
        channel = Channel(settings.host, settings.port, settings.unit)
        connected = False
        try:
            await channel.open(deadline)
            await self._probe(channel).run(deadline, looking=settings.looking)
            self._channel, self._seen, connected = channel, None, True
        finally:
            if not connected:
                channel.close()
        self._pace.restart()

    async def read(self, seqs: Sequence[int], deadline: Ns) -> PlcReading:
        """The head, TriggerSeq first, and one slot for each of `seqs`; read again where it may be torn."""
        channel = self._connected()
        depth = self._settings.registers.depth
        key = tuple(self._tags.slot_of(seq, depth) for seq in seqs)
        plan = self._plans.get(key) or self._plan(key)
        self._pace.started(time.monotonic_ns())
        doubt = ""
        for _ in range(_READINGS):
            reading = await self._read_once(channel, plan, deadline)
            doubt = doubtful(self._seen, reading.head)
            self._seen = reading.head
            if not doubt:
                return reading
        raise DeviceRefused(self._device, f"{doubt} moves too fast or in halves: {_READINGS} readings, no two agree")

    async def changed(self, deadline: Ns) -> None:
        """Return when the next read is due, or at the deadline."""
        self._connected()
        await self._pace.due(deadline)

    async def write_status(self, values: Mapping[str, StatusValue], deadline: Ns) -> None:
        """Write single tags, neighbours in one FC16, in address order. Nothing but `values` is ever written.

        To close the gaps between them with what was written before would save requests, and would hand a restarted PLC
        the SessionId of a session that it never opened.
        """
        channel = self._connected()
        try:
            packed = self._layout.packed_status(values)
        except ValueError as error:
            raise DeviceRefused(self._device, str(error)) from error
        for run in runs(packed, WRITE_LIMIT):
            await self._answers_first(deadline)
            await self._write(channel, run, [packed[place] for place in run], deadline)

    async def write_answer(self, answer: Answer, deadline: Ns) -> None:
        """Write a result block, ResultSeq in a second request after the first succeeded."""
        channel = self._connected()
        deadline = Ns(max(deadline, time.monotonic_ns() + _FLOOR_NS))
        index = self._tags.slot_of(answer.seq, self._settings.registers.depth)
        try:
            *fields, seq = self._layout.packed_answer(index, answer)
        except ValueError as error:
            raise DeviceRefused(self._device, str(error)) from error
        self._answered.clear()
        try:
            for part in (fields, [seq]):
                await self._write(channel, [place for place, _ in part], [packed for _, packed in part], deadline)
        finally:
            self._answered.set()

    async def survey(self, deadline: Ns) -> tuple[TagReport, ...]:
        """Look at every tag's registers, on a connection of its own; writes nothing. Raises DeviceError."""
        channel = Channel(self._settings.host, self._settings.port, self._settings.unit)
        try:
            await channel.open(deadline)
            return await self._probe(channel).survey(deadline)
        finally:
            channel.close()

    async def read_tags(self, names: Sequence[str], deadline: Ns) -> dict[str, StatusValue | None]:
        """Any tags by full name, neighbours in one FC3; None where registers hold no such value. Raises DeviceError."""
        channel = self._connected()
        found: dict[str, StatusValue | None] = dict.fromkeys(names)
        unpack, places = self._layout.words.unpack, (*self._layout.from_plc, *self._layout.to_plc)
        wanted = [place for place in places if place.name in found]
        for run in runs(sorted(wanted, key=lambda place: place.address), READ_LIMIT):
            start, count = extent(run)
            try:
                registers = await channel.read(start, count, deadline)
            except Refusal as refusal:
                raise await refused_read(channel, self._device, run, refusal, deadline) from refusal
            for place in run:
                with suppress(ValueError):
                    found[place.name] = unpack(place.kind, registers, place.address - start)
        return found

    async def write_tags(self, values: Mapping[str, StatusValue], deadline: Ns) -> None:
        """Any of the station's tags by full name, neighbours in one FC16. Raises DeviceError."""
        channel = self._connected()
        try:
            packed = self._layout.packed(values)
        except ValueError as error:
            raise DeviceRefused(self._device, str(error)) from error
        for run in runs(packed, WRITE_LIMIT):
            await self._write(channel, run, [packed[place] for place in run], deadline)

    async def close(self) -> None:
        """Drop the connection at once: never raises. Requests still in flight fail."""
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()
            # The socket itself closes in the loop's next turn.
            await asyncio.sleep(0)

    async def _answers_first(self, deadline: Ns) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout_at(deadline / 1e9):
                await self._answered.wait()

    async def _read_once(self, channel: Channel, plan: _ReadPlan, deadline: Ns) -> PlcReading:
        sent_at = Ns(time.monotonic_ns())
        registers: list[int] = []
        for address, count in plan.requests:
            try:
                registers += await channel.read(address, count, deadline)
            except Refusal as refusal:
                places = [place for _, place, _ in (*plan.head, *(field for slot in plan.slots for field in slot))]
                error = await refused_read(channel, self._device, places, refusal, deadline)
                channel.close()
                raise error from refusal
        unpack, place = self._layout.words.unpack, plan.head[0][1]
        try:
            # Each value has the type of its tag's kind, which is that of the field.
            head = {name: unpack((place := found).kind, registers, at) for name, found, at in plan.head}
            slots = [
                {name: unpack((place := found).kind, registers, at) for name, found, at in slot} for slot in plan.slots
            ]
        except ValueError as error:
            raise DeviceRefused(self._device, f"{place.name} ({place.title}) {error}") from error
        return PlcReading(
            sent_at,
            PlcHead(**head),  # pyright: ignore[reportArgumentType]
            tuple(TriggerSlot(**slot) for slot in slots),  # pyright: ignore[reportArgumentType]
        )

    async def _write(self, channel: Channel, run: Sequence[Place], packed: Sequence[list[int]], deadline: Ns) -> None:
        try:
            await channel.write(run[0].address, [word for words in packed for word in words], deadline)
        except Refusal as refusal:
            error = await refused_write(channel, self._device, run, packed, refusal, deadline)
            channel.close()
            raise error from refusal

    def _probe(self, channel: Channel) -> Probe:
        return Probe(channel, self._device, self._settings.registers, self._layout)

    def _connected(self) -> Channel:
        if self._channel is None:
            raise DeviceUnavailable(self._device, "not connected")
        return self._channel

    def _plan(self, key: tuple[int, ...]) -> _ReadPlan:
        """One request over everything where it fits, else the head and then the slots, ascending."""
        head = [place for _, place in self._layout.head]
        slots = [self._layout.triggers[index] for index in key]
        wanted = sorted({place.address: place for slot in slots for _, place in slot}.values(), key=lambda p: p.address)
        start = head[0].address
        end = max(place.end for place in (*head, *wanted))
        if end - start <= READ_LIMIT:
            requests = [(start, end - start)]
        else:
            requests = [extent(run) for run in (*runs(head, READ_LIMIT), *runs(wanted, READ_LIMIT))]
        offsets = {
            first + step: at
            for at, (first, step) in enumerate((first, step) for first, count in requests for step in range(count))
        }
        plan = _ReadPlan(
            tuple(requests),
            tuple((name, place, offsets[place.address]) for name, place in self._layout.head),
            tuple(tuple((name, place, offsets[place.address]) for name, place in slot) for slot in slots),
        )
        if len(self._plans) < _PLANS:
            self._plans[key] = plan
        return plan
