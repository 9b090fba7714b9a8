"""Reading the tags of a PLC for a person who watches. Nothing here writes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from controller.drivers.plc.tags import TagSet
from controller.ports import PlcLink, PlcTags, StatusValue
from statemachines.vocabulary import MS, Ns

TagValues = Mapping[str, StatusValue | None]


@dataclass(frozen=True, slots=True)
class Glance:
    """All tags at one time. values: by full name, None where the PLC has no such tag; read_ms: how long it took."""

    values: TagValues
    read_ms: float


async def glance(link: PlcLink, tags: TagSet, depth: int, timeout_ms: float) -> Glance:
    """Read what the link can show: every tag, or at least those that a station reads. Raises DeviceError."""
    started = time.monotonic_ns()
    deadline = Ns(started + int(timeout_ms * MS))
    if isinstance(link, PlcTags):
        values: TagValues = await link.read_tags(list(tags.names(depth)), deadline)
    else:
        values = await _incoming(link, tags, depth, deadline)
    return Glance(values, (time.monotonic_ns() - started) / 1e6)


async def _incoming(link: PlcLink, tags: TagSet, depth: int, deadline: Ns) -> dict[str, StatusValue | None]:
    seqs = range(1, tags.slots(depth) + 1)
    reading = await link.read(seqs, deadline)
    values: dict[str, StatusValue | None] = {tag.name: getattr(reading.head, field) for field, tag in tags.head}
    for seq, slot in zip(seqs, reading.slots, strict=True):
        for field, tag in tags.trigger:
            values[tag.at(tags.slot_of(seq, depth))] = getattr(slot, field)
    return values
