"""What both exhaustive searches rest on: variants of a world made fast, and nothing worked out twice for a station."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self, TypeVar

from statemachines.events import Event
from statemachines.station.state import Station, Step
from statemachines.station.step import step

Fact = TypeVar("Fact")


class Variants:
    """Parent of a frozen dataclass without slots of which a search makes hundreds of thousands."""

    def but(self, **changes: Any) -> Self:
        """As `dataclasses.replace`, five times as fast: this is what a search does most."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__, **changes)
        return other


class Memory:
    """What one search knows of the stations that it met. `step` is pure, and most moves leave the station as it was.

    A station is known by its identity, since it holds mappings; those met are kept, so that no identity comes again.
    settle: takes out of a station what decides nothing in this search.
    """

    def __init__(self, settle: Callable[[Station], Station] = lambda station: station) -> None:
        self._settle = settle
        self._met: dict[int, Station] = {}
        self._steps: dict[tuple[int, Event], Step] = {}
        self._facts: dict[tuple[int, Callable[[Station], Any]], Any] = {}

    def step(self, station: Station, event: Event) -> Step:
        """`station.step`, settled."""
        one = (id(station), event)
        taken = self._steps.get(one)
        if taken is None:
            after, commands = step(station, event)
            taken = self._steps[one] = (self._settle(after), commands)
            self._met[id(station)] = station
        return taken

    def of(self, station: Station, find: Callable[[Station], Fact]) -> Fact:
        """What `find` says of this station."""
        one = (id(station), find)
        if one not in self._facts:
            self._facts[one] = find(station)
            self._met[id(station)] = station
        return self._facts[one]
