"""The station as whole processes, one fault after the other on one rig: reason, fallback, recovery."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Generator

import pytest

from controller.sim.belt import ExposureFault
from controller.sim.plc_commands import (
    Burst,
    Halt,
    JumpSeq,
    RestartProgram,
    SetCeiling,
    SetEnable,
    TearSlot,
    TriggerNow,
)
from controller.sim.plc_image import ModeWord
from hil_tests.rig import Rig

OK, NO_DECISION = 1, 4
PASS, REJECT = 1, 3
CAMERA, DEADLINE, IMAGE_QUALITY, LATE_TRIGGER = 2, 1, 4, 7
posix = pytest.mark.skipif(sys.platform == "win32", reason="SIGSTOP is POSIX")


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Generator[Rig]:
    with Rig(tmp_path_factory.mktemp("rig")) as made:
        made.start_station()
        made.wait_ready(60)
        yield made


def good(rig: Rig) -> None:
    """The line is well: the next part is decided and passes."""
    rig.wait_ready()
    part = rig.inspect()
    for _ in range(10):
        if part.seq:
            break
        # The PLC did not trigger: it waits for a heartbeat after its own start. Its gate rejects meanwhile.
        assert part.outcome == REJECT
        part = rig.inspect()
    assert (part.verdict, part.reason, part.outcome) == (OK, 0, PASS), part


def test_a_good_part_passes(rig: Rig) -> None:
    good(rig)


@pytest.mark.parametrize(
    ("fault", "delay_ms", "reasons"),
    [
        (ExposureFault.SILENT, 0, {CAMERA, DEADLINE}),
        (ExposureFault.SLOW, 200, {CAMERA, DEADLINE}),
        (ExposureFault.SAME_FRAME, 0, {CAMERA}),
        (ExposureFault.BLACK, 0, {IMAGE_QUALITY}),
    ],
    ids=["silent", "slow", "same frame", "black"],
)
def test_a_camera_fault_rejects_its_part_only(rig: Rig, fault: ExposureFault, delay_ms: int, reasons: set[int]) -> None:
    good(rig)
    rig.belt.set_fault(fault, 1, delay_ms)
    part = rig.inspect()
    assert (part.verdict, part.outcome) == (NO_DECISION, REJECT)
    assert part.reason in reasons
    assert not part.late_acted
    assert rig.journalled(int(part.part_id))["verdict"] == "NO_DECISION"
    good(rig)


def test_of_a_burst_only_the_newest_is_captured(rig: Rig) -> None:
    rig.wait_ready()
    rig.plc.command(Burst(3, 5_000))
    parts = [rig.seen(5_000 + index) for index in range(3)]
    assert [part.reason for part in parts[:2]] == [LATE_TRIGGER] * 2
    assert [part.outcome for part in parts[:2]] == [REJECT] * 2
    assert (parts[2].verdict, parts[2].reason) == (OK, 0)
    good(rig)


@posix
def test_a_trigger_seen_too_late_is_not_captured(rig: Rig) -> None:
    rig.wait_ready()
    os.kill(rig.station.pid, signal.SIGSTOP)
    try:
        rig.plc.command(TriggerNow(6_000))
        started = rig.wait_for(lambda live: live.figures.waiting == 1)
        rig.wait_for(lambda live: live.at_ns > started.at_ns + 100_000_000)
    finally:
        os.kill(rig.station.pid, signal.SIGCONT)
    part = rig.seen(6_000)
    assert (part.verdict, part.outcome) == (NO_DECISION, REJECT)
    assert part.reason == LATE_TRIGGER
    good(rig)


def test_a_torn_slot_is_read_again(rig: Rig) -> None:
    rig.wait_ready()
    rig.plc.command(TearSlot(2))
    good(rig)


def test_a_jumped_number_is_counted_as_missed(rig: Rig) -> None:
    rig.wait_ready()
    missed = len(rig.events("missed"))
    rig.plc.command(JumpSeq(20))
    rig.inspect()
    rig.wait_for(lambda live: live.figures.waiting == 0)
    assert len(rig.events("missed")) > missed
    good(rig)


def test_a_restarted_program_gets_a_new_session_and_nothing_is_replayed(rig: Rig) -> None:
    rig.wait_ready()
    before = rig.plc.live
    assert before is not None
    rig.plc.command(RestartProgram(trigger_seq=1))
    rig.wait_for(lambda live: live.session_id not in (0, before.session_id) and live.station_ready)
    good(rig)
    figures = rig.plc.tally().figures
    assert (figures.duplicate, figures.wrong_part, figures.stale, figures.unexpected) == (0, 0, 0, 0)


def test_enable_off_and_on(rig: Rig) -> None:
    rig.wait_ready()
    rig.plc.command(SetEnable(False))
    rig.wait_not_ready()
    rig.plc.command(SetEnable(True))
    good(rig)


def test_the_plc_holds_the_mode_down(rig: Rig) -> None:
    rig.wait_ready()
    rig.plc.command(SetCeiling(ModeWord.SHADOW))
    rig.wait_for(lambda live: bool(rig.events("ceiling")))
    rig.belt.set_fault(ExposureFault.BLACK, 1)
    part = rig.inspect()
    assert part.action == 0, "SHADOW never acts"
    assert part.mode == ModeWord.SHADOW
    rig.plc.command(SetCeiling(ModeWord.AUTO_REJECT))
    while not (rows := rig.events("ceiling")) or rows[0]["detail"]["ceiling"] != 3:
        rig.wait_for(lambda _: True)
    good(rig)


def test_a_halted_plc_is_noticed(rig: Rig) -> None:
    rig.wait_ready()
    before = rig.plc.live
    assert before is not None
    rig.plc.command(Halt(800))
    rig.wait_for(lambda live: live.session_id not in (0, before.session_id) and live.station_ready)
    good(rig)


@posix
def test_a_frozen_plc_server_is_noticed_and_comes_back(rig: Rig) -> None:
    rig.wait_ready()
    links = len(rig.events("link"))
    before = rig.plc.live
    assert before is not None
    os.kill(rig.plc.pid, signal.SIGSTOP)
    try:
        while len(rig.events("link")) == links:
            assert not rig.station.ended
    finally:
        os.kill(rig.plc.pid, signal.SIGCONT)
    # Until the new session it still sees the old one's Ready; a part then would be rejected for want of an answer.
    rig.wait_for(lambda live: live.session_id not in (0, before.session_id) and live.station_ready)
    good(rig)
    figures = rig.plc.tally().figures
    assert (figures.duplicate, figures.wrong_part, figures.late_acted) == (0, 0, 0)
