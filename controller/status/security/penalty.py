"""Failed log-ins cost time: each one from the same place for the same name doubles the wait. Pure; time comes in."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

FIRST_S, LONGEST_S = 1.0, 30.0
FORGOTTEN_S = 600.0
"""A place without a failure for so long starts anew."""
MOST_PLACES = 1024
"""Places that are remembered; the oldest is forgotten first."""

Place = tuple[str, str]
"""Address and name: nobody can lock out a colleague who sits somewhere else."""


@dataclass(frozen=True, slots=True)
class _Record:
    failures: int
    at: float


class Penalties:
    """What each place has to wait. now: seconds of a monotonic clock."""

    def __init__(self) -> None:
        self._records: OrderedDict[Place, _Record] = OrderedDict()

    def wait_s(self, place: Place, now: float) -> float:
        """Seconds until this place may try again."""
        record = self._records.get(place)
        if record is None:
            return 0.0
        return max(0.0, record.at + _pause(record.failures) - now)

    def failed(self, place: Place, now: float) -> float:
        """Take note of a failure; the seconds to wait before it is answered."""
        record = self._records.pop(place, None)
        known = record is not None and now - record.at < FORGOTTEN_S
        failures = record.failures + 1 if record is not None and known else 1
        self._records[place] = _Record(failures, now)
        while len(self._records) > MOST_PLACES:
            self._records.popitem(last=False)
        return _pause(failures)

    def succeeded(self, place: Place) -> None:
        """Forget this place's failures."""
        self._records.pop(place, None)


def _pause(failures: int) -> float:
    return min(FIRST_S * 2.0 ** min(failures - 1, 10), LONGEST_S)
