"""Round trips of the station's own requests, measured on the real PLC."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

from controller.drivers.plc.tags import TagSet
from controller.errors import DeviceRefused
from controller.plc_commands.expectation import RoundTrips, round_trips
from controller.ports import PlcLink, PlcTags, StatusValue
from statemachines.vocabulary import MS, Ns

Progress = Callable[[str, int], None]
"""Told of each request: its kind, and how many of it are done."""

QUIET_S = 0.5
"""Heartbeat stands still for so long: no station is at work. A station moves it at least every 100 ms by default."""


class StationRuns(Exception):
    """A station is writing these tags; writing back old values would disturb it."""


async def measure_reads(link: PlcLink, count: int, timeout_ms: float, progress: Progress) -> RoundTrips:
    """The read of every poll: the head and the next slot, in one request. Raises DeviceError."""
    reading = await link.read((), _in(timeout_ms))
    following = max(1, reading.head.trigger_seq + 1)
    return await _repeat("read", count, progress, lambda: link.read([following], _in(timeout_ms)))


async def measure_writes(
    link: PlcTags, tags: TagSet, count: int, timeout_ms: float, quiet_s: float, progress: Progress
) -> tuple[RoundTrips, RoundTrips]:
    """The two writes of an answer: a slot's fields, then its number, each with the values that stand there already.

    Raises StationRuns before anything is written, DeviceError, or DeviceRefused for a tag without a value.
    """
    await _nobody_writes(link, timeout_ms, quiet_s)
    names = [tag.at(0) for tag in tags.result]
    number = tags.result_seq.at(0)
    found = await link.read_tags([*names, number], _in(timeout_ms))
    values: dict[str, StatusValue] = {}
    for name, value in found.items():
        if value is None:
            raise DeviceRefused("PLC", f"{name} cannot be read, so it cannot be written back: measure without --write")
        values[name] = value
    seq: Mapping[str, StatusValue] = {number: values.pop(number)}
    fields = await _repeat("write fields", count, progress, lambda: link.write_tags(values, _in(timeout_ms)))
    return fields, await _repeat("write number", count, progress, lambda: link.write_tags(seq, _in(timeout_ms)))


async def _nobody_writes(link: PlcTags, timeout_ms: float, quiet_s: float) -> None:
    async def heartbeat() -> StatusValue | None:
        return (await link.read_tags(["Heartbeat"], _in(timeout_ms)))["Heartbeat"]

    before = await heartbeat()
    until = time.monotonic() + quiet_s
    while time.monotonic() < until:
        await asyncio.sleep(min(0.02, quiet_s))
        if await heartbeat() != before:
            raise StationRuns("Heartbeat moves: a station is at work on this PLC; stop it, or measure without --write")


async def _repeat(kind: str, count: int, progress: Progress, request: Callable[[], Awaitable[object]]) -> RoundTrips:
    samples: list[float] = []
    for number in range(1, count + 1):
        started = time.perf_counter_ns()
        await request()
        samples.append((time.perf_counter_ns() - started) / 1e6)
        progress(kind, number)
    return round_trips(samples)


def _in(milliseconds: float) -> Ns:
    return Ns(time.monotonic_ns() + int(milliseconds * MS))
