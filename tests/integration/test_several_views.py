"""Several cameras on one part, on the real loop: one verdict, one answer, whoever fails."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from statemachines.views import ViewPolicy, ViewRule
from statemachines.vocabulary import MS, Health, Reason, RecipeFacts, Verdict
from tests.integration.bench_line import BAD, Eye, facts, workbench

SPARE = ViewRule("spare", ViewPolicy.REDUNDANT, stands_in_for="top")


# Long deadlines: what is tried here is the order of things, and the computer that runs the tests may be busy.


def recipe(*rules: ViewRule, views: tuple[str, ...] = ("top", "side", "spare")) -> RecipeFacts:
    return replace(facts(deadline_ms=8_000, window_ms=4_000, views=views), rules=rules)


def eyes(*views: str) -> dict[str, Eye]:
    return {view: Eye(view) for view in views}


async def test_all_views_are_captured_at_the_same_time_and_make_one_answer() -> None:
    cameras = eyes("top", "side", "spare")
    gate = asyncio.Event()
    for camera in cameras.values():
        camera.gate = gate
    async with workbench(recipe=recipe(SPARE), eyes=cameras) as line:
        await line.ready()
        seq = line.tags.trigger(4711, 1)
        await line.until(lambda: all(camera.captured for camera in cameras.values()), "three captures side by side")
        line.model.result = BAD
        gate.set()
        answer = await line.answer_for(seq)
        (outcome,) = await line.ended(1)
    assert (answer.verdict, answer.reason) == (Verdict.NG, Reason.DECIDED)
    assert {frame.view for frame in outcome.frames if frame.used} == {"top", "side"}
    assert outcome.why == "top: scratch 2.4 mm > 2.0 mm: major; side: scratch 2.4 mm > 2.0 mm: major"


async def test_the_redundant_camera_takes_over_within_the_part_and_asks_for_maintenance() -> None:
    cameras = eyes("top", "side", "spare")
    cameras["top"].silent = True
    rules = ViewRule("top", frame_ns=60 * MS), SPARE
    async with workbench(recipe=recipe(*rules), eyes=cameras) as line:
        await line.ready()
        answer = await line.trigger()
        await line.until(lambda: line.tags.values["Health"] == Health.MAINTENANCE, "maintenance required")
        (outcome,) = await line.ended(1)
        cameras["top"].silent = False
        after = await line.trigger(4712)
    assert (answer.verdict, answer.reason) == (Verdict.OK, Reason.DECIDED)
    assert {frame.view for frame in outcome.frames if frame.used} == {"side", "spare"}
    assert after.reason is Reason.DECIDED


async def test_a_required_view_that_fails_is_the_parts_reason_and_the_line_goes_on() -> None:
    cameras = eyes("top", "side", "spare")
    cameras["side"].silent = True
    rules = ViewRule("side", frame_ns=60 * MS), SPARE
    async with workbench(recipe=recipe(*rules), eyes=cameras) as line:
        await line.ready()
        answer = await line.trigger()
        cameras["side"].silent = False
        after = await line.trigger(4712)
    assert (answer.verdict, answer.reason) == (Verdict.NO_DECISION, Reason.CAMERA)
    assert after.reason is Reason.DECIDED


async def test_captures_of_two_parts_wait_side_by_side_where_the_line_triggers_the_camera() -> None:
    rule = ViewRule("top", joined=True, slack_ns=4_000 * MS)
    cameras = eyes("top")
    cameras["top"].gate = asyncio.Event()
    async with workbench(recipe=recipe(rule, views=("top",)), eyes=cameras) as line:
        await line.ready()
        first, second = line.tags.trigger(4711, 1), line.tags.trigger(4712, 1)
        await line.until(lambda: len(cameras["top"].captured) == 2, "both captures at once")
        cameras["top"].gate.set()
        answers = [await line.answer_for(seq) for seq in (first, second)]
    assert [answer.reason for answer in answers] == [Reason.DECIDED] * 2


async def test_a_camera_on_command_is_asked_for_one_part_at_a_time() -> None:
    cameras = eyes("top")
    cameras["top"].gate = asyncio.Event()
    async with workbench(recipe=recipe(views=("top",)), eyes=cameras) as line:
        await line.ready()
        first = line.tags.trigger(4711, 1)
        await line.until(lambda: len(cameras["top"].captured) == 1, "the first capture")
        second = line.tags.trigger(4712, 1)
        await line.until(lambda: len(line.runtime.station.cycles) == 2, "the second part")
        assert len(cameras["top"].captured) == 1
        cameras["top"].gate.set()
        answers = [await line.answer_for(seq) for seq in (first, second)]
    assert [answer.seq for answer in answers] == [first, second]


async def test_a_view_behind_the_barrier_is_exposed_after_its_delay() -> None:
    rule = ViewRule("top", delay_ns=50 * MS)
    cameras = eyes("top")
    cameras["top"].exposure_ns = 200_000
    async with workbench(recipe=recipe(rule, views=("top",)), eyes=cameras) as line:
        await line.ready()
        answer = await line.trigger()
        (outcome,) = await line.ended(1)
    assert answer.reason is Reason.DECIDED
    (frame,) = outcome.frames
    assert frame.exposed_at >= outcome.stamps["triggered"] + 50 * MS
    assert frame.exposure_ns == 200_000
