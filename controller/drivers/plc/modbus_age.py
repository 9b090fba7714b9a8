"""When a PLC that writes to us read its clock, from when its writes arrived. Pure.

A client knows when it asked; a server only learns when a write came in, and that may be long after the PLC sent it: a
switch, a retry or a frozen cable holds it up, and a part would seem younger than it is. The PLC's own clock tells: of
all recent writes the least delayed one shows how the two clocks lie to each other, and every other write is as late as
it is behind that one.
"""

from __future__ import annotations

from statemachines.vocabulary import MS, Ns

_WINDOW_NS = 10_000 * MS
"""The least delayed write is looked for among those of the last one to two windows, so that clocks may drift apart:
100 ppm make 2 ms in 20 s."""


class ArrivalClock:
    """delay_ns: what a write takes at most from the PLC's scan to here when nothing holds it up.

    lost_ns: a clock that did not move for so long starts afresh. The station has opened a new session by then, and its
    acknowledgement comes after everything that was held up.
    """

    def __init__(self, delay_ns: int, lost_ns: int) -> None:
        self._delay, self._lost = delay_ns, lost_ns
        self._moved_at = 0
        self._clock_ms: int | None = None
        self._elapsed_ms = 0
        self._least = self._least_before = 0
        self._window_ends = 0

    def arrived(self, clock_ms: int, at: int) -> Ns:
        """A write with this PlcClockMs came in. The time before which the PLC cannot have read it.

        A clock that goes backwards is that of a PLC that started anew: nothing is known of it yet.
        """
        step = 0 if self._clock_ms is None else _signed(clock_ms - self._clock_ms)
        fresh = self._clock_ms is None or step < 0 or (step > 0 and at - self._moved_at >= self._lost)
        if step or fresh:
            self._clock_ms, self._moved_at = clock_ms, at
        self._elapsed_ms = 0 if fresh else self._elapsed_ms + step
        offset = at - self._elapsed_ms * MS
        if fresh:
            self._least = self._least_before = offset
            self._window_ends = at + _WINDOW_NS
        elif at >= self._window_ends:
            self._least_before, self._least = self._least, offset
            self._window_ends = at + _WINDOW_NS
        self._least = min(self._least, offset)
        return Ns(self._elapsed_ms * MS + min(self._least, self._least_before) - self._delay)


def _signed(difference: int) -> int:
    """A difference of two 32-bit clocks as a number from -2^31 to 2^31 - 1."""
    return (difference + (1 << 31)) % (1 << 32) - (1 << 31)
