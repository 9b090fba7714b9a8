"""One event in, commands out: which effect each event has. What the runtime calls for everything that happens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from statemachines.events import (
    ActNoted,
    BlockWritten,
    CauseCleared,
    DeadlinePassed,
    Event,
    Failed,
    FailsafeTripped,
    FrameCaptured,
    HealthReported,
    HoldRequested,
    Inferred,
    JobRequested,
    JobSeriesRequested,
    JobsStopped,
    LinkLost,
    LinkUp,
    ModeRequested,
    PlcRead,
    Published,
    RecipeLoaded,
    RecipeRefused,
    RecipeRequested,
    ResetRequested,
    SessionTold,
    Stopped,
    TriggerCommitted,
)
from statemachines.station.failsafe import cause_cleared, reset_requested, tripped
from statemachines.station.job_requests import job_requested, jobs_stopped, series_requested
from statemachines.station.modes import hold_requested, mode_requested
from statemachines.station.parts import committed, drive, failed, frame_captured
from statemachines.station.recipes import recipe_loaded, recipe_refused, recipe_requested
from statemachines.station.reports import act_noted, health_reported
from statemachines.station.results import block_written, next_result
from statemachines.station.session import link_lost, link_up, plc_read, session_told, stopped
from statemachines.station.state import Station, Step

EFFECTS: dict[type[Event], Callable[[Station, Any], Step]] = {
    LinkUp: link_up,
    LinkLost: link_lost,
    PlcRead: plc_read,
    SessionTold: session_told,
    TriggerCommitted: committed,
    FrameCaptured: frame_captured,
    Inferred: drive,
    Failed: failed,
    DeadlinePassed: drive,
    BlockWritten: block_written,
    Published: drive,
    ModeRequested: mode_requested,
    ResetRequested: reset_requested,
    FailsafeTripped: tripped,
    CauseCleared: cause_cleared,
    RecipeRequested: recipe_requested,
    RecipeLoaded: recipe_loaded,
    RecipeRefused: recipe_refused,
    HealthReported: health_reported,
    JobRequested: job_requested,
    JobSeriesRequested: series_requested,
    JobsStopped: jobs_stopped,
    HoldRequested: hold_requested,
    ActNoted: act_noted,
    Stopped: stopped,
}


def step(station: Station, event: Event) -> Step:
    """Take one event. Raises IllegalEvent and changes nothing where no row allows it."""
    station, commands = EFFECTS[type(event)](station, event)
    if not station.rules.contract.four_phase:
        return station, commands
    station, more = next_result(station, event.at)
    return station, (*commands, *more)
