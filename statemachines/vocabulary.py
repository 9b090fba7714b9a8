"""The words of the station: identities, verdicts and actions, and the values that events and commands are made of.

Everything here is a frozen value. Times are monotonic nanoseconds (`Ns`) unless a name says `_ms`.
Numbers that a PLC reads are fixed by the PLC contract (docs/plc-contract.md) and never renumbered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import NewType

from statemachines.views import ViewPolicy, ViewRule

Ns = NewType("Ns", int)
"""Monotonic nanoseconds."""

PartId = int | str
"""The PLC's name for a part: data, not identity."""

MS = 1_000_000
"""Nanoseconds in a millisecond."""


class Verdict(IntEnum):
    """What was decided about a part."""

    NONE = 0
    OK = 1
    NG = 2
    UNSURE = 3
    NO_DECISION = 4


class Action(IntEnum):
    """What the PLC is asked to do with a part."""

    NONE = 0
    PASS = 1
    DIVERT = 2
    REJECT = 3
    STOP = 4


class Mode(IntEnum):
    """What a verdict may cause: nothing, a question to a person, or an ejection."""

    SHADOW = 1
    ALERT = 2
    AUTO_REJECT = 3


class Fallback(Enum):
    """The recipe's wish for a part that could not be decided."""

    REJECT = "reject"
    PASS = "pass"
    STOP = "stop"


class Severity(IntEnum):
    """How bad a finding is by the catalogue."""

    NONE = 0
    MINOR = 1
    MAJOR = 2
    CRITICAL = 3


class Health(IntEnum):
    """NAMUR NE 107 status of the station."""

    NORMAL = 0
    FAILURE = 1
    CHECK_FUNCTION = 2
    OUT_OF_SPEC = 3
    MAINTENANCE = 4


class Reason(IntEnum):
    """Why a part has the verdict it has. Below 20 the PLC reads it; from 20 on only the journal does."""

    DECIDED = 0
    DEADLINE = 1
    CAMERA = 2
    MODEL = 3
    IMAGE_QUALITY = 4
    OVERRUN = 5
    NOT_READY = 6
    LATE_TRIGGER = 7
    RECIPE = 8
    FAILSAFE = 9
    DISABLED = 20
    LOST = 21
    MISSED = 22
    SUPERSEDED = 23


class Hold(IntEnum):
    """How far a person keeps the station from inspecting: not at all, until it is selected again, until it is reset."""

    NONE = 0
    PREOPERATIONAL = 1
    HALTED = 2


class FaultCode(IntEnum):
    """Why the failsafe is latched, or 0."""

    NONE = 0
    INFERENCE_HUNG = 1
    TASK_DIED = 2
    ILLEGAL_EVENT = 3
    LOOP_HUNG = 4
    MODEL_UNUSABLE = 5
    OPERATOR = 6


@dataclass(frozen=True, slots=True, order=True)
class PartKey:
    """Identity of a part: (station epoch, source, sequence).

    epoch: the SessionId in force when the part was accepted. source: "plc", "opcua", "replay".
    seq: the source's own number, 1 to the modulus.
    """

    epoch: int
    source: str
    seq: int

    def __str__(self) -> str:
        return f"{self.epoch}/{self.source}/{self.seq}"


@dataclass(frozen=True, slots=True)
class Finding:
    """One graded defect. Sizes in mm; `region` is x, y, width, height in pixels of the frame of `view`."""

    defect: str
    code: int
    severity: Severity
    confidence: float
    region: tuple[int, int, int, int]
    length_mm: float
    width_mm: float
    area_mm2: float
    why: str
    view: str = ""


@dataclass(frozen=True, slots=True)
class Assessment:
    """What the catalogue says of one view. `verdict` is OK, NG or UNSURE; score rises with badness, 0 to 1."""

    verdict: Verdict
    findings: tuple[Finding, ...]
    score: float
    why: str


@dataclass(frozen=True, slots=True)
class Policy:
    """What decides the action, latched with each part at its trigger."""

    fallback: Fallback
    divert_lane: bool
    stop_after_passes: int


@dataclass(frozen=True, slots=True)
class RecipeFacts:
    """What the core must know of a recipe. Its hash covers everything that can change a verdict.

    rules: of those views that are not simply required and commanded at the trigger.
    """

    id: int
    product: str
    hash: str
    views: tuple[str, ...]
    deadline_ns: int
    capture_window_ns: int
    policy: Policy
    rules: tuple[ViewRule, ...] = ()

    def rule(self, view: str) -> ViewRule:
        """How this view is captured and what it is worth."""
        return next((rule for rule in self.rules if rule.name == view), ViewRule(view))

    def stand_ins(self, view: str) -> tuple[str, ...]:
        """The redundant views that replace this one, in the order of the recipe."""
        return tuple(rule.name for rule in self.rules if rule.stands_in_for == view)

    @property
    def joined(self) -> bool:
        """The line triggers every camera: frames find their parts by time, however late a trigger is seen."""
        return bool(self.views) and all(self.rule(view).joined for view in self.views)

    @property
    def first_delay_ns(self) -> int:
        """From the trigger to the first exposure that Linegate commands."""
        return min((r.delay_ns for r in map(self.rule, self.views) if not r.joined), default=0)

    def may_do_without(self, view: str) -> bool:
        """A part can be decided although this view gave nothing."""
        return self.rule(view).policy is not ViewPolicy.REQUIRED or bool(self.stand_ins(view))

    @property
    def hash_word(self) -> int:
        """First 30 bits of the hash, as the PLC's RecipeHash tag shows it."""
        return int(self.hash[:8], 16) >> 2


@dataclass(frozen=True, slots=True)
class TriggerSlot:
    """One slot of the PLC's trigger ring as read. `check` must match `trigger_check` of the other fields.

    In the four-phase profile `seq` is TriggerId, and there is no check word.
    """

    seq: int
    part_id: PartId
    trig_clock_ms: int
    recipe_id: int
    check: int = 0
    encoder_pos: int = 0


@dataclass(frozen=True, slots=True)
class PlcHead:
    """The PLC's single tags, all taken from one read request. What a profile does not have is 0."""

    clock_ms: int = 0
    session_ack: int = 0
    enable: bool = False
    trigger_seq: int = 0
    mode_ceiling: int = 0
    plc_epoch: int = 0
    fault_reset: bool = False
    recipe_request: int = 0
    recipe_request_seq: int = 0
    encoder_now: int = 0
    gate_seq: int = 0
    gate_outcome: int = 0
    trigger: bool = False
    result_ack: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """One result block as the PLC reads it; immutable once handed to the link."""

    seq: int
    part_id: PartId
    epoch_echo: int
    session_id: int
    action: Action
    verdict: Verdict
    reason: Reason
    defect_code: int
    severity: Severity
    finding_count: int
    score: float
    latency_us: int
    mode: Mode


@dataclass(frozen=True, slots=True)
class FrameFact:
    """One frame of a part. used: the verdict rests on it. exposure_ns: None where the device does not say."""

    view: str
    camera: str
    counter: int
    exposed_at: Ns
    exposure_ns: int | None
    used: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a part ended. answered: ResultSeq was written to the PLC."""

    part: PartKey
    part_id: PartId
    at: Ns
    verdict: Verdict
    reason: Reason
    action: Action
    mode: Mode
    answered: bool
    findings: tuple[Finding, ...]
    score: float
    why: str
    stamps: Mapping[str, int] = field(default_factory=dict[str, int])
    """Monotonic ns of triggered, seen, captured, inferred, decided, handed (to the link), published, where reached."""
    frames: tuple[FrameFact, ...] = ()
