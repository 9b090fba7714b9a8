"""Jobs: parts that somebody other than the PLC wants inspected, while the PLC's Enable is 0.

They live through the same cycle as the PLC's parts, with the same deadline and the same journal, but in SHADOW and
without an answer: nothing of a job ever reaches the PLC's result ring, its counters or its gate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from statemachines.commands import Command, Publish
from statemachines.cycle.answer import conclude as conclude_part
from statemachines.cycle.state import FINAL, Cycle, Stage, recorded
from statemachines.cycle.views import begin as begin_part
from statemachines.events import JobRequested
from statemachines.handshake.state import Handshake, Link
from statemachines.vocabulary import Mode, Ns, PartKey, RecipeFacts

OPCUA = "opcua"
"""Source of jobs that clients of the status server start."""
REPLAY = "replay"
"""Source of such jobs while the station simulates: they see kept images instead of what lies before the camera."""
SOURCES = frozenset({OPCUA, REPLAY})


@dataclass(frozen=True, slots=True)
class Jobs:
    """series: one job after the other is wanted. last: key of the newest job."""

    series: bool = False
    last: PartKey | None = None


def running(cycles: Mapping[PartKey, Cycle]) -> PartKey | None:
    """The job in flight, or None. There is never more than one."""
    return next((key for key, c in cycles.items() if key.source in SOURCES and c.stage not in FINAL), None)


def link_forbids(handshake: Handshake, enable_seen_low: bool) -> str | None:
    """Why the PLC's side of the contract allows no job now, or None. Enable must have been read, as 0."""
    if handshake.link in (Link.OPENING, Link.IN_SESSION):
        return "the PLC's Enable is 1: its parts have the station to themselves"
    if handshake.link is not Link.WAITING or not enable_seen_low:
        return "the PLC's Enable is not known to be 0"
    return None


def begin(event: JobRequested, recipe: RecipeFacts) -> tuple[Cycle, tuple[Command, ...]]:
    """Take the job in as a part of its own: recorded, captured, timed like any other. Kept images come on command."""
    if event.part.source == REPLAY:
        recipe = replace(recipe, rules=tuple(rule.commanded() for rule in recipe.rules))
    cycle = Cycle(
        part=event.part,
        part_id=event.part_id,
        stage=Stage.CAPTURING,
        recipe=recipe,
        mode=Mode.SHADOW,
        plc_epoch=0,
        triggered_at=event.at,
        seen_at=event.at,
        deadline=Ns(event.at + recipe.deadline_ns),
    )
    record = recorded(cycle, recipe.id, meas_id=event.meas_id)
    cycle, commands = begin_part(cycle)
    return cycle, (record, *commands)


def conclude(cycle: Cycle, commands: tuple[Command, ...]) -> tuple[Cycle, tuple[Command, ...]]:
    """What would be published is the end of a job: its outcome stands in for the answer."""
    kept: list[Command] = []
    for command in commands:
        if isinstance(command, Publish):
            cycle, ended = conclude_part(cycle, cycle.handed_at)
            kept += ended
        else:
            kept.append(command)
    return cycle, tuple(kept)
