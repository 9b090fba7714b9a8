"""What a test or a rig can make the simulated camera do wrong, as one word of shared memory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

FOREVER = (1 << 18) - 1
"""Fault count that never runs out."""

_KIND_SHIFT, _COUNT_SHIFT = 44, 24
_LONGEST_MS = (1 << _COUNT_SHIFT) - 1


class ExposureFault(IntEnum):
    """How an exposure goes wrong: no frame, a late one, the one before again, a black one, one of half the size."""

    NONE = 0
    SILENT = 1
    SLOW = 2
    SAME_FRAME = 3
    BLACK = 4
    HALF_SIZE = 5


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault in force. remaining: exposures that still have it, FOREVER until it is cleared. delay_ms: for SLOW."""

    kind: ExposureFault = ExposureFault.NONE
    remaining: int = 0
    delay_ms: int = 0

    def after_one(self) -> Fault:
        """What is left of it after one more exposure."""
        return self if self.remaining == FOREVER else replace(self, remaining=self.remaining - 1)


def packed(fault: Fault) -> int:
    """The fault as one word; 0 is none. Raises ValueError for a figure that does not fit."""
    if not (0 <= fault.remaining <= FOREVER and 0 <= fault.delay_ms <= _LONGEST_MS):
        raise ValueError(f"fault count {fault.remaining} or delay {fault.delay_ms} ms is out of range")
    if not fault.kind or not fault.remaining:
        return 0
    return fault.kind << _KIND_SHIFT | fault.remaining << _COUNT_SHIFT | fault.delay_ms


def unpacked(word: int) -> Fault:
    """The fault that a word stands for."""
    return Fault(ExposureFault(word >> _KIND_SHIFT), word >> _COUNT_SHIFT & FOREVER, word & _LONGEST_MS)
