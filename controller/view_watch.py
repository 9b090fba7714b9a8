"""Reports what a view tells of itself over time: a calibration that expired, images that drift away from good ones."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime

from controller.recipes import LoadedView
from controller.runtime import Runtime
from statemachines.events import HealthReported
from statemachines.vocabulary import Health

PERIOD_S = 1.0

Report = tuple[Health, str]


class ViewWatch:
    """The views of the recipe in force. wall: the time for people, by which a calibration expires."""

    def __init__(self, runtime: Runtime, wall: Callable[[], datetime]) -> None:
        self._runtime, self._wall = runtime, wall
        self._told: dict[str, Report] = {}

    async def run(self) -> None:
        """Look once a second."""
        while True:
            self.look()
            await asyncio.sleep(PERIOD_S)

    def look(self) -> None:
        """Post what changed, also that a view is gone with its recipe."""
        recipe = self._runtime.recipe
        found = reports({} if recipe is None else recipe.views, self._wall())
        for source in self._told.keys() | found.keys():
            health, why = found.get(source, (Health.NORMAL, ""))
            if self._told.get(source) != (health, why):
                self._runtime.post(HealthReported(self._runtime.now(), source, health, why))
        self._told = found


def reports(views: Mapping[str, LoadedView], now: datetime) -> dict[str, Report]:
    """By source, what is not as it should be."""
    found: dict[str, Report] = {}
    for name, view in views.items():
        until = view.calibrated_until
        if until is not None and now >= until:
            why = f"expired on {until:%Y-%m-%d}: run linegate camera calibrate for camera {view.camera}"
            found[f"calibration:{name}"] = (Health.MAINTENANCE, why)
        if view.watch is not None and view.watch.drift:
            found[f"image:{name}"] = (Health.OUT_OF_SPEC, view.watch.drift)
    return found
