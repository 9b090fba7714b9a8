"""The shift register and the reject gate."""

from __future__ import annotations

from controller.sim.gate import Passage, RejectGate, ShiftRegister, Source
from controller.sim.plc_image import GateAction

DISTANCE, WINDOW = 4000, 800


def register() -> ShiftRegister:
    return ShiftRegister(DISTANCE, WINDOW)


def test_a_part_without_an_answer_leaves_with_its_fallback() -> None:
    parts = register()
    parts.enter(1, 1, GateAction.REJECT, 0)
    assert parts.leave(DISTANCE - 1) == []
    assert parts.leave(DISTANCE) == [Passage(1, 1, GateAction.REJECT, Source.FALLBACK)]
    assert len(parts) == 0


def test_an_answer_before_the_gate_replaces_the_fallback() -> None:
    parts = register()
    part = parts.enter(1, 1, GateAction.REJECT, 0)
    assert parts.latch(part, GateAction.PASS)
    assert parts.leave(DISTANCE) == [Passage(1, 1, GateAction.PASS, Source.ANSWER)]


def test_an_answer_behind_the_gate_is_refused() -> None:
    parts = register()
    part = parts.enter(1, 1, GateAction.REJECT, 0)
    parts.leave(DISTANCE)
    assert not parts.latch(part, GateAction.PASS)
    assert part.action is None


def test_a_part_found_beyond_the_window_counts_as_held_by_the_fallback() -> None:
    parts = register()
    part = parts.enter(1, 1, GateAction.REJECT, 0)
    parts.latch(part, GateAction.PASS)
    assert parts.leave(DISTANCE + WINDOW + 1) == [Passage(1, 1, GateAction.REJECT, Source.WINDOW)]


def test_several_parts_keep_their_order_and_their_own_actions_across_the_wrap() -> None:
    parts = register()
    near_wrap = (1 << 31) - 100
    first = parts.enter("a", 1, GateAction.REJECT, near_wrap)
    parts.enter("b", 2, GateAction.STOP, near_wrap + 50)
    parts.latch(first, GateAction.DIVERT)
    gone = parts.leave(near_wrap + 50 + DISTANCE - (1 << 32))
    assert [(passage.part_id, passage.outcome) for passage in gone] == [
        ("a", GateAction.DIVERT),
        ("b", GateAction.STOP),
    ]


def test_a_restart_lets_everything_go_as_the_fallback_holds_it() -> None:
    parts = register()
    part = parts.enter(1, 1, GateAction.REJECT, 0)
    parts.latch(part, GateAction.PASS)
    assert parts.abandon() == [Passage(1, 1, GateAction.REJECT, Source.FALLBACK)]
    assert not parts.latch(part, GateAction.PASS)


def test_a_part_let_through_is_certain_at_once_and_moves_nothing() -> None:
    passage = Passage(1, 1, GateAction.PASS, Source.ANSWER)
    assert RejectGate(100).act(passage, 0) == (passage, False)


def test_an_ejection_is_certain_when_the_sensor_saw_it() -> None:
    gate, passage = RejectGate(100), Passage(1, 1, GateAction.REJECT, Source.ANSWER)
    assert gate.act(passage, 0) == (None, True)
    assert gate.settle(0, 50) == []
    assert gate.settle(1, 60) == [passage]
    assert gate.waiting == 0


def test_an_ejection_that_no_sensor_saw_left_the_part_on_the_belt() -> None:
    gate = RejectGate(100)
    gate.act(Passage(1, 1, GateAction.REJECT, Source.ANSWER), 0)
    assert gate.settle(0, 101) == [Passage(1, 1, GateAction.PASS, Source.UNVERIFIED)]


def test_the_local_switch_forbids_every_movement() -> None:
    gate = RejectGate(100, locked=True)
    certain, moved = gate.act(Passage(1, 1, GateAction.REJECT, Source.ANSWER), 0)
    assert (certain, moved) == (Passage(1, 1, GateAction.NONE, Source.LOCKED), False)
