"""What the PLC must see first goes in a request before."""

from __future__ import annotations

from controller.plc_order import next_request
from controller.ports import StatusValue


def requests(*, signals_only: bool = False, **difference: StatusValue) -> list[dict[str, StatusValue]]:
    """Every request until nothing differs any more."""
    left, made = dict(difference), list[dict[str, StatusValue]]()
    while request := next_request(left, signals_only=signals_only):
        made.append(request)
        left = {tag: value for tag, value in left.items() if tag not in request}
    return made


def test_a_new_session_number_stands_alone_between_the_old_bits_and_the_new() -> None:
    assert requests(SessionId=7, Ready=True, TriggerAck=False, ResultValid=False, TriggerIdAck=0, Heartbeat=3) == [
        {"TriggerAck": False, "ResultValid": False, "TriggerIdAck": 0, "Heartbeat": 3},
        {"SessionId": 7},
        {"Ready": True},
    ]
    assert requests(SessionId=7, Ready=False) == [{"Ready": False}, {"SessionId": 7}]


def test_a_new_session_waits_for_nothing() -> None:
    assert requests(signals_only=True, SessionId=7, Heartbeat=3) == [{"Heartbeat": 3}, {"SessionId": 7}]


def test_the_number_stands_before_the_acknowledgement_rises_and_bits_fall_first() -> None:
    assert requests(signals_only=True, TriggerIdAck=5, TriggerAck=True, MissedTrigger=False) == [
        {"TriggerIdAck": 5, "MissedTrigger": False},
        {"TriggerAck": True},
    ]
    assert requests(signals_only=True, ResultValid=False, TriggerIdAck=5, TriggerAck=True)[0] == {"ResultValid": False}
    assert requests(signals_only=True, ResultToggle=True, ResultValid=True) == [
        {"ResultToggle": True},
        {"ResultValid": True},
    ]


def test_signals_do_not_take_the_rest_along() -> None:
    assert requests(signals_only=True, Heartbeat=9, InFlight=1, Ready=True) == []
    assert requests(signals_only=True, Heartbeat=9, Ready=False) == [{"Ready": False}]


def test_ready_rises_after_what_the_plc_latches_with_its_trigger() -> None:
    assert requests(Ready=True, Fallback=3, RecipeActive=2) == [{"Fallback": 3, "RecipeActive": 2}, {"Ready": True}]


def test_a_recipe_is_acknowledged_after_what_became_of_it_is_told() -> None:
    assert requests(RecipeAckSeq=4, RecipeStatus=1, RecipeActive=2, RecipeHash=99, InFlight=0) == [
        {"RecipeStatus": 1, "RecipeActive": 2, "RecipeHash": 99, "InFlight": 0},
        {"RecipeAckSeq": 4},
    ]
    assert requests(RecipeAckSeq=4, Ready=True, RecipeStatus=2) == [
        {"RecipeStatus": 2},
        {"RecipeAckSeq": 4},
        {"Ready": True},
    ]
