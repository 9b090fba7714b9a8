"""The four-phase block against a model of the station: order of the edges, time-outs, and the right answer per part."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.sim.plc_image import next_seq
from tests.plc_blocks.blocks import iec, logix, mutated
from tests.plc_blocks.four_phase_line import FourPhaseLine, Wrongs

EVERYTHING = Wrongs(0.0005, 0.004, 0.001, 0.03, 0.03, 0.02, 0.02, 0.2, 0.6, 0.05, 0.05, 0.05)
WRAPS = (2**31 - 2000, 2**31 - 3000, 2**30 - 3)


def run_line(names: dict[str, Any], seed: int, scans: int, wrongs: Wrongs = EVERYTHING) -> FourPhaseLine:
    """A trace with parts at random distances, PLC restarts and Enable dropped now and then."""
    chance = Random(seed)
    start = WRAPS if seed % 2 else (0, 0, 0)
    line = FourPhaseLine(names, chance, wrongs, chance.choice((5, 10, 20, 50)), start=start)
    spacing, enable = 0, True
    for number in range(scans):
        if chance.random() < 0.001:
            line.plc.power_cycle(forgets=chance.random() < 0.5)
        enable = enable != (chance.random() < (0.002 if enable else 0.05))
        spacing -= 1
        if spacing < 0:
            line.scan(number, enable)
            spacing = chance.randint(2, 60)
        else:
            line.scan(None, enable)
    return line


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 800))
def test_the_order_of_the_handshake_holds_whatever_the_station_does(seed: int, scans: int) -> None:
    run_line(iec(), seed, scans)


@pytest.mark.parametrize("names", [iec, logix], ids=["IEC", "Rockwell"])
def test_long_traces_answer_parts_and_leave_hung_phases(names: Any) -> None:
    for seed in range(2):
        line = run_line(names(), seed, 6000)
        assert line.seen["answered"] > 20, line.seen
        assert line.seen["TimeOuts"] > 2 and line.seen["SoftResets"] > 0, line.seen


@pytest.mark.parametrize("poll_ms", [10, 100])
def test_no_part_of_a_thousand_is_missed(poll_ms: int) -> None:
    scan_ms = poll_ms // 2
    line = FourPhaseLine(iec(), Random(1), Wrongs(), poll_ms, (5, 20), scan_ms=scan_ms)
    parts = 1000
    every = 8 * poll_ms // scan_ms
    part_id = 0
    for number in range(100 + every * parts + 2 * every):
        announce = number >= 100 and number % every == 0 and part_id < parts
        part_id += announce
        line.scan(part_id if announce else None)
    counts = line.plc.line.Counts
    assert (counts.Triggers, counts.Answered + counts.Late, counts.NotReady) == (parts, parts, 0)
    assert line.plc.station.TimeOuts == 0 and not line.plc.tags.MissedTrigger
    assert line.plc.tags.TriggerId == parts


def scans_until(line: FourPhaseLine, reached: Any, at_most: int, part: int | None = None) -> int:
    """Scan until the condition holds; fails after so many scans."""
    for number in range(at_most):
        if reached():
            return number
        line.scan(part if number == 0 else None)
    raise AssertionError(f"not reached in {at_most} scans: {line.plc.tags.values()}")


def ready_line(wrongs: Wrongs) -> FourPhaseLine:
    """A line whose station is Ready."""
    line = FourPhaseLine(iec(), Random(1), wrongs)
    scans_until(line, lambda: line.plc.tags.Ready and line.plc.station.Hindrance == 0, 200)
    return line


def test_after_its_start_the_plc_drops_enable_so_that_a_session_is_opened_for_this_run() -> None:
    line = ready_line(Wrongs())
    session = line.plc.tags.SessionId
    line.plc.power_cycle(forgets=True)
    line.scan()
    assert not line.plc.tags.Enable and line.plc.station.Hindrance != 0
    scans_until(line, lambda: line.plc.station.Hindrance == 0, 200)
    assert line.plc.tags.SessionId == next_seq(session)


def test_a_trigger_that_is_never_taken_is_withdrawn_and_the_next_part_is_announced() -> None:
    wrongs = Wrongs(ack_never=1.0)
    line = ready_line(wrongs)
    scans_until(line, lambda: line.plc.tags.MissedTrigger, 10, part=1)
    wrongs.ack_never = 0.0
    scans_until(line, lambda: not line.plc.tags.Trigger, 70)
    assert line.plc.station.TimeOuts == 1 and line.plc.station.SoftResets == 0
    scans_until(line, lambda: line.plc.station.Hindrance == 0, 5)
    scans_until(line, lambda: line.plc.line.Counts.Answered == 1, 60, part=2)


def test_an_acknowledgement_of_another_number_is_none() -> None:
    line = ready_line(Wrongs(ack_other_id=1.0))
    scans_until(line, lambda: line.plc.tags.TriggerAck, 10, part=1)
    line.scan()
    assert line.plc.tags.Trigger


@pytest.mark.parametrize("hangs", ["ack_stuck", "valid_stuck"])
def test_a_hung_phase_ends_in_a_soft_reset_and_a_new_session(hangs: str) -> None:
    wrongs = Wrongs(**{hangs: 1.0})
    line = ready_line(wrongs)
    session = line.plc.tags.SessionId
    scans_until(line, lambda: not line.plc.tags.Enable, 200, part=1)
    setattr(wrongs, hangs, 0.0)
    assert line.plc.station.SoftResets == 1
    scans_until(line, lambda: line.plc.station.Hindrance == 0, 200)
    assert line.plc.tags.SessionId != session
    scans_until(line, lambda: line.plc.line.Counts.Answered >= 1, 60, part=2)


def test_a_torn_block_is_read_again_and_one_that_stays_torn_does_not_block_the_queue() -> None:
    line = ready_line(Wrongs(torn=1.0))
    scans_until(line, lambda: line.plc.line.Counts.Answered == 1, 60, part=1)
    assert line.plc.line.Counts.Wrong == 0
    wrongs = Wrongs(torn=1.0, torn_for_ever=1.0)
    line = ready_line(wrongs)
    scans_until(line, lambda: line.plc.tags.ResultAck, 200, part=1)
    assert line.plc.line.Counts.Wrong == 1 and line.plc.line.Counts.Answered == 0
    wrongs.torn = 0.0
    scans_until(line, lambda: line.plc.line.Counts.Answered == 1, 100, part=2)


def test_a_second_part_during_the_handshake_goes_to_the_gate_with_its_fallback() -> None:
    line = ready_line(Wrongs())
    line.scan(1)
    line.scan()
    line.scan(2)
    assert line.plc.station.Hindrance == 8
    counts = line.plc.line.Counts
    assert (counts.Triggers, counts.NotReady) == (1, 1)
    newest = line.plc.line.Parts[(line.plc.line.Oldest + line.plc.line.Count - 1) % 64]
    assert (newest.PartId, newest.Seq, newest.Fallback) == (2, 0, 3)


MUTATIONS = {
    "trigger with its fields": ("        TriggerPhase := 1;\n", "        TriggerPhase := 2;\n        Tags.Trigger := TRUE;\n"),
    "any acknowledgement": ("IF Tags.TriggerAck AND (Tags.TriggerIdAck = TriggerId) THEN", "IF Tags.TriggerAck THEN"),
    "trigger not withdrawn": ("        Tags.Trigger := FALSE;\n        TriggerPhase := 3;\n        TriggerAtMs := ClockMs;\n"
                              "        TimeOuts", "        TimeOuts"),
    "next trigger too early": ("ELSIF (TriggerPhase <> 0) OR Tags.TriggerAck THEN", "ELSIF TriggerPhase = 9 THEN"),
    "torn block taken": ("    Check := LG_ResultCheck(Slot := Copy);\n    Age",
                         "    Copy.Check := LG_ResultCheck(Slot := Copy);\n    Check := Copy.Check;\n    Age"),
    "acknowledged before it is read": ("    IF Tags.ResultValid THEN\n        ResultPhase := 2;",
                                       "    IF TRUE THEN\n        ResultPhase := 2;"),
    "acknowledgement never withdrawn": ("        Tags.ResultAck := FALSE;\n        ResultPhase := 1;",
                                        "        ResultPhase := 1;"),
    "enable stays through a restart": ("EnableAtStart := FALSE", "EnableAtStart := TRUE"),
    "no soft reset": ("EnableNow := EnableWish AND NOT WantReset;", "EnableNow := EnableWish;"),
    "part echo ignored": (" AND (Copy.PartIdEcho = Line.Parts[Place].PartId)", ""),
    "epoch ignored": (" AND (Copy.EpochEcho = Epoch)", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mutated_block_is_found_out(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    names = mutated(*MUTATIONS[name], without="5_station")
    monkeypatch.setattr(f"{__name__}.iec", lambda: names)
    checks = (
        lambda: run_line(names, 3, 2000),
        lambda: run_line(names, 4, 2000),
        test_a_trigger_that_is_never_taken_is_withdrawn_and_the_next_part_is_announced,
        test_an_acknowledgement_of_another_number_is_none,
        lambda: test_a_hung_phase_ends_in_a_soft_reset_and_a_new_session("ack_stuck"),
        test_a_torn_block_is_read_again_and_one_that_stays_torn_does_not_block_the_queue,
        test_after_its_start_the_plc_drops_enable_so_that_a_session_is_opened_for_this_run,
    )
    with pytest.raises((AssertionError, KeyError)):
        for check in checks:
            check()
