"""A device's clock against our own: where it stands, how sure that is, and whether it was set anew."""

from __future__ import annotations

DRIFT = 100e-6
"""Cameras' clocks drift by some 50 ppm; twice that is allowed for."""
_SLACK_NS = 1_000_000


class ClockReset(Exception):
    """The device's clock jumped: it was off, or was reset, since it was looked at last."""


class DeviceClock:
    """Its offset to the monotonic clock, ns, taken from latches between two looks at ours.

    A latch on a busy computer may take long; then the one before, with its drift, is the better one.
    """

    def __init__(self) -> None:
        self._offset = self._error = self._at = 0
        self._known = False

    def latched(self, before: int, device: int, after: int) -> None:
        """One more comparison. before, after: our clock around the latch. Raises ClockReset."""
        middle, error = (before + after) // 2, (after - before) // 2
        offset = middle - device
        if self._known:
            kept_error = self._error + round((middle - self._at) * DRIFT)
            if abs(offset - self._offset) > error + kept_error + _SLACK_NS:
                raise ClockReset(f"its clock jumped by {(self._offset - offset) / 1e9:+.3f} s")
            if error > kept_error:
                return
        self._offset, self._error, self._at, self._known = offset, error, middle, True

    def ours(self, device: int) -> int:
        """A time of the device in monotonic ns."""
        return device + self._offset
