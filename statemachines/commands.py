"""What the shell must do: everything that the station can ask for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from statemachines.vocabulary import Answer, FaultCode, Mode, Ns, Outcome, PartId, PartKey


@dataclass(frozen=True, slots=True)
class RecordTrigger:
    """Make the trigger durable; TriggerCommitted answers."""

    part: PartKey
    part_id: PartId
    at: Ns
    triggered_at: Ns
    deadline: Ns
    mode: Mode
    recipe_id: int
    recipe_hash: str
    plc_epoch: int
    encoder_pos: int
    meas_id: str = ""


@dataclass(frozen=True, slots=True)
class Capture:
    """Expose one view at `expose_at`, not later than `until`; FrameCaptured or Failed answers before `deadline`.

    Where the line triggers the camera, expose_at is when the part's frame should have been exposed.
    """

    part: PartKey
    view: str
    expose_at: Ns
    until: Ns
    deadline: Ns


@dataclass(frozen=True, slots=True)
class Infer:
    """Judge the captured frame of one view; Inferred or Failed answers."""

    part: PartKey
    view: str
    deadline: Ns


@dataclass(frozen=True, slots=True)
class ArmDeadline:
    """Post DeadlinePassed at this time."""

    part: PartKey
    deadline: Ns


@dataclass(frozen=True, slots=True)
class Publish:
    """Write this answer to the PLC; only this very block may ever be retried. Published answers."""

    part: PartKey
    answer: Answer
    deadline: Ns


@dataclass(frozen=True, slots=True)
class RecordOutcome:
    """Write the part's end to journal and images, after the answer is out."""

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class RecordLate:
    """A result came after its part's answer; journalled, never acted on."""

    part: PartKey
    at: Ns
    what: str


@dataclass(frozen=True, slots=True)
class RecordGate:
    """The PLC reported what its gate did with a part."""

    seq: int
    session_id: int
    outcome: int
    at: Ns


@dataclass(frozen=True, slots=True)
class RecordEvent:
    """A fact for the audit trail: kind is a stable word ("mode", "missed", "session", "failsafe", "recipe", …)."""

    at: Ns
    kind: str
    who: str
    detail: Mapping[str, int | float | str]


@dataclass(frozen=True, slots=True)
class Release:
    """Nothing of this part is in flight any more; its frames may go."""

    part: PartKey


@dataclass(frozen=True, slots=True)
class PersistLatch:
    """Keep the failsafe latch over a restart (code NONE: released)."""

    code: FaultCode
    why: str


@dataclass(frozen=True, slots=True)
class LoadRecipe:
    """Load a recipe by PLC number or product name; RecipeLoaded or RecipeRefused answers."""

    recipe_id: int
    product: str
    request_seq: int
    who: str


Command = (
    RecordTrigger
    | Capture
    | Infer
    | ArmDeadline
    | Publish
    | RecordOutcome
    | RecordLate
    | RecordGate
    | RecordEvent
    | Release
    | PersistLatch
    | LoadRecipe
)
