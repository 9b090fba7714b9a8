"""What station and status process say to each other. Plain values only; microseconds, milliseconds, names of enums."""

from __future__ import annotations

import msgspec

from controller.channel import Message, Protocol
from controller.latency import StageLatency

__all__ = [
    "PROTOCOL",
    "STAGES",
    "Alive",
    "ChangeRecipe",
    "CommandResult",
    "HealthReport",
    "Noted",
    "PartSummary",
    "ResetFailsafe",
    "Serving",
    "SetMode",
    "StageLatency",
    "StationSnapshot",
    "StatusCommand",
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
    last_parts: list[PartSummary]
    """Newest first, at most 20."""
    latencies: dict[str, StageLatency]
    """By stage; a stage that has no part yet is absent."""
    reports: list[HealthReport] = msgspec.field(default_factory=list[HealthReport])
    """Duties that are not normal."""


class CommandResult(Message, frozen=True):
    """What became of a person's wish."""

    id: int
    ok: bool
    why: str


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


class Noted(Message, frozen=True):
    """Something for the audit trail that changes nothing: a log-in, an alarm acknowledged. kind: a stable word."""

    kind: str
    who: str
    detail: dict[str, str]


StatusCommand = SetMode | ResetFailsafe | ChangeRecipe
"""What people can ask for. id: answered with a CommandResult of the same id, once."""

PROTOCOL = Protocol(
    name="linegate.status",
    version=2,
    to_parent=(Serving, Alive, Noted, SetMode, ResetFailsafe, ChangeRecipe),
    to_child=(StationSnapshot, CommandResult),
)
