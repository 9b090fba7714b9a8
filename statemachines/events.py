"""What happened: everything that the station can be told. All carry `at`, the time they were seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from statemachines.vocabulary import (
    Assessment,
    FaultCode,
    Health,
    Hold,
    Mode,
    Ns,
    PartId,
    PartKey,
    PlcHead,
    Reason,
    RecipeFacts,
    TriggerSlot,
)


@dataclass(frozen=True, slots=True)
class LinkUp:
    """The PLC answers and every tag passed its checks."""

    at: Ns


@dataclass(frozen=True, slots=True)
class LinkLost:
    """The connection to the PLC is gone."""

    at: Ns
    why: str


@dataclass(frozen=True, slots=True)
class PlcRead:
    """One read of the PLC's tags. sent_at: when the request left, the earliest the values can be from."""

    at: Ns
    sent_at: Ns
    head: PlcHead
    slots: tuple[TriggerSlot, ...]
    next_session_id: int
    """A number never used before: the SessionId, should this read make a new session necessary."""


@dataclass(frozen=True, slots=True)
class SessionTold:
    """The PLC's tags hold this SessionId, and nothing of the session before any more."""

    session_id: int
    at: Ns


@dataclass(frozen=True, slots=True)
class TriggerCommitted:
    """The journal holds the trigger's row."""

    part: PartKey
    at: Ns


@dataclass(frozen=True, slots=True)
class FrameCaptured:
    """A view's frame is in memory. exposed_at: start of exposure; counter: the camera's own, strictly rising.

    exposure_ns: how long it was exposed, None where the device does not say.
    """

    part: PartKey
    view: str
    at: Ns
    exposed_at: Ns
    counter: int
    camera: str
    exposure_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Inferred:
    """A view was judged."""

    part: PartKey
    view: str
    at: Ns
    assessment: Assessment


@dataclass(frozen=True, slots=True)
class Failed:
    """A view could not be captured or judged."""

    part: PartKey
    view: str
    at: Ns
    reason: Reason
    why: str


@dataclass(frozen=True, slots=True)
class DeadlinePassed:
    """The part's absolute deadline is over."""

    part: PartKey
    at: Ns


@dataclass(frozen=True, slots=True)
class BlockWritten:
    """Four-phase profile: the whole result block stands on the PLC; now ResultValid may rise."""

    part: PartKey
    at: Ns


@dataclass(frozen=True, slots=True)
class Published:
    """The PLC can see the whole answer: ResultSeq, or ResultValid, was written last."""

    part: PartKey
    at: Ns


@dataclass(frozen=True, slots=True)
class ModeRequested:
    """Somebody wants another mode."""

    at: Ns
    mode: Mode
    who: str
    why: str


@dataclass(frozen=True, slots=True)
class ResetRequested:
    """An operator asks to leave failsafe."""

    at: Ns
    who: str


@dataclass(frozen=True, slots=True)
class FailsafeTripped:
    """Something happened after which no verdict may be trusted."""

    at: Ns
    code: FaultCode
    why: str


@dataclass(frozen=True, slots=True)
class CauseCleared:
    """What tripped the failsafe is mended; a reset may now succeed."""

    at: Ns


@dataclass(frozen=True, slots=True)
class RecipeRequested:
    """A person (not the PLC) wants another recipe. product: folder name under recipes/."""

    at: Ns
    product: str
    who: str


@dataclass(frozen=True, slots=True)
class RecipeLoaded:
    """A recipe is ready to inspect with: models compiled and warm."""

    at: Ns
    recipe: RecipeFacts
    request_seq: int


@dataclass(frozen=True, slots=True)
class RecipeRefused:
    """A recipe could not be loaded; the one before stays in force."""

    at: Ns
    request_seq: int
    why: str


@dataclass(frozen=True, slots=True)
class HealthReported:
    """A duty's own health. source names the duty ("journal", "images", "camera:top")."""

    at: Ns
    source: str
    health: Health
    why: str


@dataclass(frozen=True, slots=True)
class JobRequested:
    """Somebody other than the PLC wants one part inspected now. The key's source says who is asking.

    meas_id: what the client calls its measurement.
    """

    at: Ns
    part: PartKey
    part_id: PartId
    who: str
    meas_id: str = ""


@dataclass(frozen=True, slots=True)
class JobSeriesRequested:
    """Somebody wants one job after the other until they are stopped; each comes as a JobRequested of its own."""

    at: Ns
    who: str


@dataclass(frozen=True, slots=True)
class JobsStopped:
    """No further job of the series. abort: the one that runs is given up as well."""

    at: Ns
    abort: bool
    who: str
    why: str


@dataclass(frozen=True, slots=True)
class HoldRequested:
    """A person takes the station out of inspection, or lets it in again."""

    at: Ns
    hold: Hold
    who: str
    why: str


@dataclass(frozen=True, slots=True)
class ActNoted:
    """A person did something that belongs into the audit trail and changes nothing here: logged in, took note of an
    alarm. kind: a stable word."""

    at: Ns
    kind: str
    who: str
    detail: Mapping[str, int | float | str]


@dataclass(frozen=True, slots=True)
class Stopped:
    """The station is being shut down on purpose."""

    at: Ns


Event = (
    LinkUp
    | LinkLost
    | PlcRead
    | SessionTold
    | TriggerCommitted
    | FrameCaptured
    | Inferred
    | Failed
    | DeadlinePassed
    | BlockWritten
    | Published
    | ModeRequested
    | ResetRequested
    | FailsafeTripped
    | CauseCleared
    | RecipeRequested
    | RecipeLoaded
    | RecipeRefused
    | HealthReported
    | JobRequested
    | JobSeriesRequested
    | JobsStopped
    | HoldRequested
    | ActNoted
    | Stopped
)
