"""Acknowledgements and triggers that never come, come early, or are wrong: what the fault matrix expects of a station,
in virtual time. Each test is a row of the matrix of the same name."""

from __future__ import annotations

import pytest

from controller.sim.plc_image import GateAction
from statemachines.vocabulary import Reason, Verdict
from tests.unit.statemachines.four_phase_loop import GATE_MS, Loop

DECIDED, TOO_LATE = (Verdict.OK, "DECIDED"), (Verdict.NO_DECISION, "DEADLINE")
PASS, REJECT = GateAction.PASS, GateAction.REJECT


def told(loop: Loop, part_id: int) -> tuple[Verdict, str] | None:
    """The one answer that a part got."""
    answers = loop.answers.get(part_id, [])
    assert len(answers) <= 1, f"part {part_id} was answered {len(answers)} times"
    return answers[0][:2] if answers else None


def recovers(loop: Loop, part_id: int = 99) -> None:
    """The line is well again: a part is decided and passes."""
    loop.run_until(lambda: loop.hindrance == "")
    loop.bring(part_id)
    loop.run(GATE_MS + 200)
    assert told(loop, part_id) == DECIDED
    assert loop.gate[part_id] is PASS


def test_nothing_wrong() -> None:
    loop = Loop()
    loop.bring(1)
    loop.run(GATE_MS + 200)
    assert told(loop, 1) == DECIDED
    assert loop.answers[1][0][2] < 50
    assert (loop.gate[1], loop.missed(), loop.overdue()) == (PASS, 0, [])


def test_result_ack_never() -> None:
    loop = Loop()
    loop.forced["result_ack"] = False
    loop.bring(1)
    loop.run(GATE_MS)
    loop.bring(2)
    loop.run_until(lambda: bool(loop.overdue()))
    assert loop.overdue() == ["the result was not acknowledged"]
    assert loop.station.counters.overruns == 1
    loop.run(50)
    assert (told(loop, 1), told(loop, 2)) == (DECIDED, TOO_LATE)
    assert (loop.gate[1], loop.gate[2]) == (PASS, REJECT)
    loop.forced.clear()
    recovers(loop)


def test_result_ack_early() -> None:
    loop = Loop()
    loop.forced["result_ack"] = True
    loop.run(50)
    loop.bring(1)
    loop.run(150)
    assert told(loop, 1) is None, "shown beside a ResultAck that is 1 already"
    loop.forced.clear()
    loop.run(GATE_MS)
    assert told(loop, 1) == TOO_LATE
    assert loop.gate[1] is REJECT
    recovers(loop)


def test_result_ack_stuck() -> None:
    loop = Loop()
    loop.forced["result_ack"] = True
    assert 1000 <= loop.run_until(lambda: loop.hindrance == "not ready") < 1050
    assert loop.overdue() == ["ResultAck stays 1 although ResultValid is 0"]
    loop.bring(1)
    assert loop.untriggered == [1]
    loop.forced.clear()
    recovers(loop)


def test_result_queue_overrun() -> None:
    loop = Loop()
    loop.forced["result_ack"] = False
    for part_id in range(1, 10):
        loop.bring(part_id)
        loop.run_until(lambda: loop.hindrance in ("", "not ready"))
    loop.run_until(lambda: loop.hindrance == "not ready", 100)
    loop.bring(10, impatient=True)
    loop.run(GATE_MS)
    loop.forced.clear()
    loop.run(1000)
    assert told(loop, 1) == DECIDED
    assert [told(loop, part_id) for part_id in range(2, 10)] == [TOO_LATE] * 8
    assert told(loop, 10) is None
    assert loop.ends[10].reason is Reason.OVERRUN
    assert loop.gate[10] is REJECT
    recovers(loop)


def test_trigger_never_released() -> None:
    loop = Loop()
    loop.bring(1)
    loop.forced["trigger"] = True
    assert 1000 <= loop.run_until(lambda: loop.hindrance == "not ready") < 1050
    assert loop.overdue() == ["Trigger stays 1 although TriggerAck is 1"]
    loop.run(50)
    assert told(loop, 1) == TOO_LATE, "its answer is due when its trigger is over"
    assert loop.gate[1] is REJECT
    loop.forced.clear()
    recovers(loop)
    assert loop.missed() == 0


def test_trigger_dropped_early() -> None:
    loop = Loop()
    loop.locked = True
    loop.bring(1)
    loop.run(25)
    loop.forced["trigger"] = False
    loop.run(GATE_MS)
    assert told(loop, 1) == DECIDED
    assert any("withdrawn" in detail for _, detail in loop.events)
    loop.locked = False
    loop.forced.clear()
    recovers(loop)
    assert told(loop, 1) == DECIDED, "asked again it is acknowledged, and not answered twice"
    assert loop.missed() == 0


def test_trigger_pulse_missed() -> None:
    loop = Loop()
    loop.frozen = True
    loop.bring(1)
    loop.run(20)
    loop.forced["trigger"] = False
    loop.run(20)
    loop.frozen = False
    loop.run(800)
    loop.forced.clear()
    assert told(loop, 1) is None
    assert loop.gate[1] is REJECT
    recovers(loop)
    assert loop.missed() == 1


def test_trigger_before_id() -> None:
    loop = Loop()
    loop.bring(1)
    loop.run(GATE_MS)
    loop.late_id_ms = 100
    loop.bring(2)
    loop.run(GATE_MS + 500)
    assert told(loop, 2) is None
    assert loop.gate[2] is REJECT
    recovers(loop)
    assert loop.missed() == 1
    assert told(loop, 1) == DECIDED, "the part that stood there was not answered again"


def test_database_locked() -> None:
    loop = Loop()
    loop.locked = True
    for part_id in (1, 2, 3):
        loop.bring(part_id)
        loop.run(GATE_MS + 10)
    loop.locked = False
    loop.run(800)
    assert (told(loop, 1), told(loop, 2), told(loop, 3)) == (TOO_LATE, None, TOO_LATE)
    assert loop.untriggered == [2]
    assert {loop.gate[part_id] for part_id in (1, 2, 3)} == {REJECT}
    recovers(loop)
    assert loop.missed() == 0


def test_id_repeated() -> None:
    loop = Loop()
    loop.bring(1)
    loop.run(GATE_MS)
    loop.jump = -1
    loop.bring(2)
    loop.run(GATE_MS + 100)
    assert (told(loop, 1), told(loop, 2)) == (DECIDED, None)
    assert loop.gate[2] is REJECT
    recovers(loop)


def test_id_skipped() -> None:
    loop = Loop()
    loop.jump = 3
    loop.bring(1)
    loop.run(GATE_MS)
    assert (told(loop, 1), loop.missed()) == (DECIDED, 3)
    recovers(loop)


def test_id_backwards() -> None:
    loop = Loop()
    session = loop.station.handshake.session_id
    loop.bring(1)
    loop.run(GATE_MS)
    loop.jump = -5
    loop.bring(2)
    loop.run(GATE_MS + 300)
    assert told(loop, 2) is None
    assert loop.gate[2] is REJECT
    assert loop.station.handshake.session_id != session
    recovers(loop)


@pytest.mark.parametrize("frozen_ms", [60, 120])
def test_trigger_seen_late(frozen_ms: int) -> None:
    """Past the capture window, and past the deadline, too: the first reason stays."""
    loop = Loop()
    loop.frozen = True
    loop.bring(1)
    loop.run(frozen_ms)
    loop.frozen = False
    loop.run(GATE_MS)
    assert told(loop, 1) == (Verdict.NO_DECISION, "LATE_TRIGGER")
    assert loop.gate[1] is REJECT
    recovers(loop)


def test_trigger_storm() -> None:
    loop = Loop()
    loop.bring(*range(1, 21))
    loop.run(GATE_MS + 100)
    assert told(loop, 1) == DECIDED
    assert loop.untriggered == list(range(2, 21))
    assert [loop.gate[part_id] for part_id in range(1, 21)] == [PASS, *[REJECT] * 19]
    recovers(loop)
    assert loop.missed() == 0
