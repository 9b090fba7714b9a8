"""Several views of one part: what each is worth, who stands in, and what a frame of another time is worth: nothing."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from statemachines.commands import Capture, Command, Infer, Publish, RecordLate, RecordOutcome
from statemachines.cycle.state import Cycle, CycleEvent, Stage
from statemachines.cycle.table import step
from statemachines.cycle.views import begin
from statemachines.events import DeadlinePassed, Failed, FrameCaptured, Inferred, Published
from statemachines.view_watch import RECOVERED_AFTER, ViewWatch, look
from statemachines.views import ViewPolicy, ViewRule
from statemachines.vocabulary import (
    MS,
    Action,
    Assessment,
    Fallback,
    Finding,
    Health,
    Mode,
    Ns,
    PartKey,
    Policy,
    Reason,
    RecipeFacts,
    Severity,
    Verdict,
)

PART = PartKey(5, "plc", 7)
TRIGGERED, SEEN = Ns(100 * MS), Ns(102 * MS)
GOOD = Assessment(Verdict.OK, (), 0.1, "nothing found")
SCRATCH = Finding("scratch", 11, Severity.MAJOR, 0.9, (1, 2, 3, 4), 2.4, 0.2, 0.5, "scratch 2.4 mm > 2.0 mm")
BAD = Assessment(Verdict.NG, (SCRATCH,), 0.9, "scratch")
SPARE = ViewRule("spare", ViewPolicy.REDUNDANT, stands_in_for="top")


def cycle(*views: str, rules: tuple[ViewRule, ...] = (), spare: bool = False) -> Cycle:
    if spare:
        views, rules = (*views, "spare"), (*rules, SPARE)
    policy = Policy(Fallback.REJECT, divert_lane=False, stop_after_passes=0)
    recipe = RecipeFacts(1, "p", "0" * 64, views, 80 * MS, 40 * MS, policy, rules)
    deadline = Ns(TRIGGERED + 80 * MS)
    return Cycle(PART, 4711, Stage.CAPTURING, recipe, Mode.AUTO_REJECT, 9, TRIGGERED, SEEN, deadline)


def frame(view: str, exposed_at: int = SEEN) -> FrameCaptured:
    return FrameCaptured(PART, view, Ns(SEEN + MS), Ns(exposed_at), 1, f"cam-{view}", 200_000)


def failed(view: str, reason: Reason = Reason.CAMERA) -> Failed:
    return Failed(PART, view, Ns(SEEN + MS), reason, f"{view} broken")


def judged(view: str, assessment: Assessment = GOOD) -> Inferred:
    return Inferred(PART, view, Ns(SEEN + 5 * MS), assessment)


def play(part: Cycle, *events: CycleEvent) -> tuple[Cycle, list[Command]]:
    part, commands = begin(part)
    told = list(commands)
    for event in events:
        part, commands = step(part, event)
        told += commands
    return part, told


def answer(commands: list[Command]) -> Publish | None:
    answers = [command for command in commands if isinstance(command, Publish)]
    assert len(answers) <= 1
    return answers[0] if answers else None


def inferred(commands: list[Command]) -> list[str]:
    return [command.view for command in commands if isinstance(command, Infer)]


def test_the_worst_view_decides_and_its_findings_name_it() -> None:
    events = frame("top"), frame("side"), judged("top"), judged("side", BAD)
    part, commands = play(cycle("top", "side"), *events)
    told = answer(commands)
    assert told is not None
    assert (told.answer.verdict, told.answer.action) == (Verdict.NG, Action.REJECT)
    assert [finding.view for finding in part.findings] == ["side"]
    assert part.why == "side: scratch"


def test_a_required_view_that_fails_is_the_parts_reason() -> None:
    _, commands = play(cycle("top", "side"), frame("top"), failed("side"))
    told = answer(commands)
    assert told is not None
    assert (told.answer.verdict, told.answer.reason) == (Verdict.NO_DECISION, Reason.CAMERA)


@pytest.mark.parametrize(
    "events",
    [
        (failed("side"), frame("top"), judged("top")),
        (frame("top"), failed("side"), judged("top")),
        (frame("top"), judged("top"), failed("side")),
    ],
    ids=["before", "between", "after"],
)
def test_an_optional_view_that_fails_leaves_the_verdict_to_the_others(events: tuple[CycleEvent, ...]) -> None:
    optional = ViewRule("side", ViewPolicy.OPTIONAL)
    part, commands = play(cycle("top", "side", rules=(optional,)), *events)
    told = answer(commands)
    assert told is not None
    assert (told.answer.verdict, told.answer.reason) == (Verdict.OK, Reason.DECIDED)
    assert "without side broken" in part.why


def test_an_optional_view_that_works_counts_in_full() -> None:
    optional = ViewRule("side", ViewPolicy.OPTIONAL)
    events = frame("top"), frame("side"), judged("top"), judged("side", BAD)
    _, commands = play(cycle("top", "side", rules=(optional,)), *events)
    told = answer(commands)
    assert told is not None
    assert told.answer.verdict is Verdict.NG


def test_a_redundant_frame_is_not_judged_while_its_view_works() -> None:
    part, commands = play(cycle("top", spare=True), frame("spare"), frame("top"), judged("top"))
    assert inferred(commands) == ["top"]
    told = answer(commands)
    assert told is not None
    assert told.answer.reason is Reason.DECIDED
    assert {f.view for f in part.frames if f.used} == {"top"}


@pytest.mark.parametrize(
    "events",
    [
        (failed("top"), frame("spare")),
        (frame("spare"), failed("top")),
        (frame("spare"), frame("top"), failed("top", Reason.IMAGE_QUALITY)),
        (frame("top"), failed("top", Reason.MODEL), frame("spare")),
        (frame("top", TRIGGERED - 1), frame("spare")),
        (frame("spare"), frame("top", TRIGGERED + 41 * MS)),
    ],
    ids=["no frame", "no frame, spare first", "unfit", "model", "too early", "too late"],
)
def test_a_redundant_camera_takes_over_within_the_same_part(events: tuple[CycleEvent, ...]) -> None:
    part, commands = play(cycle("top", spare=True), *events, judged("spare", BAD))
    assert inferred(commands)[-1] == "spare"
    told = answer(commands)
    assert told is not None
    assert (told.answer.verdict, told.answer.reason) == (Verdict.NG, Reason.DECIDED)
    assert {f.view for f in part.frames if f.used} == {"spare"}


@pytest.mark.parametrize("spare_first", [True, False])
def test_where_both_fail_the_first_ones_reason_stands(spare_first: bool) -> None:
    events = [failed("top", Reason.IMAGE_QUALITY), failed("spare")]
    _, commands = play(cycle("top", spare=True), *(reversed(events) if spare_first else events))
    told = answer(commands)
    assert told is not None
    assert (told.answer.verdict, told.answer.reason) == (Verdict.NO_DECISION, Reason.IMAGE_QUALITY)


def test_a_redundant_camera_that_fails_alone_costs_nothing() -> None:
    part, commands = play(cycle("top", spare=True), failed("spare"), frame("top"), judged("top"))
    told = answer(commands)
    assert told is not None
    assert told.answer.reason is Reason.DECIDED
    part, commands = step(part, Published(PART, Ns(SEEN + 9 * MS)))
    assert part.settled


def test_a_redundant_frame_after_the_answer_is_no_late_result() -> None:
    part, _ = play(cycle("top", spare=True), frame("top"), judged("top"), Published(PART, Ns(SEEN + 9 * MS)))
    assert not part.settled, "its frame is still on its way"
    part, commands = step(part, frame("spare"))
    assert commands == ()
    assert part.settled


def test_a_required_frame_after_the_answer_is_one() -> None:
    part, _ = play(cycle("top", spare=True), DeadlinePassed(PART, Ns(TRIGGERED + 80 * MS)))
    _, commands = step(part, frame("top"))
    assert isinstance(commands[0], RecordLate)


def test_the_deadline_ends_it_whatever_is_awaited() -> None:
    _, commands = play(cycle("top", spare=True), failed("top"), DeadlinePassed(PART, Ns(TRIGGERED + 80 * MS)))
    told = answer(commands)
    assert told is not None
    assert (told.answer.verdict, told.answer.reason) == (Verdict.NO_DECISION, Reason.DEADLINE)


def test_every_order_of_events_answers_once_and_right() -> None:
    """Two views and a redundant one: whatever fails, in whatever order, one answer, and a sound one only with a
    judged frame of each view."""
    kinds = {"top": ("good", "lost", "unfit"), "side": ("good", "lost"), "spare": ("good", "lost")}
    tried = 0
    for fates in itertools.product(*kinds.values()):
        chosen = dict(zip(kinds, fates, strict=True))
        for order in itertools.permutations(kinds):
            for late_verdicts in (True, False):
                tried += 1
                reason = _run(chosen, order, late_verdicts)
                decidable = chosen["side"] == "good" and "good" in (chosen["top"], chosen["spare"])
                assert (reason is Reason.DECIDED) == decidable, (chosen, order, reason)
    assert tried == 3 * 2 * 2 * 6 * 2


def _run(fates: dict[str, str], order: tuple[str, ...], late_verdicts: bool) -> Reason:
    part, _ = begin(cycle("top", "side", spare=True))
    answers: list[Publish] = []
    waiting: list[str] = []

    def take(event: CycleEvent) -> None:
        nonlocal part
        part, commands = step(part, event)
        answers.extend(c for c in commands if isinstance(c, Publish))
        waiting.extend(c.view for c in commands if isinstance(c, Infer))
        while waiting and not late_verdicts:
            judge(waiting.pop(0))

    def judge(view: str) -> None:
        take(failed(view, Reason.IMAGE_QUALITY) if fates[view] == "unfit" else judged(view))

    for view in order:
        take(failed(view) if fates[view] == "lost" else frame(view))
    while waiting:
        judge(waiting.pop(0))
    assert len(answers) == 1
    part, commands = step(part, Published(PART, Ns(SEEN + 9 * MS)))
    assert [type(command) for command in commands] == [RecordOutcome]
    assert part.settled
    return answers[0].answer.reason


# --- times ----------------------------------------------------------------------------------------------------


def test_each_view_is_captured_at_its_time() -> None:
    rules = (
        ViewRule("late", delay_ns=30 * MS),
        ViewRule("barrier", joined=True, delay_ns=-5 * MS, slack_ns=10 * MS),
        ViewRule("spared", ViewPolicy.OPTIONAL, frame_ns=25 * MS),
    )
    _, commands = begin(cycle("plain", "late", "barrier", "spared", rules=rules))
    captures = {c.view: (c.expose_at, c.until, c.deadline) for c in commands if isinstance(c, Capture)}
    assert captures == {
        # 5 ms before the deadline: a frame that comes later is not judged in time.
        "plain": (100 * MS, 140 * MS, 175 * MS),
        "late": (130 * MS, 170 * MS, 175 * MS),
        "barrier": (95 * MS, 105 * MS, 175 * MS),
        "spared": (100 * MS, 140 * MS, 125 * MS),
    }


@pytest.mark.parametrize(
    ("exposed_at", "good"), [(84 * MS, False), (85 * MS, True), (105 * MS, True), (105 * MS + 1, False)]
)
def test_a_joined_frame_may_be_older_than_the_trigger_but_not_from_another_time(exposed_at: int, good: bool) -> None:
    rule = ViewRule("top", joined=True, delay_ns=-5 * MS, slack_ns=10 * MS)
    _, commands = play(cycle("top", rules=(rule,)), frame("top", exposed_at))
    told = answer(commands)
    assert (told is None) == good
    assert told is None or told.answer.reason is Reason.CAMERA


# --- maintenance ----------------------------------------------------------------------------------------------


def _over(*events: CycleEvent) -> Cycle:
    return play(cycle("top", "side", spare=True), *events)[0]


def test_a_view_that_was_done_without_calls_for_maintenance_until_it_is_well() -> None:
    broken = _over(failed("top"), frame("spare"), frame("side"), judged("spare"), judged("side"))
    sound = _over(frame("top"), frame("spare"), frame("side"), judged("top"), judged("side"))
    watch, news = look(ViewWatch(), broken)
    assert news == {"top": (Health.MAINTENANCE, "spare stands in for top: top broken")}
    watch, news = look(watch, broken)
    assert news == {}, "said once"
    for number in range(1, RECOVERED_AFTER + 1):
        watch, news = look(watch, sound)
        assert bool(news) == (number == RECOVERED_AFTER)
    assert news == {"top": (Health.NORMAL, "")}
    assert watch == ViewWatch()


def test_a_required_view_without_a_stand_in_is_none_of_its_business() -> None:
    part = _over(frame("top"), frame("spare"), failed("side"))
    assert look(ViewWatch(), part) == (ViewWatch(), {})


def test_a_redundant_camera_that_is_broken_calls_for_maintenance_before_it_is_needed() -> None:
    part = _over(frame("top"), failed("spare"), frame("side"), judged("top"), judged("side"))
    _, news = look(ViewWatch(), part)
    assert news == {"spare": (Health.MAINTENANCE, "spare is out of use: spare broken")}


def test_kept_images_come_on_command() -> None:
    rule = replace(ViewRule("top", ViewPolicy.OPTIONAL), joined=True, slack_ns=5, delay_ns=7, encoder_offset=9)
    assert rule.commanded() == ViewRule("top", ViewPolicy.OPTIONAL)
