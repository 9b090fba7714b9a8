"""When the next poll is due."""

from __future__ import annotations

import asyncio
import time

from statemachines.vocabulary import Ns


class Pace:
    """Lets reads start one interval apart. A late one delays the next: there is never a burst to catch up."""

    def __init__(self, interval_ns: int) -> None:
        self._interval = interval_ns
        self._last = 0

    def restart(self) -> None:
        """The next read is due at once."""
        self._last = 0

    def started(self, at: int) -> None:
        """A read starts now."""
        # Waking is a little late each time; the due time, not the waking time, is where the next interval starts,
        # unless a whole interval was lost.
        due = self._last + self._interval
        self._last = due if 0 <= at - due < self._interval else at

    async def due(self, deadline: Ns) -> None:
        """Return when a read is due, or at the deadline. Always gives way to other tasks once."""
        until = min(self._last + self._interval, deadline)
        await asyncio.sleep(max(until - time.monotonic_ns(), 0) / 1e9)
