"""What the station is only told: how its duties fare, and what people did elsewhere."""

from __future__ import annotations

from dataclasses import replace

from statemachines.commands import RecordEvent
from statemachines.events import ActNoted, HealthReported
from statemachines.station.state import Station, Step
from statemachines.vocabulary import Health

TRIGGERS = "triggers"
"""Source of the report that triggers were missed, or may be."""
VIEW = "view:"
"""Begin of the source of reports on a view that was done without."""


def with_report(station: Station, source: str, state: Health, why: str) -> Station:
    """This is said of the source from now on."""
    return replace(station, reports={**station.reports, source: (state, why)})


def without_report(station: Station, source: str) -> Station:
    """Nothing is said of the source any more."""
    return replace(station, reports={name: report for name, report in station.reports.items() if name != source})


def health_reported(station: Station, event: HealthReported) -> Step:
    """Journalled where it is news."""
    reports = dict(station.reports)
    known = reports.pop(event.source, (Health.NORMAL, ""))
    if event.health is not Health.NORMAL:
        reports[event.source] = (event.health, event.why)
    if known == (event.health, event.why):
        return station, ()
    detail = {"source": event.source, "health": event.health.name, "why": event.why}
    return replace(station, reports=reports), (RecordEvent(event.at, "health", "", detail),)


def act_noted(station: Station, event: ActNoted) -> Step:
    """Into the audit trail; nothing follows from it here."""
    return station, (RecordEvent(event.at, event.kind, event.who, event.detail),)
