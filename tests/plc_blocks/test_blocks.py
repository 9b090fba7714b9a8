"""The delivered sources: they parse, name every tag of the contract, and their arithmetic is the contract's."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.drivers.plc.tags import SEQUENCE, Direction, TagType
from controller.sim.conveyor import to_dint
from controller.sim.plc_image import next_seq
from statemachines.checkword import check_word, trigger_check
from tests.plc_blocks import logix as rockwell
from tests.plc_blocks.blocks import IEC_FILES, iec, iec_texts, logix, logix_texts, text_ids
from tests.plc_blocks.source import BLOCKS, declared, field, named, parse, text, walk

dints = st.one_of(
    st.integers(-(2**31), 2**31 - 1),
    st.sampled_from((0, 1, -1, 2**31 - 1, -(2**31), 65535, 65536, -65536)),
)


@pytest.mark.parametrize("path", sorted(BLOCKS.rglob("*.st")), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_file_parses(path: Path) -> None:
    assert named(parse(path.read_text()))


def members(name: str) -> dict[str, str]:
    """A structure's members and their types, as written."""
    definition = declared(iec_texts()).types[name]
    return {
        text(member): text(field(entry, "type"))
        for entry in named(definition)
        for member in entry.children_by_field_name("name")
    }


_TYPES = {TagType.DINT: "DINT", TagType.BOOL: "BOOL", TagType.REAL: "REAL", TagType.PART_ID: "LG_PartId"}


def test_the_structures_hold_the_tags_of_the_contract_and_no_others() -> None:
    single = {tag.name: _TYPES[tag.type] for tag in SEQUENCE.tags if not tag.ring}
    rings = {"Trigger": "ARRAY [0..7] OF LG_TriggerSlot", "Result": "ARRAY [0..7] OF LG_ResultSlot"}
    assert members("LG_Tags") == single | rings
    for ring, structure in (("Trigger", "LG_TriggerSlot"), ("Result", "LG_ResultSlot")):
        assert members(structure) == {tag.name: _TYPES[tag.type] for tag in SEQUENCE.tags if tag.ring == ring}


def test_the_four_phase_structure_holds_the_same_single_tags_and_its_handshake() -> None:
    without = {"TriggerSeq", "SessionAck", "TriggerAckSeq", "Depth"}
    single = {tag.name: _TYPES[tag.type] for tag in SEQUENCE.tags if not tag.ring and tag.name not in without}
    trigger = {"Trigger": "BOOL", "TriggerId": "DINT", "PartId": "LG_PartId", "RecipeId": "DINT"}
    trigger |= {"TrigClockMs": "DINT", "EncoderPos": "DINT"}
    handshake = {"ResultAck": "BOOL", "TriggerAck": "BOOL", "TriggerIdAck": "DINT", "Busy": "BOOL"}
    handshake |= {
        "ResultValid": "BOOL",
        "ResultToggle": "BOOL",
        "MissedTrigger": "BOOL",
        "Result": "LG_FourPhaseResult",
    }
    assert members("LG_FourPhaseTags") == single | trigger | handshake
    slot = members("LG_ResultSlot")
    del slot["ResultSeq"]
    assert members("LG_FourPhaseResult") == slot | {"TriggerId": "DINT"}


def test_the_blocks_write_only_tags_that_are_the_plcs() -> None:
    theirs = {tag.name for tag in SEQUENCE.tags if tag.direction is Direction.STATION_TO_PLC and not tag.ring}
    theirs |= {"TriggerAck", "TriggerIdAck", "Busy", "ResultValid", "ResultToggle", "MissedTrigger"}
    nodes = (n for unit in declared(iec_texts()).units.values() for statement in unit.body for n in walk(statement))
    assigned = [text(field(node, "left")) for node in nodes if node.type == "assignment_statement"]
    written = [target for target in assigned if target.startswith("Tags.")]
    assert {"Tags.TriggerSeq", "Tags.ResultAck", "Tags.Enable"} <= set(written)
    for tag in written:
        assert tag.removeprefix("Tags.") not in theirs, tag
        # Clearing the ring is the PLC's part of a new session.
        assert not re.match(r"Tags\.Result\b", tag) or re.search(r"\.(ResultSeq|Check)$", tag), tag


class Arithmetic:
    """A function of the blocks by its arguments, in either variant."""

    def __init__(self, names: dict[str, Any], rockwell_variant: bool) -> None:
        self._names, self._rockwell = names, rockwell_variant

    def __call__(self, name: str, **arguments: int) -> int:
        if not self._rockwell:
            return self._names[name](*arguments.values())
        block = self._names[name]()
        for argument, value in arguments.items():
            setattr(block, argument, value)
        block.scan()
        return block.Out


variants = pytest.mark.parametrize(
    "call", [Arithmetic(iec(), False), Arithmetic(logix(), True)], ids=["IEC", "Rockwell"]
)


@variants
@given(since=dints, now=dints)
def test_differences_are_right_across_the_wrap_without_an_overflow(call: Arithmetic, since: int, now: int) -> None:
    assert call("LG_Since", Earlier=since, Later=now) == to_dint(now - since)


@variants
@given(clock=dints, step=st.integers(0, 2**31 - 1))
def test_a_clock_goes_on_across_the_wrap_without_an_overflow(call: Arithmetic, clock: int, step: int) -> None:
    assert call("LG_Advance", ClockMs=clock, Step=step) == to_dint(clock + step)


@variants
@given(number=st.one_of(st.integers(0, 2**30), st.sampled_from((0, 2**30 - 1, 2**30))))
def test_numbers_run_to_2_to_the_30_and_then_from_1(call: Arithmetic, number: int) -> None:
    assert call("LG_Next", Number=number) == next_seq(number)


@variants
@given(number=dints)
def test_any_number_that_retained_memory_may_hold_is_followed_by_one_of_the_contract(
    call: Arithmetic, number: int
) -> None:
    assert 1 <= call("LG_Next", Number=number) <= 2**30


@variants
@given(last=st.integers(0, 2**30), seed=dints)
def test_an_epoch_differs_from_the_last_one(call: Arithmetic, last: int, seed: int) -> None:
    epoch = call("LG_Epoch", Last=last, Seed=seed)
    assert 1 <= epoch <= 2**30 and epoch != last
    if seed == 0:
        assert epoch == next_seq(last)


@variants
@given(value=dints, more=dints)
def test_the_check_word_is_the_stations(call: Arithmetic, value: int, more: int) -> None:
    word = call("LG_Feed", Word=29, Value=value)
    assert call("LG_Feed", Word=word, Value=more) == check_word(value, more)


@settings(deadline=None)
@given(st.text(st.characters(max_codepoint=126), max_size=20), dints)
def test_the_check_word_of_a_text_is_the_stations(part_id: str, clock: int) -> None:
    names = text_ids()
    slot = names["LG_TriggerSlot"]()
    slot.Seq, slot.PartId, slot.TrigClockMs, slot.RecipeId, slot.EncoderPos = 2, part_id, clock, 7, 1000
    assert names["LG_TriggerCheck"](slot) == trigger_check(2, part_id, clock, 7, 1000)


@pytest.mark.parametrize("names", [iec, logix], ids=["IEC", "Rockwell"])
def test_a_clock_is_made_of_a_tick_that_begins_again_at_0(names: Any) -> None:
    clock = names()["FB_LinegateClock"]()
    clock.TickLast, total, last = 999, 0, 0
    for tick in (990, 995, 3, 500, 500, 999, 0, 1):
        clock.FirstScan = tick == 990
        clock.TickMs = tick
        clock.scan()
        total += 0 if tick == 990 else (tick - last) % 1000
        last = tick
        assert clock.ClockMs == total


@pytest.mark.parametrize("names", [iec, logix], ids=["IEC", "Rockwell"])
def test_a_station_that_is_silent_for_months_does_not_come_to_life_as_the_clock_wraps(names: Any) -> None:
    alive = names()["FB_LinegateAlive"]()
    now = 0
    for beat in (1, 2):
        alive.FirstScan, alive.Heartbeat, alive.ClockMs = beat == 1, beat, now
        alive.scan()
    assert alive.Alive
    for _ in range(100):
        now += 24 * 3_600_000
        alive.ClockMs = to_dint(now)
        alive.scan()
        assert not alive.Alive
    alive.Heartbeat = 3
    alive.scan()
    assert alive.Alive


def test_a_part_for_which_the_shift_register_has_no_room_stops_the_line() -> None:
    names = iec()
    line = names["LG_Line"]()
    assert [names["LG_Enter"](n, n, 3, 0, line) for n in range(64)] == list(range(64))
    assert not line.Stopped
    assert names["LG_Enter"](64, 64, 3, 0, line) == -1
    assert line.Stopped and line.Counts.Overrun == 1 and line.Count == 64


def test_more_parts_than_the_gate_can_verify_stop_the_line() -> None:
    names = iec()
    gate, line = names["FB_RejectGate"](), names["LG_Line"]()
    gate.FirstScan, gate.VerifyMs = True, 10_000
    gate.scan(line)
    gate.FirstScan = False
    for number in range(65):
        names["LG_Enter"](number, number + 1, 3, 0, line)
        gate.scan(line)
        assert line.Stopped == (number == 64)
    assert line.Counts.Unverified == 1


def test_the_valve_of_the_right_lane_is_on_for_its_pulse() -> None:
    names = iec()
    gate, line = names["FB_RejectGate"](), names["LG_Line"]()
    gate.FirstScan, gate.Distance, gate.Window, gate.VerifyMs, gate.PulseMs = True, 100, 50, 1000, 30
    gate.scan(line)
    gate.FirstScan = False
    for number, fallback in enumerate((2, 3, 1, 4)):
        names["LG_Enter"](number, 0, fallback, 1000 * number, line)
    valves: list[tuple[bool, bool]] = []
    for position in (90, 100, 110, 120, 130, 1100, 1110, 1130, 2100, 3099, 3100):
        gate.Encoder = gate.ClockMs = position
        gate.scan(line)
        valves.append((gate.Divert, gate.Reject))
    off, divert, reject = (False, False), (True, False), (False, True)
    assert valves == [off, divert, divert, divert, off, reject, reject, off, off, off, reject]
    assert line.Stopped and line.Counts.Passed == 1


@pytest.mark.parametrize("name", rockwell.FILES)
def test_the_rockwell_variant_is_made_of_the_iec_sources(name: str) -> None:
    assert (BLOCKS / "rockwell" / f"{name}.st").read_text() == rockwell.translated(name), "run tests.plc_blocks.logix"


def test_the_rockwell_variant_keeps_to_its_subset() -> None:
    for code in logix_texts():
        tree = parse(code)
        kinds = {node.type for node in walk(tree)}
        assert not kinds & {"function_declaration", "boolean_literal", "named_argument", "var_qualifier"}
        names = {text(node) for node in walk(tree) if node.type == "identifier"}
        assert not {name for name in names if len(name) > 40 or "__" in name or name.endswith("_")}


def test_matiec_takes_the_blocks(tmp_path: Path) -> None:
    compiler = shutil.which("iec2c")
    if compiler is None:
        pytest.skip("matiec's iec2c is not installed, and neither pip nor apt has it; the blocks run translated")
    whole = tmp_path / "linegate.st"
    whole.write_text("\n".join(iec_texts()))
    done = subprocess.run([compiler, "-T", str(tmp_path), str(whole)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert len(iec_texts()) == len(IEC_FILES)
