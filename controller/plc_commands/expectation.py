"""From measured round trips to what a line may expect: trigger to answer, and what can be missed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from controller.drivers.plc.tags import Profile

OWN_MS = 2.0
"""What Linegate itself adds to exposure, inference and the wire, at its 99th percentile."""


@dataclass(frozen=True, slots=True)
class RoundTrips:
    """Percentiles of one kind of request, in ms."""

    count: int
    p50: float
    p95: float
    p99: float
    worst: float


def round_trips(samples_ms: Sequence[float]) -> RoundTrips:
    """Percentiles by nearest rank. samples_ms: at least one."""
    ranked = sorted(samples_ms)
    p50, p95, p99 = (ranked[math.ceil(part * len(ranked)) - 1] for part in (0.50, 0.95, 0.99))
    return RoundTrips(len(ranked), p50, p95, p99, ranked[-1])


@dataclass(frozen=True, slots=True)
class Line:
    """What the station's files say of this line. deadline_ms, window_ms: of the recipe at start; None if unknown."""

    profile: Profile
    poll_ms: float
    request_timeout_ms: float
    exposure_ms: float
    inference_ms: float
    deadline_ms: float | None = None
    window_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Expectation:
    """Trigger to answer, in ms, and how late a trigger may be seen."""

    typical_ms: float
    slow_ms: float
    seen_within_ms: float
    warnings: tuple[str, ...]


def expect(line: Line, read: RoundTrips, fields: RoundTrips, seq: RoundTrips, notices: Sequence[str]) -> Expectation:
    """A trigger waits for half a poll on the average and a whole one at worst, is read, captured, judged, answered.

    fields, seq: the two writes of an answer. The slow figure adds up the 99th percentiles: an upper estimate.
    """
    work = line.exposure_ms + line.inference_ms
    typical = line.poll_ms / 2 + read.p50 + work + fields.p50 + seq.p50
    seen_within = max(line.poll_ms, read.p99) + read.p99
    slow = seen_within + work + fields.p99 + seq.p99 + OWN_MS
    warnings = (*notices, *_warnings(line, read, seen_within, slow))
    return Expectation(typical, slow, seen_within, warnings)


def _warnings(line: Line, read: RoundTrips, seen_within: float, slow: float) -> Iterator[str]:
    if line.profile == "four-phase":
        yield (
            f"hold Trigger until TriggerAck: a pulse shorter than {seen_within:.1f} ms can be missed, "
            "and two pulses within that time count as one"
        )
    if line.deadline_ms is not None and slow > line.deadline_ms:
        yield f"an answer may take {slow:.1f} ms, the recipe's deadline_ms is {line.deadline_ms:g}"
    if line.window_ms is not None and seen_within + line.exposure_ms > line.window_ms:
        yield (
            f"a trigger may be seen {seen_within:.1f} ms late, the recipe's capture_window_ms is {line.window_ms:g}: "
            "such parts get no decision (late trigger)"
        )
    if read.p50 > line.poll_ms:
        yield f"a read takes {read.p50:.1f} ms: polling every {line.poll_ms:g} ms is not reached"
    if read.p99 > line.request_timeout_ms / 2:
        yield f"a read may take {read.p99:.1f} ms: request_timeout_ms = {line.request_timeout_ms:g} leaves little room"
