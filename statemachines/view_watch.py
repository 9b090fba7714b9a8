"""Whether each view does its part: one that had to be done without calls for maintenance until it is well. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from statemachines.cycle.state import Cycle
from statemachines.vocabulary import Health

RECOVERED_AFTER = 20
"""Parts in a row with a usable frame of the view before the report is taken back."""


@dataclass(frozen=True, slots=True)
class ViewWatch:
    """ailing: views that were done without, each with the good parts since."""

    ailing: Mapping[str, int] = field(default_factory=dict[str, int])


def look(watch: ViewWatch, cycle: Cycle) -> tuple[ViewWatch, dict[str, tuple[Health, str]]]:
    """What a part that is over says of its views: by view, the health to report where that changed."""
    ailing, news = dict(watch.ailing), dict[str, tuple[Health, str]]()
    seen = {frame.view for frame in cycle.frames}
    for view in cycle.recipe.views:
        failure = next((failure for failure in cycle.failed if failure.view == view), None)
        if failure is not None and cycle.recipe.may_do_without(view):
            if view not in ailing:
                news[view] = Health.MAINTENANCE, _why(cycle, view, failure.why)
            ailing[view] = 0
        elif view in ailing and view in seen:
            ailing[view] += 1
            if ailing[view] >= RECOVERED_AFTER:
                del ailing[view]
                news[view] = Health.NORMAL, ""
    return (watch if ailing == watch.ailing else replace(watch, ailing=ailing)), news


def _why(cycle: Cycle, view: str, why: str) -> str:
    recipe = cycle.recipe
    judged = {frame.view for frame in cycle.frames if frame.used}
    stand_in = next((name for name in recipe.stand_ins(view) if name in judged), None)
    if stand_in is not None:
        return f"{stand_in} stands in for {view}: {why}"
    return f"{view} is out of use: {why}"
