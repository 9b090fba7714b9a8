"""How far apart parts come, so that a link which polls can tell when none is due."""

from __future__ import annotations

from collections import deque

from statemachines.vocabulary import Ns

_PARTS = 16
_SURE = 0.75
"""Of the shortest distance seen: belts slip, and a trigger is seen up to one polling interval late."""


class Rhythm:
    """The shortest distance between the last sixteen parts. Nothing is foretold before so many were seen."""

    def __init__(self) -> None:
        self._gaps: deque[int] = deque(maxlen=_PARTS)
        self._last: Ns | None = None

    def seen(self, count: int, at: Ns) -> None:
        """So many new triggers came with one read."""
        if self._last is not None:
            self._gaps.append(at - self._last if count == 1 else 0)
        self._last = at

    def restart(self) -> None:
        """The line stood still or was changed: begin anew."""
        self._gaps.clear()
        self._last = None

    @property
    def quiet_until(self) -> Ns:
        """No part is due before; 0 where that is not known."""
        if self._last is None or len(self._gaps) < _PARTS:
            return Ns(0)
        return Ns(self._last + round(min(self._gaps) * _SURE))
