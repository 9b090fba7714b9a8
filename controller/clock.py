"""Time as a port: monotonic for every decision, wall clock for records only."""

from __future__ import annotations

import time
from typing import Protocol

from statemachines.vocabulary import Ns


class Clock(Protocol):
    """Where the time comes from. Tests move it by hand."""

    def now(self) -> Ns:
        """Monotonic nanoseconds; the same zero in every process of one machine."""
        ...

    def wall_ns(self) -> int:
        """Nanoseconds since 1970, UTC: for records only; it may jump."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> Ns:
        return Ns(time.monotonic_ns())

    def wall_ns(self) -> int:
        return time.time_ns()
