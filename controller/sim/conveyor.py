"""The simulated conveyor: when each part comes into view, and where the belt is.

Pure. Both sides of the simulation (the PLC that triggers, the belt that shows parts to the camera) compute the same
schedule from the same seed, so that they need nothing but one start time in common.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

NS_PER_MS = 1_000_000
NS_PER_MINUTE = 60_000_000_000

_HALF_TURN = 1 << 31
_FULL_TURN = 1 << 32


def arrivals(seed: int, rate_ppm: float, jitter_ms: float, parts: int) -> list[int]:
    """When parts 1 to `parts` come into view, in ns after the line started.

    rate_ppm: parts per minute; 0 means that no part comes by itself. jitter_ms: each part comes up to this much
    earlier or later than its even place, uniformly. The list is strictly increasing and its first entry is one spacing
    after the start (less or more by the jitter, never before it).
    Raises ValueError for a negative figure.
    """
    if rate_ppm < 0 or jitter_ms < 0 or parts < 0:
        raise ValueError(f"rate {rate_ppm}, jitter {jitter_ms} and parts {parts} must not be negative")
    if rate_ppm == 0:
        return []
    chance = random.Random(seed)
    spacing = NS_PER_MINUTE / rate_ppm
    jitter = jitter_ms * NS_PER_MS
    offsets: list[int] = []
    before = 0
    for number in range(1, parts + 1):
        at = max(round(number * spacing + chance.uniform(-jitter, jitter)), before + 1)
        offsets.append(at)
        before = at
    return offsets


def to_dint(value: int) -> int:
    """The signed 32-bit pattern that a PLC's DINT shows of a number that never stops counting."""
    return (value + _HALF_TURN) % _FULL_TURN - _HALF_TURN


def travelled(since: int, now: int) -> int:
    """Counts from one encoder position to another, right across the wrap as long as it is less than half a turn."""
    return to_dint(now - since)


@dataclass(frozen=True, slots=True)
class Encoder:
    """A belt that runs evenly. counts_per_s: pulses of the encoder; offset: where it stood at time 0."""

    counts_per_s: int = 10_000
    offset: int = 0

    def position(self, at_ns: int) -> int:
        """Position at a time as a DINT; wraps like the counter of a real encoder card."""
        return to_dint(self.offset + at_ns * self.counts_per_s // 1_000_000_000)

    def counts(self, duration_ms: float) -> int:
        """How far the belt moves in this time."""
        return round(duration_ms * self.counts_per_s / 1000)
