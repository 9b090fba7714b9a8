"""A PLC link without a wire: the tags live in this process. For benchmarks and for tests of the runtime."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from controller.drivers.plc.tags import SEQUENCE, Direction, Tag, TagSet, TagType, TagValue, answer_values
from controller.errors import DeviceError, DeviceRefused, DeviceTimeout, DeviceUnavailable
from controller.ports import PlcReading, StatusValue, TagReport
from statemachines.checkword import trigger_check
from statemachines.vocabulary import Answer, Ns, PartId, PlcHead, TriggerSlot

_DEVICE = "direct"
_DINT = range(-(1 << 31), 1 << 31)


class DirectTags:
    """The tags by full name ("Result[3].Verdict") and what a PLC program does with them.

    `values` may be set at will between two reads. on_write sees each tag as the station writes it. clock_ms: the PLC's
    free-running clock; None leaves PlcClockMs as it was set.
    """

    def __init__(
        self,
        depth: int = 8,
        modulus: int = 1 << 30,
        clock_ms: Callable[[], int] | None = None,
        tags: TagSet = SEQUENCE,
    ) -> None:
        self.depth, self.modulus, self.clock_ms, self.tags = depth, modulus, clock_ms, tags
        self.kinds: dict[str, Tag] = tags.names(depth)
        self.values: dict[str, TagValue] = {name: _nothing(tag) for name, tag in self.kinds.items()}
        self.on_write: Callable[[str, TagValue], None] | None = None
        self.changed = asyncio.Event()
        self.fault: DeviceError | None = None
        """Raised by everything that the link does while it is set."""
        self.frozen = False
        """While set, requests get no answer at all and run into their deadlines."""
        self.refused: set[str] = set()
        """Tags that take no value."""

    def trigger(self, part_id: PartId, recipe_id: int = 1, encoder_pos: int = 0) -> int:
        """Trigger a part as the sequence profile says: the slot first, then TriggerSeq. Returns its number."""
        seq = int(self.values["TriggerSeq"]) % self.modulus + 1
        clock = int(self.values["PlcClockMs"]) if self.clock_ms is None else self.clock_ms()
        check = trigger_check(seq, part_id, clock, recipe_id, encoder_pos)
        index = self.tags.slot_of(seq, self.depth)
        fields = (seq, part_id, clock, recipe_id, encoder_pos, check)
        for (_, tag), value in zip(self.tags.trigger, fields, strict=True):
            self.values[tag.at(index)] = value
        self.values["TriggerSeq"] = seq
        self.changed.set()
        return seq

    def write(self, name: str, value: TagValue) -> None:
        """Take a value from the station. Raises ValueError for one that the tag cannot hold."""
        if name in self.refused:
            raise ValueError(f"{name} may not be written")
        if not _fits(self.kinds[name], value):
            raise ValueError(f"{name} = {value!r} does not fit a {self.kinds[name].type.value}")
        self.values[name] = value
        if self.on_write is not None:
            self.on_write(name, value)


class DirectPlc:
    """PlcLink on `DirectTags` of the same event loop."""

    def __init__(self, tags: DirectTags, poll_ms: float = 2.0) -> None:
        self._tags = tags
        self._poll_s = poll_ms / 1000
        self._connected = False
        self.notices: tuple[str, ...] = ()
        kinds = tags.tags
        slots = range(kinds.slots(tags.depth))
        self._head = [(name, tag.name) for name, tag in kinds.head]
        self._slots = [[(name, tag.at(index)) for name, tag in kinds.trigger] for index in slots]
        self._results = [[tag.at(index) for tag in kinds.result] for index in slots]
        self._status = frozenset(tag.name for tag in kinds.status)

    @property
    def polls(self) -> bool:
        """Never: it is told of every change."""
        return False

    async def connect(self, deadline: Ns) -> None:
        """Raises DeviceError while the tags are at fault."""
        self._connected = True
        try:
            await self._request(deadline)
        except DeviceError:
            self._connected = False
            raise

    async def read(self, seqs: Sequence[int], deadline: Ns) -> PlcReading:
        """The head and one slot for each of `seqs`."""
        sent_at = Ns(time.monotonic_ns())
        await self._request(deadline)
        tags = self._tags
        values: dict[str, Any] = tags.values
        if tags.clock_ms is not None:
            values["PlcClockMs"] = tags.clock_ms()
        head = PlcHead(**{name: values[full] for name, full in self._head})
        slots = tuple(
            TriggerSlot(**{name: values[full] for name, full in self._slots[tags.tags.slot_of(seq, tags.depth)]})
            for seq in seqs
        )
        return PlcReading(sent_at, head, slots)

    async def changed(self, deadline: Ns) -> None:
        """Return at a trigger, after the polling interval or at the deadline."""
        self._check()
        if self._tags.fault is not None:
            raise self._tags.fault
        seconds = min(deadline - time.monotonic_ns(), self._poll_s * 1e9) / 1e9
        if seconds <= 0 or self._tags.changed.is_set():
            await asyncio.sleep(0)
        else:
            try:
                async with asyncio.timeout(seconds):
                    await self._tags.changed.wait()
            except TimeoutError:
                pass
        self._tags.changed.clear()

    async def write_status(self, values: Mapping[str, StatusValue], deadline: Ns) -> None:
        """Write single tags."""
        await self._request(deadline)
        for name in values:
            if name not in self._status:
                raise DeviceRefused(_DEVICE, f"{name} is no tag that the station writes")
        self._write(values)

    async def write_answer(self, answer: Answer, deadline: Ns) -> None:
        """The slot's fields, then, in a step of its own, ResultSeq."""
        await self._request(deadline)
        tags = self._tags.tags
        index = tags.slot_of(answer.seq, self._tags.depth)
        self._write(dict(zip(self._results[index], answer_values(answer), strict=True)))
        await self._request(deadline)
        self._write({tags.result_seq.at(index): answer.seq})

    async def survey(self, deadline: Ns) -> tuple[TagReport, ...]:
        """Every tag as it lies in memory."""
        await self._reach(deadline)
        tags = self._tags
        return tuple(
            TagReport(name, name, tag.type.value, "read", "may not be written" if name in tags.refused else "")
            for name, tag in tags.kinds.items()
        )

    async def read_tags(self, names: Sequence[str], deadline: Ns) -> dict[str, StatusValue | None]:
        """Tags by full name."""
        await self._request(deadline)
        return {name: self._tags.values.get(name) for name in names}

    async def write_tags(self, values: Mapping[str, StatusValue], deadline: Ns) -> None:
        """Tags by full name, in one step."""
        await self._request(deadline)
        self._write(values)

    async def close(self) -> None:
        """Forget the connection."""
        self._connected = False

    async def _request(self, deadline: Ns) -> None:
        self._check()
        await self._reach(deadline)

    async def _reach(self, deadline: Ns) -> None:
        if self._tags.fault is not None:
            raise self._tags.fault
        if self._tags.frozen:
            await asyncio.sleep(max(deadline - time.monotonic_ns(), 0) / 1e9)
            raise DeviceTimeout(_DEVICE, "no answer in time")

    def _check(self) -> None:
        if not self._connected:
            raise DeviceUnavailable(_DEVICE, "not connected")

    def _write(self, values: Mapping[str, TagValue]) -> None:
        try:
            for name, value in values.items():
                self._tags.write(name, value)
        except ValueError as error:
            raise DeviceRefused(_DEVICE, str(error)) from error


def _nothing(tag: Tag) -> TagValue:
    return {TagType.BOOL: False, TagType.REAL: 0.0}.get(tag.type, 0)


def _fits(tag: Tag, value: TagValue) -> bool:
    if tag.direction is not Direction.STATION_TO_PLC:
        return False
    match tag.type:
        case TagType.BOOL:
            return isinstance(value, bool)
        case TagType.REAL:
            return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        case TagType.DINT:
            return isinstance(value, int) and not isinstance(value, bool) and value in _DINT
        case TagType.PART_ID:
            return isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool) and value in _DINT)
