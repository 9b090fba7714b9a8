"""A camera's frame numbers made to rise for as long as the station runs."""

from __future__ import annotations

_SWAPPED = 64
"""Frames may come in another order by so many; further back, the device has begun anew."""


class RisingCounter:
    """Device numbers begin anew with each opening, from 0 or 1, and GigE Vision's 16 bits go from 65,535 to 1."""

    def __init__(self) -> None:
        self._base = self._highest = 0
        self._last: int | None = None

    def restart(self) -> None:
        """The device was opened anew."""
        self._last = None

    def of(self, number: int) -> int:
        """The number of this frame: that of another frame never, the same again for the same frame."""
        if self._last is None or number < self._last - _SWAPPED:
            # Where it counts from 0, its first frame must not be the last one again.
            self._base = self._highest + (0 if number else 1)
            self._last = number
        self._last = max(self._last, number)
        self._highest = max(self._highest, self._base + number)
        return self._base + number
