"""The life of one part, from trigger to answer, as a table.

`step(cycle, event, context) -> (cycle, commands)` is pure. A row is `(Stage, type of event) -> (stages it may lead to,
effect)`; an event without a row raises IllegalEvent and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum

from statemachines.decision import Ruling, combine, rule
from statemachines.errors import IllegalEvent
from statemachines.views import ViewFailure, ViewPolicy
from statemachines.vocabulary import (
    Action,
    Answer,
    ArmDeadline,
    Assessment,
    BlockWritten,
    Capture,
    Command,
    DeadlinePassed,
    Failed,
    Finding,
    FrameCaptured,
    FrameFact,
    Infer,
    Inferred,
    Mode,
    Ns,
    Outcome,
    PartId,
    PartKey,
    Publish,
    Published,
    Reason,
    RecipeFacts,
    RecordLate,
    RecordOutcome,
    Severity,
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


def begin(cycle: Cycle) -> Step:
    """Start a part that may be inspected: expose every view, arm its deadline."""
    views = cycle.recipe.views
    started = replace(cycle, stage=Stage.CAPTURING, frames_due=frozenset(views))
    captures = tuple(_capture(cycle, view) for view in views)
    return started, (*captures, ArmDeadline(cycle.part, cycle.deadline))


def _capture(cycle: Cycle, view: str) -> Capture:
    rule = cycle.recipe.rule(view)
    _, last = rule.exposure(cycle.triggered_at, cycle.recipe.capture_window_ns)
    expose_at, by = cycle.triggered_at + rule.delay_ns, rule.frame_by(cycle.triggered_at, cycle.deadline)
    return Capture(cycle.part, view, Ns(expose_at), Ns(last), Ns(by))


def refuse(cycle: Cycle, at: Ns, reason: Reason, why: str, context: Context) -> Step:
    """Answer a part at once that may not be inspected."""
    return _undecided(cycle, at, reason, why, context)


def drop(cycle: Cycle, at: Ns, reason: Reason, why: str) -> Step:
    """End a part at once without an answer: there is no room for one."""
    return _leave(cycle, at, reason, why)


def conclude(cycle: Cycle, at: Ns) -> Step:
    """End a decided part whose source reads no answer from the PLC's ring: its outcome is all it gets."""
    return replace(cycle, stage=Stage.ANSWERED), (RecordOutcome(_outcome(cycle, at, answered=False)),)


def step(cycle: Cycle, event: CycleEvent, context: Context = Context()) -> Step:
    """Perform the row for this event. Raises IllegalEvent where there is none."""
    row = TABLE.get((cycle.stage, type(event)))
    if row is None:
        raise IllegalEvent(f"part {cycle.part}: {type(event).__name__} while {cycle.stage.value}")
    targets, effect = row
    after, commands = effect(cycle, event, context)
    if after.stage not in targets:
        raise IllegalEvent(f"part {cycle.part}: {type(event).__name__} led from {cycle.stage} to {after.stage}")
    return after, commands


# --- effects --------------------------------------------------------------------------------------------------


def _take_frame(cycle: Cycle, event: CycleEvent, context: Context) -> Step:
    assert isinstance(event, FrameCaptured)
    view, rule = event.view, cycle.recipe.rule(event.view)
    cycle = replace(_seen(cycle, event), captured_at=event.at)
    first, last = rule.exposure(cycle.triggered_at, cycle.recipe.capture_window_ns)
    if not first <= event.exposed_at:
        early_ms, since = (
            (first - event.exposed_at) / 1e6,
            "its time" if rule.joined or rule.delay_ns else "the trigger",
        )
        why = f"{view}: frame {event.counter} was exposed {early_ms:.1f} ms before {since}"
        return _fail_view(cycle, view, event.at, Reason.CAMERA, why, context)
    if not event.exposed_at <= last:
        reason, what = (Reason.CAMERA, "its time") if rule.joined else (Reason.LATE_TRIGGER, "the capture window")
        why = f"{view}: frame {event.counter} was exposed {(event.exposed_at - last) / 1e6:.1f} ms after {what}"
        return _fail_view(cycle, view, event.at, reason, why, context)
    if rule.policy is ViewPolicy.REDUNDANT and not cycle.has_failed(rule.stands_in_for):
        cycle = replace(cycle, reserve=cycle.reserve | {view})
        return replace(cycle, stage=_waiting(cycle)), ()
    cycle, commands = _judge(cycle, view)
    return replace(cycle, stage=_waiting(cycle)), commands


def _seen(cycle: Cycle, event: FrameCaptured) -> Cycle:
    """The frame is here: it is not awaited any more, and the part's record names it."""
    frame = FrameFact(event.view, event.camera, event.counter, event.exposed_at, event.exposure_ns)
    due = _due(cycle.frames_due, event.view, event)
    return replace(cycle, frames_due=due, frames=(*cycle.frames, frame))


def _waiting(cycle: Cycle) -> Stage:
    return Stage.CAPTURING if cycle.frames_due else Stage.INFERRING


def _judge(cycle: Cycle, view: str) -> Step:
    """Have the view's frame judged."""
    used = tuple(replace(frame, used=frame.used or frame.view == view) for frame in cycle.frames)
    cycle = replace(cycle, verdicts_due=cycle.verdicts_due | {view}, reserve=cycle.reserve - {view}, frames=used)
    return cycle, (Infer(cycle.part, view, cycle.deadline),)


def _fail_view(cycle: Cycle, view: str, at: Ns, reason: Reason, why: str, context: Context) -> Step:
    """A view gave nothing. A redundant one takes over; without one the view's policy says what becomes of the part."""
    recipe = cycle.recipe
    frames = tuple(replace(f, used=f.used and f.view != view) for f in cycle.frames)
    cycle = replace(cycle, failed=(*cycle.failed, ViewFailure(view, reason, why)), frames=frames)
    replaced = recipe.rule(view).stands_in_for or view
    if not cycle.has_failed(replaced):
        return replace(cycle, stage=_waiting(cycle)), ()
    for stand_in in recipe.stand_ins(replaced):
        if stand_in in cycle.reserve:
            cycle, commands = _judge(cycle, stand_in)
            return replace(cycle, stage=_waiting(cycle)), commands
        if stand_in in cycle.frames_due or stand_in in cycle.verdicts_due:
            return replace(cycle, stage=_waiting(cycle)), ()
    if recipe.rule(replaced).policy is ViewPolicy.REQUIRED:
        first = next(failure for failure in cycle.failed if failure.view == replaced)
        others = [f.why for f in cycle.failed if recipe.rule(f.view).stands_in_for == replaced]
        return _undecided(cycle, at, Reason(first.reason), "; ".join((first.why, *others)), context)
    return _decide(cycle, at, context)


def _decide(cycle: Cycle, at: Ns, context: Context) -> Step:
    """All views together, once nothing is awaited that the verdict needs."""
    if cycle.verdicts_due or cycle.frames_needed:
        return replace(cycle, stage=_waiting(cycle)), ()
    if not cycle.assessments and cycle.failed:
        why = "; ".join(failure.why for failure in cycle.failed)
        return _undecided(cycle, at, Reason(cycle.failed[0].reason), why, context)
    judgement = combine(cycle.assessments)
    if judgement is None:
        return _undecided(cycle, at, Reason.MODEL, "the models gave no usable result", context)
    why = "; ".join((judgement.why, *(f"without {failure.why}" for failure in cycle.failed)))
    cycle = replace(cycle, findings=judgement.findings)
    return _publish(cycle, at, judgement.verdict, Reason.DECIDED, why, judgement.score, context)


def _take_assessment(cycle: Cycle, event: CycleEvent, context: Context) -> Step:
    assert isinstance(event, Inferred)
    due = _due(cycle.verdicts_due, event.view, event)
    assessments = (*cycle.assessments, _of_view(event, several=len(cycle.recipe.views) > 1))
    cycle = replace(cycle, verdicts_due=due, assessments=assessments, inferred_at=event.at)
    if not event.at <= cycle.deadline:
        return _undecided(cycle, event.at, Reason.DEADLINE, "judged after the deadline", context)
    return _decide(cycle, event.at, context)


def _of_view(event: Inferred, *, several: bool) -> Assessment:
    """The assessment with its findings named for their view; among several views its why is, too."""
    assessment = event.assessment
    why = f"{event.view}: {assessment.why}" if several else assessment.why
    findings = tuple(replace(finding, view=event.view) for finding in assessment.findings)
    return replace(assessment, findings=findings, why=why)


def _give_up_view(cycle: Cycle, event: CycleEvent, context: Context) -> Step:
    assert isinstance(event, Failed)
    return _fail_view(_forget(cycle, event), event.view, event.at, event.reason, event.why, context)


def _give_up_time(cycle: Cycle, event: CycleEvent, context: Context) -> Step:
    missing = "frame" if cycle.frames_needed else "model"
    return _undecided(cycle, event.at, Reason.DEADLINE, f"deadline passed while waiting for the {missing}", context)


def _distrust(cycle: Cycle, event: CycleEvent, context: Context) -> Step:
    assert isinstance(event, Distrusted)
    return _undecided(cycle, event.at, Reason.FAILSAFE, event.why, context)


def _abandon(cycle: Cycle, event: CycleEvent, _: Context) -> Step:
    assert isinstance(event, Abandoned)
    return _leave(cycle, event.at, event.reason, event.why)


def _take_turn(cycle: Cycle, event: CycleEvent, context: Context) -> Step:
    assert isinstance(event, TurnCame)
    if not event.at <= cycle.deadline:
        cycle = _overtaken(cycle, Reason.DEADLINE, "its turn came after the deadline")
    return _hand_over(cycle, event.at, context)


def _expire_in_queue(cycle: Cycle, _event: CycleEvent, _context: Context) -> Step:
    return _overtaken(cycle, Reason.DEADLINE, "deadline passed while earlier results were waiting"), ()


def _distrust_in_queue(cycle: Cycle, event: CycleEvent, _: Context) -> Step:
    assert isinstance(event, Distrusted)
    return _overtaken(cycle, Reason.FAILSAFE, event.why), ()


def _block_stands(cycle: Cycle, event: CycleEvent, _: Context) -> Step:
    """The PLC was not told yet: a verdict that came to stand there after the deadline is taken back."""
    assert isinstance(event, BlockWritten)
    if event.at <= cycle.deadline or _decided(cycle).verdict is Verdict.NO_DECISION:
        return cycle, ()
    why = "the block stood on the PLC after the deadline"
    return replace(_overtaken(cycle, Reason.DEADLINE, why), stage=Stage.QUEUED, answer=None), ()


def _overtaken(cycle: Cycle, reason: Reason, why: str) -> Cycle:
    """What was decided may not be used any more; a part that could not be decided keeps its first reason."""
    decision = _decided(cycle)
    if decision.verdict is Verdict.NO_DECISION:
        return cycle
    why = f"{why}; it was {decision.verdict.name}: {decision.why}"
    return replace(cycle, decision=Decision(Verdict.NO_DECISION, reason, why), why=why)


def _confirm(cycle: Cycle, event: CycleEvent, _: Context) -> Step:
    assert isinstance(event, Published)
    outcome = _outcome(cycle, event.at, answered=True)
    return replace(cycle, stage=Stage.ANSWERED), (RecordOutcome(outcome),)


def _note_late(cycle: Cycle, event: CycleEvent, _: Context) -> Step:
    what = type(event).__name__
    if isinstance(event, Inferred):
        what = f"{event.view}: {event.assessment.verdict.name} came late: {event.assessment.why}"
    elif isinstance(event, Failed):
        what = f"{event.view}: {event.why}"
    elif isinstance(event, FrameCaptured):
        what = f"{event.view}: frame {event.counter} came late"
    after = _forget(cycle, event)
    if isinstance(event, Failed):
        after = replace(after, failed=(*after.failed, ViewFailure(event.view, event.reason, event.why)))
    if isinstance(event, (FrameCaptured, Failed)):
        rule = cycle.recipe.rule(event.view)
        if rule.stands_in_for and not cycle.has_failed(rule.stands_in_for):
            # Nobody waited for it: the part was decided without its redundant camera.
            return after, ()
    return after, (RecordLate(cycle.part, event.at, what),)


def _ignore(cycle: Cycle, _event: CycleEvent, _context: Context) -> Step:
    return cycle, ()


def _due(due: frozenset[str], view: str, event: CycleEvent) -> frozenset[str]:
    if view not in due:
        raise IllegalEvent(f"part {event.part}: {type(event).__name__} for view {view}, which is not awaited")
    return due - {view}


def _forget(cycle: Cycle, event: CycleEvent) -> Cycle:
    """The view that this event speaks of is not on its way any more."""
    match event:
        case FrameCaptured():
            return _seen(cycle, event)
        case Inferred():
            return replace(cycle, verdicts_due=_due(cycle.verdicts_due, event.view, event))
        case Failed() if event.view in cycle.frames_due:
            return replace(cycle, frames_due=cycle.frames_due - {event.view})
        case Failed():
            return replace(cycle, verdicts_due=_due(cycle.verdicts_due, event.view, event))
        case _:
            return cycle


def _undecided(cycle: Cycle, at: Ns, reason: Reason, why: str, context: Context) -> Step:
    return _publish(cycle, at, Verdict.NO_DECISION, reason, why, 0.0, context)


def _publish(cycle: Cycle, at: Ns, verdict: Verdict, reason: Reason, why: str, score: float, context: Context) -> Step:
    cycle = replace(cycle, decision=Decision(verdict, reason, why, score), why=why, decided_at=at)
    if context.queued:
        return replace(cycle, stage=Stage.QUEUED), ()
    return _hand_over(cycle, at, context)


def _hand_over(cycle: Cycle, at: Ns, context: Context) -> Step:
    """Give the answer to the link. From here on only this very block may be written for the part."""
    decision = _decided(cycle)
    ruling = rule(cycle.mode, decision.verdict, cycle.recipe.policy, context.undecided_before)
    answer = _answer(cycle, at, ruling, decision)
    cycle = replace(cycle, stage=Stage.PUBLISHING, answer=answer, alert=ruling.alert, handed_at=at)
    cycle = replace(cycle, undecided_before=context.undecided_before)
    if context.superseded:
        return _leave(cycle, at, Reason.SUPERSEDED, f"a later part's answer owns the slot; it was: {decision.why}")
    return cycle, (Publish(cycle.part, answer, cycle.deadline),)


def _decided(cycle: Cycle) -> Decision:
    assert cycle.decision is not None, "only a decided part is queued or handed over"
    return cycle.decision


def _answer(cycle: Cycle, at: Ns, ruling: Ruling, decision: Decision) -> Answer:
    worst = cycle.findings[0] if cycle.findings and decision.verdict is not Verdict.NO_DECISION else None
    return Answer(
        seq=cycle.part.seq,
        part_id=cycle.part_id,
        epoch_echo=cycle.plc_epoch,
        session_id=cycle.part.epoch,
        action=ruling.action,
        verdict=decision.verdict,
        reason=decision.reason,
        defect_code=worst.code if worst else 0,
        severity=worst.severity if worst else Severity.NONE,
        finding_count=len(cycle.findings),
        score=decision.score,
        latency_us=max(0, at - cycle.seen_at) // 1000,
        mode=cycle.mode,
    )


def _leave(cycle: Cycle, at: Ns, reason: Reason, why: str) -> Step:
    """End a part without an answer: the PLC's own fallback acts, the journal says why."""
    outcome = replace(_outcome(cycle, at, answered=False), reason=reason, why=why)
    return replace(cycle, stage=Stage.ABANDONED), (RecordOutcome(outcome),)


def _outcome(cycle: Cycle, at: Ns, *, answered: bool) -> Outcome:
    answer = cycle.answer
    reached = {
        "triggered": cycle.triggered_at,
        "seen": cycle.seen_at,
        "captured": cycle.captured_at,
        "inferred": cycle.inferred_at,
        "decided": cycle.decided_at,
        "handed": cycle.handed_at,
        "published": at if answered else Ns(0),
    }
    return Outcome(
        part=cycle.part,
        part_id=cycle.part_id,
        at=at,
        verdict=answer.verdict if answer else Verdict.NO_DECISION,
        reason=answer.reason if answer else Reason.LOST,
        action=answer.action if answer else Action.NONE,
        mode=cycle.mode,
        answered=answered,
        findings=cycle.findings,
        score=answer.score if answer else 0.0,
        why=cycle.why,
        stamps={name: int(stamp) for name, stamp in reached.items() if stamp},
        frames=cycle.frames,
    )


# --- the table ------------------------------------------------------------------------------------------------

_S = Stage
_OUT = (_S.QUEUED, _S.PUBLISHING, _S.ABANDONED)

TABLE: dict[tuple[Stage, type[CycleEvent]], tuple[tuple[Stage, ...], Effect]] = {
    (_S.CAPTURING, FrameCaptured): ((_S.CAPTURING, _S.INFERRING, *_OUT), _take_frame),
    (_S.CAPTURING, Inferred): ((_S.CAPTURING, *_OUT), _take_assessment),
    (_S.CAPTURING, Failed): ((_S.CAPTURING, _S.INFERRING, *_OUT), _give_up_view),
    (_S.CAPTURING, DeadlinePassed): (_OUT, _give_up_time),
    (_S.CAPTURING, Distrusted): (_OUT, _distrust),
    (_S.CAPTURING, Abandoned): ((_S.ABANDONED,), _abandon),
    (_S.INFERRING, Inferred): ((_S.INFERRING, *_OUT), _take_assessment),
    (_S.INFERRING, Failed): ((_S.INFERRING, *_OUT), _give_up_view),
    (_S.INFERRING, DeadlinePassed): (_OUT, _give_up_time),
    (_S.INFERRING, Distrusted): (_OUT, _distrust),
    (_S.INFERRING, Abandoned): ((_S.ABANDONED,), _abandon),
    (_S.QUEUED, TurnCame): ((_S.PUBLISHING,), _take_turn),
    (_S.QUEUED, DeadlinePassed): ((_S.QUEUED,), _expire_in_queue),
    (_S.QUEUED, Distrusted): ((_S.QUEUED,), _distrust_in_queue),
    (_S.QUEUED, Abandoned): ((_S.ABANDONED,), _abandon),
    (_S.QUEUED, FrameCaptured): ((_S.QUEUED,), _note_late),
    (_S.QUEUED, Inferred): ((_S.QUEUED,), _note_late),
    (_S.QUEUED, Failed): ((_S.QUEUED,), _note_late),
    (_S.PUBLISHING, BlockWritten): ((_S.PUBLISHING, _S.QUEUED), _block_stands),
    (_S.PUBLISHING, Published): ((_S.ANSWERED,), _confirm),
    (_S.PUBLISHING, Abandoned): ((_S.ABANDONED,), _abandon),
    (_S.PUBLISHING, FrameCaptured): ((_S.PUBLISHING,), _note_late),
    (_S.PUBLISHING, Inferred): ((_S.PUBLISHING,), _note_late),
    (_S.PUBLISHING, Failed): ((_S.PUBLISHING,), _note_late),
    (_S.PUBLISHING, DeadlinePassed): ((_S.PUBLISHING,), _ignore),
    (_S.ANSWERED, FrameCaptured): ((_S.ANSWERED,), _note_late),
    (_S.ANSWERED, Inferred): ((_S.ANSWERED,), _note_late),
    (_S.ANSWERED, Failed): ((_S.ANSWERED,), _note_late),
    (_S.ANSWERED, DeadlinePassed): ((_S.ANSWERED,), _ignore),
    (_S.ABANDONED, FrameCaptured): ((_S.ABANDONED,), _note_late),
    (_S.ABANDONED, Inferred): ((_S.ABANDONED,), _note_late),
    (_S.ABANDONED, Failed): ((_S.ABANDONED,), _note_late),
    (_S.ABANDONED, DeadlinePassed): ((_S.ABANDONED,), _ignore),
    (_S.ABANDONED, Published): ((_S.ABANDONED,), _note_late),
}
"""Every legal (stage, event), where it may lead, and what it does."""


def awaits_write(cycle: Cycle | None, answer: Answer) -> bool:
    """The part is still to be answered, and with this answer."""
    return cycle is not None and cycle.stage is Stage.PUBLISHING and cycle.answer == answer
