"""How far the station may act: the mode that people ask for, the PLC's ceiling over it, a person's hold."""

from __future__ import annotations

from dataclasses import replace

from statemachines import line
from statemachines.commands import RecordEvent
from statemachines.events import HoldRequested, ModeRequested
from statemachines.station.reports import with_report, without_report
from statemachines.station.state import Station, Step
from statemachines.vocabulary import Health, Hold, Mode, Ns

MODE_LOWERED = "mode lowered"
"""Source of the report that a person lowered the mode."""
MODE_CEILING = "mode ceiling"
"""Source of the report that the PLC holds the mode down."""


def mode_requested(station: Station, event: ModeRequested) -> Step:
    """Takes effect from the next part; parts in flight keep theirs. A lowered mode is a bypass."""
    station = _bypass(station, event)
    detail = {"from": station.line.mode.name, "to": event.mode.name, "why": event.why}
    changed = line.run(station.line, event.mode) if station.line.running else replace(station.line, mode=event.mode)
    station = replace(station, line=changed)
    station, more = new_ceiling(station, event.at, station.ceiling)
    return station, (RecordEvent(event.at, "mode", event.who, detail), *more)


def _bypass(station: Station, event: ModeRequested) -> Station:
    usual = max(station.line.mode, station.lowered_from or Mode.SHADOW)
    station = without_report(station, MODE_LOWERED)
    if event.mode >= usual:
        return replace(station, lowered_from=None)
    why = f"{event.who} lowered the mode from {usual.name} to {event.mode.name}: {event.why}"
    return with_report(replace(station, lowered_from=usual), MODE_LOWERED, Health.CHECK_FUNCTION, why)


def new_ceiling(station: Station, at: Ns, ceiling: int) -> Step:
    """Take the PLC's ModeCeiling. Below the mode asked for it is a bypass; outside of 1 to 3 Ready is 0."""
    station = without_report(replace(station, ceiling=ceiling), MODE_CEILING)
    if 1 <= ceiling < station.line.mode:
        why = f"the PLC holds the mode down to {Mode(ceiling).name}"
        station = with_report(station, MODE_CEILING, Health.CHECK_FUNCTION, why)
    detail = {"ceiling": ceiling, "requested": station.line.mode.name}
    return station, (RecordEvent(at, "ceiling", "plc", detail),)


def hold_requested(station: Station, event: HoldRequested) -> Step:
    """Takes effect from the next part on; a job in flight ends as it would."""
    detail = {"from": station.hold.name, "to": event.hold.name, "why": event.why}
    station = replace(
        station,
        hold=event.hold,
        held_over_failsafe=station.latch.latched and event.hold is Hold.HALTED,
        jobs=replace(station.jobs, series=False),
    )
    return station, (RecordEvent(event.at, "hold", event.who, detail),)
