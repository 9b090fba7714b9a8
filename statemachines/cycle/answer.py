"""From what was decided to the answer, and to the part's end."""

from __future__ import annotations

from dataclasses import replace

from statemachines.commands import Publish, RecordOutcome
from statemachines.cycle.state import Abandoned, Context, Cycle, CycleEvent, Decision, Distrusted, Stage, Step, TurnCame
from statemachines.decision import Ruling, rule
from statemachines.events import BlockWritten, Published
from statemachines.vocabulary import Action, Answer, Ns, Outcome, Reason, Severity, Verdict


def undecided(cycle: Cycle, at: Ns, reason: Reason, why: str, context: Context) -> Step:
    """Answer that the part could not be decided, or may not be inspected."""
    return publish(cycle, at, Verdict.NO_DECISION, reason, why, 0.0, context)


def publish(cycle: Cycle, at: Ns, verdict: Verdict, reason: Reason, why: str, score: float, context: Context) -> Step:
    """Decided: hand the answer over at once, or when its turn comes."""
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
        return leave(cycle, at, Reason.SUPERSEDED, f"a later part's answer owns the slot; it was: {decision.why}")
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


def distrust(cycle: Cycle, event: CycleEvent, context: Context) -> Step:
    """Failsafe before the part was decided."""
    assert isinstance(event, Distrusted)
    return undecided(cycle, event.at, Reason.FAILSAFE, event.why, context)


def abandon(cycle: Cycle, event: CycleEvent, _: Context) -> Step:
    """The part must not be answered any more."""
    assert isinstance(event, Abandoned)
    return leave(cycle, event.at, event.reason, event.why)


def leave(cycle: Cycle, at: Ns, reason: Reason, why: str) -> Step:
    """End a part without an answer: the PLC's own fallback acts, the journal says why."""
    outcome = replace(_outcome(cycle, at, answered=False), reason=reason, why=why)
    return replace(cycle, stage=Stage.ABANDONED), (RecordOutcome(outcome),)


def conclude(cycle: Cycle, at: Ns) -> Step:
    """End a decided part whose source reads no answer from the PLC's ring: its outcome is all it gets."""
    return replace(cycle, stage=Stage.ANSWERED), (RecordOutcome(_outcome(cycle, at, answered=False)),)


def confirm(cycle: Cycle, event: CycleEvent, _: Context) -> Step:
    """The PLC can see the whole answer."""
    assert isinstance(event, Published)
    outcome = _outcome(cycle, event.at, answered=True)
    return replace(cycle, stage=Stage.ANSWERED), (RecordOutcome(outcome),)


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


def take_turn(cycle: Cycle, event: CycleEvent, context: Context) -> Step:
    """Every earlier result was taken: hand this one over, as far as it is still in time."""
    assert isinstance(event, TurnCame)
    if not event.at <= cycle.deadline:
        cycle = _overtaken(cycle, Reason.DEADLINE, "its turn came after the deadline")
    return _hand_over(cycle, event.at, context)


def expire_in_queue(cycle: Cycle, _event: CycleEvent, _context: Context) -> Step:
    """The deadline passed before its turn came."""
    return _overtaken(cycle, Reason.DEADLINE, "deadline passed while earlier results were waiting"), ()


def distrust_in_queue(cycle: Cycle, event: CycleEvent, _: Context) -> Step:
    """Failsafe before its turn came."""
    assert isinstance(event, Distrusted)
    return _overtaken(cycle, Reason.FAILSAFE, event.why), ()


def block_stands(cycle: Cycle, event: CycleEvent, _: Context) -> Step:
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
