"""The station with cameras that the line triggers, with distances along the belt, with views that may fail."""

from __future__ import annotations

from dataclasses import replace

from statemachines.commands import Capture, RecordEvent
from statemachines.events import Failed, FrameCaptured, Inferred, JobRequested, Published, RecipeLoaded
from statemachines.jobs import REPLAY
from statemachines.station.state import Station
from statemachines.station.step import step
from statemachines.station.tags import outputs
from statemachines.views import ViewPolicy, ViewRule
from statemachines.vocabulary import MS, Health, Ns, PartKey, Reason
from tests.unit.statemachines.test_station import (
    NG,
    NOW,
    head,
    key,
    play,
    publishes,
    reading,
    recipe,
    running,
    slot,
    trigger,
)

JOINED = ViewRule("top", joined=True, slack_ns=10 * MS)


def station(*rules: ViewRule, views: tuple[str, ...] = ("top",)) -> Station:
    return running(facts=replace(recipe(), views=views, rules=rules))


def framed(seq: int, counter: int, view: str = "top") -> FrameCaptured:
    return FrameCaptured(key(seq), view, NOW, NOW, counter, f"cam-{view}")


def captures(commands: list[object]) -> list[tuple[int, str]]:
    return [(c.part.seq, c.view) for c in commands if isinstance(c, Capture)]


def test_two_triggers_in_one_read_are_both_inspected_where_the_line_triggers_the_camera() -> None:
    both = reading(head(trigger_seq=2), slot(1), slot(2))
    _, commands = play(station(JOINED), both)
    assert captures([*commands]) == [(1, "top"), (2, "top")]
    _, commands = play(station(), both)
    assert captures([*commands]) == [(2, "top")], "with a command of Linegate only the newest is still in view"


def test_one_view_that_linegate_commands_is_enough_to_refuse_an_old_trigger() -> None:
    both = reading(head(trigger_seq=2), slot(1), slot(2))
    _, commands = play(station(JOINED, views=("top", "side")), both)
    assert {c.part.seq for c in commands if isinstance(c, Capture)} == {2}
    assert [(p.answer.seq, p.answer.reason) for p in publishes(commands)] == [(1, Reason.LATE_TRIGGER)]


def test_a_joined_part_is_refused_only_when_no_time_is_left() -> None:
    seen_late = reading(head(trigger_seq=1, clock_ms=170), slot(1))
    _, commands = play(station(JOINED), seen_late)
    assert captures([*commands]) == [(1, "top")], "70 ms old: the capture window is 40, the deadline 80"
    _, commands = play(station(JOINED), reading(head(trigger_seq=1, clock_ms=190), slot(1)))
    assert [p.answer.reason for p in publishes(commands)] == [Reason.LATE_TRIGGER]


def test_frames_of_a_swapped_pair_are_both_good_and_none_counts_twice() -> None:
    _, commands = play(station(JOINED), trigger(1), trigger(2), framed(2, 8), framed(1, 7))
    assert not publishes(commands)
    _, commands = play(station(JOINED), trigger(1), trigger(2), framed(1, 7), framed(2, 7))
    assert [(p.answer.seq, p.answer.reason) for p in publishes(commands)] == [(2, Reason.CAMERA)]


def test_an_indexing_line_waits_for_every_view_also_for_one_that_fails() -> None:
    optional = ViewRule("side", ViewPolicy.OPTIONAL)
    line, _ = play(station(optional, views=("top", "side")), trigger(1), framed(1, 1))
    assert outputs(line)["CaptureDoneSeq"] == 0
    line, _ = play(line, Failed(key(1), "side", NOW, Reason.CAMERA, "dark"))
    assert outputs(line)["CaptureDoneSeq"] == 1


def test_a_late_frame_of_an_earlier_part_does_not_take_the_number_back() -> None:
    line, _ = play(station(JOINED), trigger(1), trigger(2), framed(2, 8), framed(1, 7))
    assert outputs(line)["CaptureDoneSeq"] == 2


def test_a_stand_in_that_took_over_is_maintenance_in_health_and_journal() -> None:
    spare = ViewRule("spare", ViewPolicy.REDUNDANT, stands_in_for="top")
    line, commands = play(
        station(spare, views=("top", "spare")),
        trigger(1),
        Failed(key(1), "top", NOW, Reason.CAMERA, "cable"),
        framed(1, 1, "spare"),
        Inferred(key(1), "spare", NOW, NG),
        Published(key(1), NOW),
    )
    assert line.health == (Health.MAINTENANCE, "view:top: spare stands in for top: cable")
    assert [e.detail["source"] for e in commands if isinstance(e, RecordEvent) and e.kind == "health"] == ["view:top"]


def test_another_recipe_has_views_of_its_own() -> None:
    optional = ViewRule("side", ViewPolicy.OPTIONAL)
    events = trigger(1), framed(1, 1), Failed(key(1), "side", NOW, Reason.CAMERA, "x"), Inferred(key(1), "top", NOW, NG)
    line, _ = play(station(optional, views=("top", "side")), *events, Published(key(1), NOW))
    assert line.health[0] is Health.MAINTENANCE
    line, _ = play(line, RecipeLoaded(NOW, recipe(2), 0))
    assert line.health[0] is Health.NORMAL


def test_a_distance_becomes_the_delay_of_each_part() -> None:
    rule = ViewRule("top", encoder_offset=600)
    line = station(rule)
    for index in range(31):
        line, _ = step(line, reading(head(encoder_now=100 * index), at=NOW - (30 - index) * 10 * MS))
    line, commands = play(line, reading(head(trigger_seq=1, encoder_now=3000), slot(1)))
    (capture,) = (c for c in commands if isinstance(c, Capture))
    assert capture.expose_at - (NOW - MS) == 60 * MS, "600 counts at 100 in 10 ms"
    assert line.recipe == replace(recipe(), rules=(rule,)), "the recipe itself keeps the distance"


def test_without_a_moving_encoder_the_part_is_answered_at_once() -> None:
    _, commands = play(station(ViewRule("top", encoder_offset=600)), trigger(1))
    (publish,) = publishes(commands)
    assert publish.answer.reason is Reason.CAMERA
    assert not captures([*commands])


def test_a_job_on_kept_images_is_captured_on_command() -> None:
    line = replace(station(JOINED), enable_seen_low=True)
    line = replace(line, handshake=replace(line.handshake, link=type(line.handshake.link).WAITING))
    job = PartKey(77, REPLAY, 1)
    line, _ = play(line, JobRequested(NOW, job, "x", "anna"))
    assert not line.cycles[job].recipe.rule("top").joined
    _, commands = step(line, FrameCaptured(job, "top", NOW, Ns(NOW + 30 * MS), 1, "replay"))
    assert not publishes([*commands])
