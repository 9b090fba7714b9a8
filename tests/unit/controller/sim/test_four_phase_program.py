"""The simulated PLC's four-phase step chains, scan by scan."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from controller.sim.four_phase_program import FourPhaseProgram, ResultStep, TriggerStep
from controller.sim.gate import Passage
from controller.sim.plc_image import GateAction, PartId, ResultBlock, StationImage, result_check
from controller.sim.plc_line import PlcOutputs, PlcSetup, Sensors

COUNTS_PER_MS = 10
PASS, REJECT = GateAction.PASS, GateAction.REJECT


class Line:
    """A program, the station's tags as the test sets them, a belt that moves 10 counts a ms."""

    def __init__(self, **setup: Any) -> None:
        self.setup = PlcSetup(plc_epoch=9, gate_distance=2000, gate_window=200, phase_ms=100, **setup)
        self.program = FourPhaseProgram(self.setup)
        self.image = StationImage()
        self.now_ms = 0
        self.alive = True
        self.passages: list[Passage] = []
        self.latched: list[ResultBlock] = []
        self.outputs = self.scan()

    def station(self, **tags: Any) -> None:
        self.image = replace(self.image, **tags)

    def scan(self, *parts: PartId, impatient: bool = False, jump: int = 0) -> PlcOutputs:
        self.now_ms += 5
        if self.alive:
            self.station(heartbeat=self.image.heartbeat + 1)
        seen = Sensors(parts, 0, impatient)
        self.outputs = self.program.scan(self.image, self.now_ms, self.now_ms * COUNTS_PER_MS, seen, jump)
        self.passages += self.outputs.passages
        self.latched += self.outputs.latched
        return self.outputs

    def run(self, ms: int) -> PlcOutputs:
        for _ in range(ms // 5):
            self.scan()
        return self.outputs

    def show(self, seq: int, part_id: PartId, action: GateAction = PASS, **changed: Any) -> PlcOutputs:
        """Write a block, raise ResultValid, scan."""
        block = ResultBlock(
            result_seq=seq,
            part_id_echo=part_id,
            epoch_echo=9,
            session_id=self.image.session_id,
            action=int(action),
            verdict=1,
            mode=3,
        )
        block = replace(block, **changed)
        block = block if "check" in changed else replace(block, check=result_check(block))
        self.station(results=[block], result_valid=True)
        return self.scan()

    def hide(self) -> PlcOutputs:
        self.station(results=[], result_valid=False)
        return self.scan()


def ready_line(**setup: Any) -> Line:
    line = Line(**setup)
    line.station(session_id=77, online=True, ready=True, fallback=int(REJECT))
    line.run(10)
    return line


def test_trigger_is_held_until_it_is_acknowledged_under_its_own_number() -> None:
    line = ready_line()
    (block,) = line.scan("a").triggers
    assert (block.seq, block.part_id, line.outputs.trigger) == (1, "a", True)
    line.station(trigger_ack=True, trigger_id_ack=7)
    assert line.scan().trigger is True, "another trigger's acknowledgement"
    line.station(trigger_id_ack=1)
    assert line.scan().trigger is False
    assert line.scan("b").untriggered == (("b", "trigger busy"),)
    line.station(trigger_ack=False)
    line.scan()
    assert [block.seq for block in line.scan("c").triggers] == [2]


def test_a_trigger_that_nobody_acknowledges_is_given_up_and_its_answer_still_counts() -> None:
    line = ready_line()
    line.scan("a")
    line.run(95)
    assert line.outputs.trigger is True
    assert line.run(5).trigger is False
    assert line.program.time_outs == {TriggerStep.RAISED.value: 1}
    line.show(1, "a")
    assert [block.result_seq for block in line.latched] == [1]


def test_pulses_fall_by_themselves_and_wait_for_no_acknowledgement() -> None:
    line = ready_line(trigger_pulse_ms=20)
    line.scan("a")
    assert line.run(15).trigger is True
    assert line.run(5).trigger is False
    line.station(trigger_ack=True, trigger_id_ack=1)
    assert [block.seq for block in line.scan("b").triggers] == [2]


def test_an_answer_is_taken_once_on_the_rising_edge_and_acknowledged_until_it_is_gone() -> None:
    line = ready_line()
    line.scan("a")
    assert line.show(1, "a").result_ack is True
    assert line.run(20).result_ack is True
    assert len(line.latched) == 1
    assert line.hide().result_ack is False
    line.run(300)
    assert [(passage.part_id, passage.outcome) for passage in line.passages] == [("a", PASS)]


def test_an_answer_that_stands_there_at_the_start_is_no_edge() -> None:
    line = Line()
    line.station(session_id=77, online=True, ready=True, result_valid=True, results=[ResultBlock(result_seq=1)])
    assert line.run(20).result_ack is False
    assert line.run(100).result_ack is False
    assert line.program.time_outs[ResultStep.CLEARING.value] == 1
    line.hide()
    line.scan("a")
    assert line.show(1, "a").result_ack is True


def test_answers_for_others_are_acknowledged_and_not_used() -> None:
    line = ready_line()
    line.scan("a")
    wrongs: tuple[dict[str, Any], ...] = (
        {"part_id_echo": "b"},
        {"epoch_echo": 8},
        {"session_id": 76},
        {"check": 1},
        {"result_seq": 2},
    )
    for wrong in wrongs:
        assert line.show(1, "a", **wrong).result_ack is True
        line.hide()
    assert line.latched == []
    line.show(1, "a")
    assert len(line.latched) == 1


def test_a_new_session_forgets_the_old_ones_parts_and_bits() -> None:
    line = ready_line()
    line.scan("a")
    line.station(session_id=78, ready=False)
    assert (line.scan().trigger, line.outputs.result_ack, line.outputs.session_ack) == (False, False, 78)
    line.show(1, "a", session_id=77)
    assert line.latched == []


def test_triggers_need_enable_session_life_and_ready_unless_the_program_breaks_the_contract() -> None:
    line = Line()
    assert line.scan("a").untriggered == (("a", "no session"),)
    line.station(session_id=77, online=True, ready=False)
    line.run(10)
    assert line.scan("b").untriggered == (("b", "not ready"),)
    assert len(line.scan("c", impatient=True).triggers) == 1
    line = ready_line()
    line.alive = False
    line.run(500)
    assert line.scan("d").untriggered == (("d", "station lost"),)
    assert [block.seq for block in ready_line().scan("e", jump=3).triggers] == [4]
