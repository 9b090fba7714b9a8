"""What a recipe may say of its views, and the rules that come of it."""

from __future__ import annotations

from typing import Any

import pytest

from controller.config import ViewSection
from controller.config_views import camera_problems, check_views, view_rules
from statemachines.views import ViewPolicy, ViewRule
from statemachines.vocabulary import MS


def view(name: str = "top", **more: Any) -> ViewSection:
    given = {"name": name, "camera": name, "model": "m@1.0.0", "mm_per_px": 0.05, **more}
    return ViewSection.model_validate(given)


def spare(**more: Any) -> ViewSection:
    return view("spare", policy="redundant", **{"stands_in_for": "top", **more})


def test_plain_views_need_no_rule() -> None:
    assert view_rules([view(), view("side")], {}, 40) == ()


def test_rules_say_what_differs() -> None:
    views = [view(trigger_delay_ms=12.5), view("side", policy="optional"), spare(), view("far", encoder_offset=300)]
    assert view_rules(views, {"side": 8.0}, 40) == (
        ViewRule("top", delay_ns=12_500_000, frame_ns=40 * MS),
        ViewRule("side", ViewPolicy.OPTIONAL, joined=True, slack_ns=8 * MS, frame_ns=40 * MS),
        ViewRule("spare", ViewPolicy.REDUNDANT, stands_in_for="top"),
        ViewRule("far", encoder_offset=300),
    )
    assert view_rules([view(policy="optional", frame_within_ms=15)], {}, 40)[0].frame_ns == 15 * MS


@pytest.mark.parametrize(
    ("views", "complaint"),
    [
        ([view(), view()], "same name"),
        ([view(name) for name in "abcde"], "at most 4"),
        ([view(policy="optional")], "no view is required"),
        ([view(), spare(stands_in_for="side")], "name one of top"),
        ([view(), spare(), view("more", policy="redundant", stands_in_for="spare")], "name one of top"),
    ],
)
def test_views_that_do_not_fit_each_other(views: list[ViewSection], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        check_views(views)


def test_four_views_and_a_redundant_one_for_each_fit() -> None:
    doubles = [view(f"{n}2", policy="redundant", stands_in_for=n) for n in "abcd"]
    check_views([*(view(n) for n in "abcd"), *doubles])


@pytest.mark.parametrize("wrong", [{"policy": "redundant"}, {"stands_in_for": "top"}])
def test_a_redundant_view_names_what_it_replaces(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="belong together"):
        view("spare", **wrong)


def test_cameras_must_be_there_and_fit() -> None:
    views = [view(), view("side", camera="top"), view("far", camera="none"), view("early", trigger_delay_ms=-3)]
    found = [(index, key) for index, key, _, _ in camera_problems(views, ["top", "early"], {"top": 10.0})]
    assert found == [(1, "camera"), (2, "camera"), (2 + 1, "trigger_delay_ms")]
    assert not list(camera_problems(views[:2], ["top"], {})), "Linegate may expose a camera twice for one part"
