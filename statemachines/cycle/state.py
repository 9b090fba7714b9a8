"""One part in flight as a value: where it is, what is known of it, and what may happen to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from statemachines.commands import Command, RecordTrigger
from statemachines.events import BlockWritten, DeadlinePassed, Failed, FrameCaptured, Inferred, Published
from statemachines.views import ViewFailure
from statemachines.vocabulary import (
    Answer,
    Assessment,
    Finding,
    FrameFact,
    Mode,
    Ns,
    PartId,
    PartKey,
    Reason,
    RecipeFacts,
    Verdict,
)


class Stage(Enum):
    """Where a part is."""

    CAPTURING = "capturing"
    INFERRING = "inferring"
    QUEUED = "queued"
    """Decided; the results of earlier parts come first. Only where results are handed over one by one."""
    PUBLISHING = "publishing"
    ANSWERED = "answered"
    ABANDONED = "abandoned"


UNDECIDED = frozenset({Stage.CAPTURING, Stage.INFERRING})
FINAL = frozenset({Stage.ANSWERED, Stage.ABANDONED})


@dataclass(frozen=True, slots=True)
class Abandoned:
    """The part's session is over, or its slot belongs to a later part: it must not be answered any more."""

    part: PartKey
    at: Ns
    reason: Reason
    why: str


@dataclass(frozen=True, slots=True)
class Distrusted:
    """Failsafe was latched: no verdict of this part may be trusted, however it turns out."""

    part: PartKey
    at: Ns
    why: str


@dataclass(frozen=True, slots=True)
class TurnCame:
    """Every earlier result was taken by the PLC: this part's may be handed to the link."""

    part: PartKey
    at: Ns


CycleEvent = (
    FrameCaptured | Inferred | Failed | DeadlinePassed | BlockWritten | Published | Abandoned | Distrusted | TurnCame
)


@dataclass(frozen=True, slots=True)
class Context:
    """What a part must know of the others at this moment.

    undecided_before: NO_DECISION answers in a row. superseded: a later part's answer already owns the result slot.
    queued: a result must wait until its turn comes.
    """

    undecided_before: int = 0
    superseded: bool = False
    queued: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided about a part; what follows from it is ruled when the answer is handed over."""

    verdict: Verdict
    reason: Reason
    why: str
    score: float = 0.0


@dataclass(frozen=True, slots=True)
class Cycle:
    """One part in flight. Recipe, mode and deadline stay those of its trigger.

    reserve: redundant views whose frame is here and not judged, since nothing has failed. failed: in order.
    """

    part: PartKey
    part_id: PartId
    stage: Stage
    recipe: RecipeFacts
    mode: Mode
    plc_epoch: int
    triggered_at: Ns
    seen_at: Ns
    deadline: Ns
    frames_due: frozenset[str] = frozenset()
    verdicts_due: frozenset[str] = frozenset()
    reserve: frozenset[str] = frozenset()
    failed: tuple[ViewFailure, ...] = ()
    frames: tuple[FrameFact, ...] = ()
    assessments: tuple[Assessment, ...] = ()
    captured_at: Ns = Ns(0)
    inferred_at: Ns = Ns(0)
    decided_at: Ns = Ns(0)
    handed_at: Ns = Ns(0)
    decision: Decision | None = None
    answer: Answer | None = None
    undecided_before: int = 0
    """NO_DECISION answers in a row before this one was handed over."""
    alert: bool = False
    findings: tuple[Finding, ...] = ()
    why: str = ""

    @property
    def settled(self) -> bool:
        """Ended, and nothing of it is on its way any more."""
        return self.stage in FINAL and not self.frames_due and not self.verdicts_due

    def has_failed(self, view: str) -> bool:
        """This view gave nothing usable."""
        return any(failure.view == view for failure in self.failed)

    @property
    def frames_needed(self) -> frozenset[str]:
        """Frames that the verdict still waits for: those of redundant views only where their view has failed."""
        rules = map(self.recipe.rule, self.frames_due)
        return frozenset(r.name for r in rules if not r.stands_in_for or self.has_failed(r.stands_in_for))


Step = tuple[Cycle, tuple[Command, ...]]
Effect = Callable[[Cycle, CycleEvent, Context], Step]


def recorded(cycle: Cycle, recipe_id: int, *, encoder_pos: int = 0, meas_id: str = "") -> RecordTrigger:
    """The part's row in the journal. recipe_id: what its trigger named, loaded or not."""
    return RecordTrigger(
        part=cycle.part,
        part_id=cycle.part_id,
        at=cycle.seen_at,
        triggered_at=cycle.triggered_at,
        deadline=cycle.deadline,
        mode=cycle.mode,
        recipe_id=recipe_id,
        recipe_hash=cycle.recipe.hash,
        plc_epoch=cycle.plc_epoch,
        encoder_pos=encoder_pos,
        meas_id=meas_id,
    )


def awaits_write(cycle: Cycle | None, answer: Answer) -> bool:
    """The part is still to be answered, and with this answer."""
    return cycle is not None and cycle.stage is Stage.PUBLISHING and cycle.answer == answer
