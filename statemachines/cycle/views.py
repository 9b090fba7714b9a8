"""From the trigger to what can be decided: each view is captured, judged, or replaced by one that stands in for it."""

from __future__ import annotations

from dataclasses import replace

from statemachines.commands import ArmDeadline, Capture, Infer, RecordLate
from statemachines.cycle.answer import publish, undecided
from statemachines.cycle.state import Context, Cycle, CycleEvent, Stage, Step
from statemachines.decision import combine
from statemachines.errors import IllegalEvent
from statemachines.events import Failed, FrameCaptured, Inferred
from statemachines.views import ViewFailure, ViewPolicy
from statemachines.vocabulary import Assessment, FrameFact, Ns, Reason


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


def take_frame(cycle: Cycle, event: CycleEvent, context: Context) -> Step:
    """Have the frame judged if it can be this part's: exposed when the part was there."""
    assert isinstance(event, FrameCaptured)
    view, rule = event.view, cycle.recipe.rule(event.view)
    cycle = replace(_seen(cycle, event), captured_at=event.at)
    first, last = rule.exposure(cycle.triggered_at, cycle.recipe.capture_window_ns)
    if not first <= event.exposed_at:
        since = "its time" if rule.joined or rule.delay_ns else "the trigger"
        why = f"{view}: frame {event.counter} was exposed {(first - event.exposed_at) / 1e6:.1f} ms before {since}"
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


def give_up_view(cycle: Cycle, event: CycleEvent, context: Context) -> Step:
    """A view could not be captured or judged."""
    assert isinstance(event, Failed)
    return _fail_view(_forget(cycle, event), event.view, event.at, event.reason, event.why, context)


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
        return undecided(cycle, at, Reason(first.reason), "; ".join((first.why, *others)), context)
    return _decide(cycle, at, context)


def take_assessment(cycle: Cycle, event: CycleEvent, context: Context) -> Step:
    """One view is judged; what comes after the deadline decides nothing."""
    assert isinstance(event, Inferred)
    due = _due(cycle.verdicts_due, event.view, event)
    assessments = (*cycle.assessments, _of_view(event, several=len(cycle.recipe.views) > 1))
    cycle = replace(cycle, verdicts_due=due, assessments=assessments, inferred_at=event.at)
    if not event.at <= cycle.deadline:
        return undecided(cycle, event.at, Reason.DEADLINE, "judged after the deadline", context)
    return _decide(cycle, event.at, context)


def _of_view(event: Inferred, *, several: bool) -> Assessment:
    """The assessment with its findings named for their view; among several views its why is, too."""
    assessment = event.assessment
    why = f"{event.view}: {assessment.why}" if several else assessment.why
    findings = tuple(replace(finding, view=event.view) for finding in assessment.findings)
    return replace(assessment, findings=findings, why=why)


def _decide(cycle: Cycle, at: Ns, context: Context) -> Step:
    """All views together, once nothing is awaited that the verdict needs."""
    if cycle.verdicts_due or cycle.frames_needed:
        return replace(cycle, stage=_waiting(cycle)), ()
    if not cycle.assessments and cycle.failed:
        why = "; ".join(failure.why for failure in cycle.failed)
        return undecided(cycle, at, Reason(cycle.failed[0].reason), why, context)
    judgement = combine(cycle.assessments)
    if judgement is None:
        return undecided(cycle, at, Reason.MODEL, "the models gave no usable result", context)
    why = "; ".join((judgement.why, *(f"without {failure.why}" for failure in cycle.failed)))
    cycle = replace(cycle, findings=judgement.findings)
    return publish(cycle, at, judgement.verdict, Reason.DECIDED, why, judgement.score, context)


def give_up_time(cycle: Cycle, event: CycleEvent, context: Context) -> Step:
    """The deadline passed before the part could be decided."""
    missing = "frame" if cycle.frames_needed else "model"
    return undecided(cycle, event.at, Reason.DEADLINE, f"deadline passed while waiting for the {missing}", context)


def note_late(cycle: Cycle, event: CycleEvent, _: Context) -> Step:
    """What comes after the decision is recorded and never acted on."""
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


def _due(due: frozenset[str], view: str, event: CycleEvent) -> frozenset[str]:
    if view not in due:
        raise IllegalEvent(f"part {event.part}: {type(event).__name__} for view {view}, which is not awaited")
    return due - {view}
