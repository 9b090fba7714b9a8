"""What station and status process say to each other. Plain values only; microseconds, milliseconds, names of enums."""

from __future__ import annotations

import msgspec

from controller.channel_words import Message, Protocol
from controller.stage_latency import StageLatency

__all__ = [
    "PROTOCOL",
    "STAGES",
    "Alive",
    "ChangeRecipe",
    "CommandResult",
    "HealthReport",
    "HoldStation",
    "Noted",
    "PartAcquired",
    "PartBegan",
    "PartEnded",
    "PartSummary",
    "ResetFailsafe",
    "Serving",
    "SetMode",
    "Simulate",
    "StageLatency",
    "StartJob",
    "StartSeries",
    "StationSnapshot",
    "StatusCommand",
    "StopJobs",
]

STAGES = ("capture", "inference", "overhead", "total")
"""Stages of a part whose durations are told. total: trigger seen to answer written; overhead: what neither camera,
model nor wire took of it."""


class PartSummary(Message, frozen=True):
    """One finished part. verdict, reason, action, mode: names of the vocabulary's values; findings: one line each."""

    part_id: str
    seq: int
    verdict: str
    reason: str
    action: str
    mode: str
    why: str
    findings: list[str]
    latency_us: int
    score: float = 0.0
    """Of the worst finding, as the PLC reads it; 0 without one."""


class HealthReport(Message, frozen=True):
    """What one duty says of itself while it is not normal. source: "journal", "camera:top", …; health: NE 107."""

    source: str
    health: int
    why: str


class StationSnapshot(Message, frozen=True, kw_only=True):
    """The station at one moment. mode, health, fault_code: the numbers that the PLC reads, too."""

    station: str
    state: str
    mode_requested: int
    mode: int
    mode_ceiling: int
    health: int
    health_text: str
    failsafe: bool
    fault_code: int
    fault_why: str
    ready: bool
    online: bool
    session_id: int
    in_flight: int
    recipe_product: str
    recipe_id: int
    recipe_hash: str
    model_name: str
    model_version: str
    model_hash: str
    model_precision: str
    triggers: int
    answered: int
    ok: int
    ng: int
    unsure: int
    no_decision: int
    missed: int
    late: int
    overruns: int
    lost: int
    images_dropped: int
    journal_dropped: int
    loop_lag_ms: float
    uptime_s: float
    plc_link: str
    """How far the handshake with the PLC has come, in the words of `Link`."""
    recipe_loading: bool
    reset_granted: bool
    """A person may leave failsafe and has asked to; the PLC's Enable 0→1 is all that is missing."""
    hold: int
    """A number of `Hold`."""
    held_over_failsafe: bool
    job: str
    """Key of the job in flight, or ""."""
    job_series: bool
    no_job_because: str
    """Why no job may start now, or ""."""
    simulating: bool
    feed_dropped: int
    """Messages to this process that were lost since the station's start."""
    last_parts: list[PartSummary]
    """Newest first, at most 20."""
    latencies: dict[str, StageLatency]
    """By stage; a stage that has no part yet is absent."""
    reports: list[HealthReport] = msgspec.field(default_factory=list[HealthReport])
    """Duties that are not normal."""


class PartBegan(Message, frozen=True):
    """A part was taken in. key: "epoch/source/seq". wall_ns: Unix time of its trigger. series: of jobs that go on."""

    key: str
    part_id: str
    wall_ns: int
    series: bool = False


class PartAcquired(Message, frozen=True):
    """Every view of the part was exposed: it may be moved on."""

    key: str


class PartEnded(Message, frozen=True, kw_only=True):
    """How a part ended, told at once and for every part, beside the coalesced snapshots.

    answered: the PLC has the answer. wall_ns: Unix times. told_ns: monotonic time of this message, to be measured by.
    """

    key: str
    part_id: str
    verdict: str
    reason: str
    action: str
    mode: str
    answered: bool
    decided: bool
    score: float
    why: str
    findings: list[str]
    product: str
    recipe_hash: str
    began_wall_ns: int
    ended_wall_ns: int
    capture_us: int
    processing_us: int
    told_ns: int
    meas_id: str = ""


class CommandResult(Message, frozen=True):
    """What became of a person's wish. key: of the job that was started."""

    id: int
    ok: bool
    why: str
    key: str = ""


class Serving(Message, frozen=True):
    """The status process accepts clients at this address."""

    endpoint: str


class Alive(Message, frozen=True):
    """The status process is not stuck; said once a second."""


class SetMode(Message, frozen=True):
    """A person wants another mode. mode: a number of `Mode`.

    signed: an engineer asks, logged in by name over an encrypted session. Without it a mode can only be lowered.
    """

    id: int
    mode: int
    who: str
    why: str
    signed: bool = False


class ResetFailsafe(Message, frozen=True):
    """A person wants to leave failsafe."""

    id: int
    who: str


class ChangeRecipe(Message, frozen=True):
    """A person wants another product inspected."""

    id: int
    product: str
    who: str


class StartJob(Message, frozen=True):
    """A client wants one part inspected now. meas_id: what it calls its measurement."""

    id: int
    part_id: str
    who: str
    meas_id: str = ""


class StartSeries(Message, frozen=True):
    """A client wants one job after the other until they are stopped. meas_id: what it calls them all."""

    id: int
    part_id: str
    who: str
    meas_id: str = ""


class StopJobs(Message, frozen=True):
    """A client wants no further job; abort: nor the end of the one that runs."""

    id: int
    abort: bool
    who: str
    why: str


class HoldStation(Message, frozen=True):
    """A person takes the station out of inspection or lets it in again. hold: a number of `Hold`."""

    id: int
    hold: int
    who: str
    why: str


class Simulate(Message, frozen=True):
    """A person wants jobs to see kept images, or the cameras again."""

    id: int
    on: bool
    who: str


class Noted(Message, frozen=True):
    """Something for the audit trail that changes nothing: a log-in, an alarm acknowledged. kind: a stable word."""

    kind: str
    who: str
    detail: dict[str, str]


StatusCommand = SetMode | ResetFailsafe | ChangeRecipe | StartJob | StartSeries | StopJobs | HoldStation | Simulate
"""What people can ask for. id: answered with a CommandResult of the same id, once."""

PROTOCOL = Protocol(
    name="linegate.status",
    version=4,
    to_parent=(
        Serving,
        Alive,
        Noted,
        SetMode,
        ResetFailsafe,
        ChangeRecipe,
        StartJob,
        StartSeries,
        StopJobs,
        HoldStation,
        Simulate,
    ),
    to_child=(StationSnapshot, PartBegan, PartAcquired, PartEnded, CommandResult),
)
