"""The table of the vision state machines: every way is legal, causes are the expected ones."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from controller.status.messages import PartAcquired, PartBegan, StationSnapshot
from controller.status.vision.machine import (
    ALLOWED,
    GRANTED,
    TRANSITIONS,
    Cause,
    Observation,
    State,
    brought_up_to_date,
    moves,
    observe,
    state_of,
)
from statemachines.vocabulary import Hold
from tests.integration.vision_station import ended, first_snapshot

IDLE = Observation(line="running_shadow", ceiling=3, recipe_loading=False)
STATES = [state for state in State if state is not State.OPERATIONAL]


@pytest.mark.parametrize("at", STATES)
@pytest.mark.parametrize("to", STATES)
def test_there_is_a_legal_way_from_every_state_to_every_other(at: State, to: State) -> None:
    way = moves(at, to, {})
    assert (not way) == (at is to)
    here = at
    for number, state in way:
        assert number in TRANSITIONS and number % 10 == 0
        first = number // 100
        assert first in (here, here.top)
        here = state
    assert here is to


@pytest.mark.parametrize("method", GRANTED)
def test_a_granted_method_is_the_cause_of_what_it_may_cause_and_of_nothing_else(method: str) -> None:
    for (first, second), cause in GRANTED[method].items():
        assert 100 * first + 10 * second + cause in TRANSITIONS
    numbers = {n for at in STATES for to in STATES for n, _ in moves(at, to, GRANTED[method]) if n % 10}
    assert numbers == {100 * a + 10 * b + cause for (a, b), cause in GRANTED[method].items()}


def test_automatic_mode_is_entered_through_initialized_when_it_was_selected() -> None:
    assert [n for n, _ in moves(State.PREOPERATIONAL, State.READY, GRANTED["SelectModeAutomatic"])] == [151, 560]
    assert [n for n, _ in moves(State.PREOPERATIONAL, State.READY, {})] == [140]


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, State.READY),
        ({"job": True}, State.SINGLE_EXECUTION),
        ({"job": True, "series": True}, State.CONTINUOUS_EXECUTION),
        ({"in_session": True}, State.CONTINUOUS_EXECUTION),
        ({"recipe_loading": True, "in_session": True}, State.INITIALIZED),
        ({"ceiling": 0}, State.PREOPERATIONAL),
        ({"line": "starting"}, State.PREOPERATIONAL),
        ({"hold": Hold.PREOPERATIONAL}, State.PREOPERATIONAL),
        ({"hold": Hold.HALTED}, State.HALTED),
        ({"failsafe": True, "in_session": True}, State.ERROR),
        ({"failsafe": True, "hold": Hold.HALTED}, State.ERROR),
        ({"failsafe": True, "hold": Hold.HALTED, "held_over_failsafe": True}, State.HALTED),
        ({"failsafe": True, "reset_granted": True}, State.PREOPERATIONAL),
        ({"failsafe": True, "line": "stopped"}, State.HALTED),
    ],
)
def test_the_state_follows_the_station(changes: dict[str, object], state: State) -> None:
    assert state_of(replace(IDLE, **changes)) is state  # type: ignore[arg-type]


def test_every_method_is_allowed_somewhere_and_halt_nowhere_it_is_in_force() -> None:
    assert all(ALLOWED.values())
    assert State.HALTED not in ALLOWED["Halt"]
    assert Cause.AUTO not in {cause for caused in GRANTED.values() for cause in caused.values()}


def ready_with(job: str) -> StationSnapshot:
    return msgspec.structs.replace(first_snapshot(), job=job)


def test_a_snapshot_from_before_does_not_bring_back_a_job_that_has_ended() -> None:
    """Parts are told before snapshots that wait, so an older snapshot may be shown after a job's end."""
    before = ready_with("77/opcua/2")
    assert state_of(observe(before)) is State.SINGLE_EXECUTION
    assert state_of(observe(brought_up_to_date(before, ended("77/opcua/2", "sample", 1)))) is State.READY
    assert brought_up_to_date(before, ended("77/opcua/1", "sample", 1)) is before


def test_a_snapshot_from_before_does_not_end_a_job_that_has_begun() -> None:
    before = ready_with("")
    single = brought_up_to_date(before, PartBegan("77/opcua/3", "sample", 1, False))
    series = brought_up_to_date(before, PartBegan("77/opcua/3", "sample", 1, True))
    assert state_of(observe(single)) is State.SINGLE_EXECUTION
    assert state_of(observe(series)) is State.CONTINUOUS_EXECUTION
    assert brought_up_to_date(before, PartBegan("77/plc/3", "sample", 1, False)) is before
    assert brought_up_to_date(before, PartAcquired("77/opcua/3")) is before
