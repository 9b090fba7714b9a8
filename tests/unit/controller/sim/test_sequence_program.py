"""The simulated PLC's program, scan by scan, against a station made of plain values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from controller.sim.gate import Passage, Source
from controller.sim.plc_image import (
    LAST_SEQ,
    GateAction,
    ModeWord,
    PartId,
    ResultBlock,
    StationImage,
    next_seq,
    result_check,
    ring_slot,
    trigger_check,
)
from controller.sim.plc_line import PlcOutputs, PlcSetup, Sensors
from controller.sim.sequence_program import SequenceProgram
from statemachines import checkword
from statemachines.vocabulary import Action, Answer, Mode, Reason, Severity, Verdict

REJECT, PASS = GateAction.REJECT, GateAction.PASS
COUNTS_PER_MS = 10


class Line:
    """A PLC program with a station beside it that beats its heart once per scan. One scan every 5 ms."""

    def __init__(self, setup: PlcSetup | None = None, image: StationImage | None = None) -> None:
        self.setup = setup or PlcSetup()
        self.program = SequenceProgram(self.setup)
        self.image = image or StationImage()
        self.now_ms = 0
        self.alive = True
        self.slots: dict[int, ResultBlock] = {}
        self.passages: list[Passage] = []
        self.latched: list[ResultBlock] = []
        self.late: list[ResultBlock] = []
        self.outputs = self.scan()

    def station(self, **tags: object) -> None:
        self.image = replace(self.image, **tags)  # type: ignore[arg-type]

    def scan(self, *parts: PartId, ejected: int = 0, impatient: bool = False, jump: int = 0) -> PlcOutputs:
        self.now_ms += 5
        if self.alive:
            self.station(heartbeat=self.image.heartbeat + 1)
        self.station(results=tuple(self.slots.values()))
        seen = Sensors(parts, ejected, impatient)
        self.outputs = self.program.scan(self.image, self.now_ms, self.now_ms * COUNTS_PER_MS, seen, jump)
        if self.outputs.clear_rings:
            self.slots.clear()
        self.passages += self.outputs.passages
        self.latched += self.outputs.latched
        self.late += self.outputs.late
        return self.outputs

    def run(self, ms: int) -> None:
        for _ in range(ms // 5):
            self.scan(ejected=self.outputs.gate_moves)

    def open_session(self, session: int = 77, fallback: GateAction = REJECT) -> None:
        self.station(session_id=session, online=True, ready=True, fallback=int(fallback), depth=self.setup.depth)
        self.run(10)
        assert self.outputs.session_ack == session

    def answer(self, seq: int, part_id: PartId, action: GateAction = PASS, **changed: object) -> None:
        block = ResultBlock(
            result_seq=seq,
            part_id_echo=part_id,
            epoch_echo=self.setup.plc_epoch,
            session_id=self.image.session_id,
            action=int(action),
            verdict=1 if action is PASS else 2,
            mode=3,
        )
        block = replace(block, **changed)  # type: ignore[arg-type]
        block = block if "check" in changed else replace(block, check=result_check(block))
        self.slots[ring_slot(seq, self.setup.depth)] = block


def ready_line(setup: PlcSetup | None = None, fallback: GateAction = REJECT) -> Line:
    line = Line(setup)
    line.open_session(fallback=fallback)
    return line


# --- numbers and check words ---------------------------------------------------------------------------------


def test_numbers_run_to_two_to_the_thirtieth_and_then_from_1() -> None:
    assert [next_seq(0), next_seq(1), next_seq(LAST_SEQ - 1), next_seq(LAST_SEQ)] == [1, 2, LAST_SEQ, 1]
    assert [ring_slot(seq, 8) for seq in (1, 8, 9, LAST_SEQ)] == [0, 7, 0, 7]


@pytest.mark.parametrize("part_id", [4711, -3, "P000047", "Größe"])
def test_the_check_words_agree_with_the_stations_own(part_id: PartId) -> None:
    answer = Answer(
        9, part_id, 70_000, -5, Action.REJECT, Verdict.NG, Reason.DECIDED, 3, Severity.MAJOR, 2, 0.5, 6400, Mode.ALERT
    )
    block = ResultBlock(9, part_id, 70_000, -5, 3, 2, 0, 3, 2, 2, 0.5, 6400, 2)
    assert result_check(block) == checkword.answer_check(answer)
    assert trigger_check(9, part_id, -12345678, 2, 99) == checkword.trigger_check(9, part_id, -12345678, 2, 99)


# --- session ---------------------------------------------------------------------------------------------------


def test_the_first_scan_clears_the_rings_and_refuses_the_session_that_stands_in_the_tag() -> None:
    line = Line(image=StationImage(session_id=5, online=True, ready=True))
    assert (line.outputs.session_ack, line.outputs.clear_rings) == (0, True)
    line.run(20)
    assert line.outputs.session_ack == 0
    assert line.scan(1).triggers == ()
    line.station(session_id=6)
    assert (line.scan().session_ack, line.outputs.clear_rings) == (6, True)
    assert not line.scan().clear_rings


def test_parts_are_triggered_only_in_session_while_ready_and_while_the_heart_beats() -> None:
    line = Line()
    assert line.scan("a").untriggered == (("a", "no session"),)
    line.open_session()
    line.station(ready=False)
    assert line.scan("b").untriggered == (("b", "not ready"),)
    line.station(ready=True)
    assert [block.part_id for block in line.scan("c").triggers] == ["c"]
    line.alive = False
    line.run(490)
    assert len(line.scan("d").triggers) == 1
    line.run(10)
    assert line.scan("e").untriggered == (("e", "station lost"),)
    line.alive = True
    line.scan()
    assert len(line.scan("f").triggers) == 1


def test_a_heartbeat_that_never_moved_is_no_life() -> None:
    line = Line()
    line.alive = False
    line.station(session_id=9, online=True, ready=True)
    line.run(10)
    assert line.scan(1).untriggered == ((1, "station lost"),)


def test_a_station_with_another_ring_depth_gets_no_triggers() -> None:
    line = ready_line()
    line.station(depth=16)
    assert line.scan(1).untriggered == ((1, "depth differs"),)


def test_a_new_session_clears_the_rings_and_forgets_who_waits() -> None:
    line = ready_line()
    line.scan("a")
    line.station(session_id=78)
    assert line.scan().clear_rings
    line.answer(1, "a", session_id=77)
    line.run(50)
    line.answer(1, "a", session_id=78)
    line.run(400)
    assert line.latched == []
    assert line.passages == [Passage("a", 1, REJECT, Source.FALLBACK)]
    line.scan("b")
    line.answer(2, "b")
    line.scan()
    assert [block.result_seq for block in line.latched] == [2]


def test_after_enable_fell_only_another_session_allows_triggers_and_enable_waits_for_ready_0() -> None:
    line = ready_line()
    line.program.switches.wish_enable(False)
    assert not line.scan(1).enable
    assert line.outputs.untriggered == ((1, "not enabled"),)
    line.program.switches.wish_enable(True)
    line.run(1000)
    assert not line.outputs.enable
    line.station(ready=False)
    line.run(10)
    assert line.outputs.enable
    line.station(ready=True)
    assert line.scan(2).untriggered == ((2, "no session"),)
    line.station(session_id=78)
    line.scan()
    assert len(line.scan(3).triggers) == 1


# --- triggers --------------------------------------------------------------------------------------------------


def test_a_trigger_slot_carries_the_same_clock_as_the_tag_and_a_fitting_check() -> None:
    line = ready_line()
    outputs = line.scan(4711)
    (block,) = outputs.triggers
    assert (block.seq, block.part_id, block.recipe_id) == (1, 4711, 1)
    assert block.trig_clock_ms == outputs.clock_ms
    assert block.encoder_pos == outputs.encoder_now
    assert block.check == trigger_check(1, 4711, block.trig_clock_ms, 1, block.encoder_pos)


def test_numbers_rise_by_one_and_a_jump_moves_the_next_one() -> None:
    line = ready_line(PlcSetup(trigger_seq=LAST_SEQ - 1))
    assert [block.seq for block in line.scan("a", "b", "c").triggers] == [LAST_SEQ, 1, 2]
    assert [block.seq for block in line.scan("d", "e", jump=10).triggers] == [13, 14]
    assert [block.seq for block in line.scan("f", jump=-4).triggers] == [11]


def test_an_impatient_program_triggers_although_the_station_is_not_ready() -> None:
    line = ready_line()
    line.station(ready=False)
    assert len(line.scan(1, impatient=True).triggers) == 1


# --- answers ---------------------------------------------------------------------------------------------------


def test_answers_in_any_order_reach_their_own_parts() -> None:
    line = ready_line()
    line.scan("a")
    line.run(50)
    line.scan("b")
    line.answer(2, "b", REJECT)
    line.scan()
    line.answer(1, "a", PASS)
    line.run(500)
    assert line.passages == [Passage("a", 1, PASS, Source.ANSWER), Passage("b", 2, REJECT, Source.ANSWER)]


def test_no_answer_is_a_reject() -> None:
    line = ready_line()
    line.scan("a")
    line.run(450)
    assert line.passages == [Passage("a", 1, REJECT, Source.FALLBACK)]


WRONG: dict[str, Callable[[Line], None]] = {
    "part id": lambda line: line.answer(1, "b"),
    "epoch": lambda line: line.answer(1, "a", epoch_echo=2),
    "session": lambda line: line.answer(1, "a", session_id=76),
    "check": lambda line: line.answer(1, "a", check=1),
    "number": lambda line: line.answer(2, "a"),
    "mode": lambda line: line.answer(1, "a", mode=2),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_block_with_one_thing_wrong_is_no_answer(wrong: str) -> None:
    line = ready_line(PlcSetup(required_mode=ModeWord.AUTO_REJECT))
    line.scan("a")
    WRONG[wrong](line)
    line.run(450)
    assert line.passages == [Passage("a", 1, REJECT, Source.FALLBACK)]


def test_a_torn_block_is_taken_once_it_is_whole() -> None:
    line = ready_line()
    line.scan("a")
    line.answer(1, "a", check=1)
    line.scan()
    assert line.latched == []
    line.answer(1, "a")
    line.scan()
    assert [block.result_seq for block in line.latched] == [1]


def test_a_second_answer_to_the_same_part_changes_nothing() -> None:
    line = ready_line()
    line.scan("a")
    line.answer(1, "a", REJECT)
    line.scan()
    line.answer(1, "a", PASS)
    line.run(450)
    assert line.passages == [Passage("a", 1, REJECT, Source.ANSWER)]


def test_a_late_answer_is_seen_and_not_acted_on() -> None:
    line = ready_line()
    line.scan("a")
    line.run(395)
    line.answer(1, "a", PASS)
    line.run(50)
    assert [block.result_seq for block in line.late] == [1]
    assert line.passages == [Passage("a", 1, REJECT, Source.FALLBACK)]


def test_depth_1_acknowledges_what_it_consumed() -> None:
    line = ready_line(PlcSetup(depth=1))
    line.scan("a")
    line.answer(1, "a")
    assert line.scan().result_ack_seq == 1


# --- gate ------------------------------------------------------------------------------------------------------


def test_the_fallback_is_the_one_of_the_trigger_not_of_the_gate() -> None:
    line = ready_line(fallback=PASS)
    line.scan("a")
    line.station(fallback=int(REJECT))
    line.run(450)
    assert line.passages == [Passage("a", 1, PASS, Source.FALLBACK)]


def test_shadow_never_moves_the_gate() -> None:
    line = ready_line(fallback=GateAction.NONE)
    moves = 0
    for seq, (part, mode) in enumerate((("silent", None), ("shadow", 1), ("shadow stop", 1)), start=1):
        line.scan(part)
        if mode is not None:
            line.answer(seq, part, REJECT if seq == 2 else GateAction.STOP, mode=mode)
        line.scan()
    for _ in range(100):
        moves += line.scan().gate_moves
    assert moves == 0
    assert [passage.outcome for passage in line.passages] == [GateAction.NONE] * 3
    assert not line.outputs.line_stopped


def test_a_shadow_ceiling_holds_the_gate_whatever_the_station_says() -> None:
    line = ready_line(PlcSetup(mode_ceiling=ModeWord.SHADOW))
    line.scan("a")
    line.answer(1, "a", REJECT)
    line.scan()
    line.scan("b")
    line.run(450)
    assert [passage.outcome for passage in line.passages] == [GateAction.NONE, GateAction.NONE]


def test_before_any_session_the_gate_rests_on_reject() -> None:
    line = Line()
    line.scan("a")
    line.run(450)
    assert line.passages == [Passage("a", 0, REJECT, Source.FALLBACK)]


def test_passages_of_one_instant_are_reported_one_per_scan() -> None:
    line = ready_line(fallback=PASS)
    line.scan("a", "b", "c")
    reported: list[int] = []
    for _ in range(90):
        outputs = line.scan()
        if outputs.gate_seq and outputs.gate_seq not in reported:
            reported.append(outputs.gate_seq)
    assert reported == [1, 2, 3]
    assert line.outputs.gate_outcome == PASS
    assert line.program.idle


def test_stop_ejects_and_latches_until_it_is_acknowledged() -> None:
    line = ready_line(PlcSetup(auto_acknowledge_ms=None))
    line.scan("a")
    line.answer(1, "a", GateAction.STOP)
    line.run(450)
    assert line.passages == [Passage("a", 1, GateAction.STOP, Source.ANSWER)]
    line.run(10_000)
    assert line.scan("b").untriggered == (("b", "line stopped"),)
    line.program.acknowledge_stop()
    assert len(line.scan("c").triggers) == 1


def test_a_line_stop_request_latches_on_its_edge_and_acknowledges_itself_where_allowed() -> None:
    line = ready_line(PlcSetup(auto_acknowledge_ms=1000))
    line.station(line_stop_request=True)
    assert line.scan().line_stopped
    line.run(990)
    assert line.outputs.line_stopped
    line.run(20)
    assert not line.outputs.line_stopped


def test_an_ejection_that_the_sensor_missed_stops_the_line() -> None:
    line = ready_line()
    line.scan("a")
    for _ in range(120):
        line.scan(ejected=0)
    assert line.passages == [Passage("a", 1, PASS, Source.UNVERIFIED)]
    assert line.outputs.line_stopped


# --- switches --------------------------------------------------------------------------------------------------


def test_a_fault_reset_is_a_pulse() -> None:
    line = ready_line()
    assert not line.outputs.fault_reset
    line.program.switches.pulse_fault_reset(100)
    line.run(100)
    assert line.outputs.fault_reset
    line.run(10)
    assert not line.outputs.fault_reset


def test_a_recipe_is_named_before_its_number_and_used_once_it_is_loaded() -> None:
    line = ready_line()
    line.program.switches.request_recipe(2)
    assert (line.scan().recipe_request, line.outputs.recipe_request_seq) == (2, 0)
    assert line.scan().recipe_request_seq == 1
    assert line.scan("a").triggers[0].recipe_id == 1
    line.station(recipe_ack_seq=1, recipe_status=0)
    assert line.scan("b").triggers[0].recipe_id == 1
    line.station(recipe_status=1)
    assert line.scan("c").triggers[0].recipe_id == 2


def test_a_refused_recipe_leaves_the_one_before() -> None:
    line = ready_line()
    line.program.switches.request_recipe(9)
    line.run(10)
    line.station(recipe_ack_seq=1, recipe_status=2)
    line.scan()
    line.station(recipe_status=1)
    assert line.scan("a").triggers[0].recipe_id == 1
