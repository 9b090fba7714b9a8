"""The part cycle's table: walked for its safety rows, and stepped with values."""

from __future__ import annotations

from dataclasses import replace

import pytest

from statemachines.commands import ArmDeadline, Capture, Infer, Publish, RecordLate, RecordOutcome
from statemachines.cycle.answer import undecided
from statemachines.cycle.state import FINAL, Abandoned, Context, Cycle, Distrusted, Stage
from statemachines.cycle.table import TABLE, step
from statemachines.cycle.views import begin
from statemachines.errors import IllegalEvent
from statemachines.events import DeadlinePassed, Failed, FrameCaptured, Inferred, Published
from statemachines.vocabulary import (
    MS,
    Action,
    Assessment,
    Fallback,
    Mode,
    Ns,
    PartKey,
    Policy,
    Reason,
    RecipeFacts,
    Verdict,
)

PART = PartKey(5, "plc", 7)
TRIGGERED, SEEN = Ns(100 * MS), Ns(102 * MS)
OK = Assessment(Verdict.OK, (), 0.1, "nothing found")


def cycle(*views: str) -> Cycle:
    recipe = RecipeFacts(1, "p", "0" * 64, views or ("top",), 80 * MS, 40 * MS, Policy(Fallback.REJECT, False, 0))
    deadline = Ns(TRIGGERED + 80 * MS)
    return Cycle(PART, 4711, Stage.CAPTURING, recipe, Mode.AUTO_REJECT, 9, TRIGGERED, SEEN, deadline)


def frame(view: str = "top", exposed_at: int = SEEN, at: int = SEEN + MS) -> FrameCaptured:
    return FrameCaptured(PART, view, Ns(at), Ns(exposed_at), 1, "cam")


def judged(view: str = "top", at: int = SEEN + 5 * MS, assessment: Assessment = OK) -> Inferred:
    return Inferred(PART, view, Ns(at), assessment)


def test_every_waiting_stage_has_its_safety_rows() -> None:
    for stage in (Stage.CAPTURING, Stage.INFERRING):
        for event in (DeadlinePassed, Abandoned, Distrusted):
            targets, _ = TABLE[(stage, event)]
            assert stage not in targets, f"{event.__name__} must end the waiting of {stage}"
        # A view that fails ends it, too, unless the recipe says that the part can do without.
        assert (stage, Failed) in TABLE


def test_no_row_leads_back_to_deciding() -> None:
    for (stage, event), (targets, _) in TABLE.items():
        if stage is Stage.PUBLISHING or stage in FINAL:
            assert not {Stage.CAPTURING, Stage.INFERRING} & set(targets), (stage, event)


def test_a_good_part_is_answered_once_with_its_own_name() -> None:
    part, commands = begin(cycle())
    assert commands == (
        Capture(PART, "top", TRIGGERED, Ns(140 * MS), Ns(175 * MS)),
        ArmDeadline(PART, Ns(180 * MS)),
    )
    part, commands = step(part, frame())
    assert commands == (Infer(PART, "top", Ns(180 * MS)),)
    part, commands = step(part, judged())
    (publish,) = commands
    assert isinstance(publish, Publish)
    answer = publish.answer
    assert (answer.seq, answer.part_id, answer.epoch_echo, answer.session_id) == (7, 4711, 9, 5)
    assert (answer.verdict, answer.action, answer.reason) == (Verdict.OK, Action.PASS, Reason.DECIDED)
    assert answer.latency_us == 5000
    part, commands = step(part, Published(PART, Ns(SEEN + 6 * MS)))
    (record,) = commands
    assert isinstance(record, RecordOutcome)
    assert record.outcome.answered
    assert part.settled


def test_all_views_are_waited_for() -> None:
    part, _ = begin(cycle("top", "side"))
    part, _ = step(part, frame("top"))
    assert part.stage is Stage.CAPTURING
    part, commands = step(part, judged("top"))
    assert commands == ()
    part, _ = step(part, frame("side"))
    assert part.stage is Stage.INFERRING
    part, commands = step(part, judged("side"))
    assert isinstance(commands[0], Publish)


@pytest.mark.parametrize(
    ("exposed_at", "reason"),
    [(TRIGGERED - 1, Reason.CAMERA), (TRIGGERED + 40 * MS + 1, Reason.LATE_TRIGGER)],
    ids=["exposed before the trigger", "exposed after the capture window"],
)
def test_never_another_parts_frame(exposed_at: int, reason: Reason) -> None:
    part, _ = begin(cycle())
    part, commands = step(part, frame(exposed_at=exposed_at))
    (publish,) = commands
    assert isinstance(publish, Publish)
    assert (publish.answer.verdict, publish.answer.reason) == (Verdict.NO_DECISION, reason)


@pytest.mark.parametrize("exposed_at", [TRIGGERED, TRIGGERED + 40 * MS], ids=["first instant", "last instant"])
def test_the_whole_capture_window_counts(exposed_at: int) -> None:
    part, _ = begin(cycle())
    part, _ = step(part, frame(exposed_at=exposed_at))
    assert part.stage is Stage.INFERRING


def test_a_result_after_the_deadline_is_no_decision_even_if_the_timer_was_slow() -> None:
    part, _ = begin(cycle())
    part, _ = step(part, frame())
    part, commands = step(part, judged(at=part.deadline + 1))
    assert isinstance(commands[0], Publish)
    assert commands[0].answer.reason is Reason.DEADLINE


def test_what_comes_late_is_recorded_and_changes_nothing() -> None:
    part, _ = begin(cycle())
    part, _ = step(part, frame())
    part, _ = step(part, DeadlinePassed(PART, part.deadline))
    answer = part.answer
    part, commands = step(part, judged(at=part.deadline + 5))
    assert [type(c) for c in commands] == [RecordLate]
    assert part.answer is answer
    part, _ = step(part, Published(PART, Ns(part.deadline + 6)))
    assert part.settled


def test_a_camera_that_failed_late_settles_the_part() -> None:
    part, _ = begin(cycle())
    part, _ = step(part, DeadlinePassed(PART, part.deadline))
    part, _ = step(part, Published(PART, Ns(part.deadline + 1)))
    assert not part.settled
    part, _ = step(part, Failed(PART, "top", Ns(part.deadline + 2), Reason.CAMERA, "timeout"))
    assert part.settled


def test_an_answer_in_a_later_parts_slot_is_not_written() -> None:
    part, _ = begin(cycle())
    part, _ = step(part, frame())
    part, commands = step(part, judged(), Context(superseded=True))
    (record,) = commands
    assert isinstance(record, RecordOutcome)
    assert (record.outcome.answered, record.outcome.reason) == (False, Reason.SUPERSEDED)
    assert record.outcome.verdict is Verdict.OK
    assert part.stage is Stage.ABANDONED


def test_a_refused_part_is_answered_at_once() -> None:
    _, commands = undecided(cycle(), SEEN, Reason.NOT_READY, "loading", Context())
    assert isinstance(commands[0], Publish)
    assert commands[0].answer.action is Action.REJECT


def test_the_reason_of_an_abandoned_part_is_kept() -> None:
    part, _ = begin(cycle())
    part, commands = step(part, Abandoned(PART, SEEN, Reason.DISABLED, "Enable went to 0"))
    (record,) = commands
    assert isinstance(record, RecordOutcome)
    assert (record.outcome.reason, record.outcome.verdict) == (Reason.DISABLED, Verdict.NO_DECISION)


@pytest.mark.parametrize(
    ("stage", "event"),
    [
        (Stage.CAPTURING, Published(PART, SEEN)),
        (Stage.INFERRING, frame()),
        (Stage.ANSWERED, Published(PART, SEEN)),
        (Stage.PUBLISHING, Distrusted(PART, SEEN, "")),
    ],
)
def test_illegal_events_raise(stage: Stage, event: FrameCaptured | Published | Distrusted) -> None:
    part = replace(cycle(), stage=stage)
    with pytest.raises(IllegalEvent, match=type(event).__name__):
        step(part, event)


def test_a_view_that_is_not_awaited_is_illegal() -> None:
    part, _ = begin(cycle())
    with pytest.raises(IllegalEvent, match="side"):
        step(part, frame("side"))
