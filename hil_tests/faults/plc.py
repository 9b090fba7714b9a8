"""Faults of the PLC, its program, its tags and its numbers."""

from __future__ import annotations

import os
import signal

from controller.sim.belt import ExposureFault
from controller.sim.plc_commands import (
    Burst,
    Halt,
    HoldClock,
    JumpSeq,
    RequestRecipe,
    RestartProgram,
    SetCeiling,
    SetEnable,
    TearSlot,
    TriggerNow,
)
from controller.sim.plc_image import LAST_SEQ, ModeWord
from controller.sim.plc_settings import TagDefect
from hil_tests.faults.bench import Bench, dwell
from hil_tests.rig import RECIPE_IDS

OUTAGE_S = 0.9
"""Longer than the 500 ms after which either side counts as lost."""


def plc_stop(bench: Bench) -> None:
    """Program mode: no scan, tags still served. The station must notice and take a new session afterwards."""
    old = bench.session
    bench.begin()
    bench.rig.plc.command(Halt(OUTAGE_S * 1000))
    bench.wait_hindered()
    bench.part()
    dwell(OUTAGE_S)
    bench.end()
    bench.wait_new_session(old)


def plc_restart(bench: Bench) -> None:
    """The program starts anew: SessionAck 0, another epoch, numbers from 1."""
    bench.begin()
    bench.rig.plc.command(RestartProgram(trigger_seq=1))
    bench.wait_hindered()
    bench.part()
    bench.end()


def plc_download(bench: Bench) -> None:
    """The PLC is gone with its server, and comes back with new tags at the same address."""
    bench.begin()
    bench.rig.end_plc()
    bench.rig.start_plc()
    bench.end()


def plc_freeze(bench: Bench) -> None:
    """The PLC's processor stands still, its connections stay open."""
    old = bench.session
    bench.begin()
    os.kill(bench.rig.plc.pid, signal.SIGSTOP)
    try:
        dwell(OUTAGE_S)
    finally:
        os.kill(bench.rig.plc.pid, signal.SIGCONT)
    bench.end()
    bench.wait_new_session(old)


def plc_heartbeat_stuck(bench: Bench) -> None:
    """PlcClockMs stands still while the program works on."""
    old = bench.session
    bench.begin()
    bench.rig.plc.command(HoldClock(OUTAGE_S * 1000))
    bench.wait_hindered()
    bench.part()
    dwell(OUTAGE_S / 2)
    bench.end()
    bench.wait_new_session(old)


def id_repeated(bench: Bench) -> None:
    """A part is announced under the number of the part before."""
    bench.rig.plc.command(JumpSeq(-1))
    bench.inspect()


def id_skipped(bench: Bench) -> None:
    """Three numbers are left out."""
    bench.rig.plc.command(JumpSeq(3))
    bench.inspect()


def id_backwards(bench: Bench) -> None:
    """Numbers step back within a session: after a second look a fault, and a new session."""
    old = bench.session
    bench.begin()
    bench.rig.plc.command(JumpSeq(-5))
    bench.inspect()
    bench.end()
    bench.wait_new_session(old)


def id_wrapped(bench: Bench) -> None:
    """Numbers run over their end: 2^30 - 1, 2^30, 1, 2."""
    old = bench.session
    bench.rig.plc.command(RestartProgram(trigger_seq=LAST_SEQ - 2))
    bench.wait_new_session(old)
    while bench.rig.inspect().seq < LAST_SEQ - 1:
        pass
    for _ in range(3):
        bench.inspect()


def trigger_storm(bench: Bench) -> None:
    """Twenty parts in one instant, more than the ring holds."""
    _burst(bench, 20)


def two_triggers(bench: Bench) -> None:
    """Two parts in one instant: only the newest can still be in view (rule 12)."""
    _burst(bench, 2)


def _burst(bench: Bench, count: int) -> None:
    parts = [bench.rig.next_part() for _ in range(count)]
    bench.brought += parts
    bench.rig.plc.command(Burst(count, parts[0]))
    bench.rig.seen(parts[-1])


def slot_torn(bench: Bench) -> None:
    """The station sees a slot half written."""
    bench.rig.plc.command(TearSlot(2))
    bench.inspect()


def epoch_changed_equal_numbers(bench: Bench) -> None:
    """Another PLC run with the very numbers of the last one (rule 6): nothing of before may answer them."""
    old = bench.session
    for _ in range(2):
        bench.rig.plc.command(RestartProgram(trigger_seq=500))
        bench.wait_new_session(old)
        old = bench.session
        bench.rig.good_part()
    bench.begin()
    bench.rig.plc.command(RestartProgram(trigger_seq=500))
    bench.wait_hindered()
    bench.end()


def trigger_while_not_ready(bench: Bench) -> None:
    """A program that triggers although Ready is 0, while a recipe is loaded."""
    bench.rig.plc.command(RequestRecipe(RECIPE_IDS["washer-b"]))
    bench.wait_hindered()
    bench.part(lambda part_id: TriggerNow(part_id, impatient=True))
    bench.rig.wait_ready()
    bench.rig.seen(bench.brought[-1])
    bench.end()
    use_recipe(bench, "washer")


def tag_missing(bench: Bench) -> None:
    """A tag was left out: deep in a ring where the protocol can say so, of a Logix array all elements are alike."""
    deep = "TriggerAckSeq" if bench.rig.file.plc.protocol == "ethernet-ip" else "Trigger[2].PartId"
    _defective(bench, TagDefect(_tag(bench, deep, "PartId"), "missing"))


def tag_retyped(bench: Bench) -> None:
    """A tag has another type."""
    _defective(bench, TagDefect(_tag(bench, "TriggerSeq", "TriggerId"), "retyped"))


def tag_read_only(bench: Bench) -> None:
    """The station may not write a tag that it must write."""
    _defective(bench, TagDefect(_tag(bench, "Result[3].Action", "Result.Action"), "read-only"))


def _tag(bench: Bench, sequence: str, four_phase: str) -> str:
    return four_phase if bench.rig.file.plc.profile == "four-phase" else sequence


def _defective(bench: Bench, defect: TagDefect) -> None:
    before = len(bench.logged())
    bench.rig.end_plc()
    bench.rig.start_plc((defect,))
    bench.begin()
    bench.wait_hindered()
    bench.wait_logged(defect.name, before)
    dwell(1.0)
    live = bench.rig.plc.live
    assert live is not None and live.session_id == 0, "a session was opened over tags that are wrong"
    bench.inspect()
    bench.rig.end_plc()
    bench.rig.start_plc()
    bench.end()


def enable_dropped(bench: Bench) -> None:
    """Enable falls while a part is being captured."""
    bench.rig.belt.set_fault(ExposureFault.SLOW, 1, 40)
    bench.part()
    bench.begin()
    bench.rig.plc.command(SetEnable(False))
    bench.wait_hindered()
    bench.rig.seen(bench.brought[-1])
    bench.rig.plc.command(SetEnable(True))
    bench.end()


def mode_lowered(bench: Bench) -> None:
    """The PLC lowers the mode to SHADOW while a part is being captured: from now on nothing may act."""
    bench.rig.belt.set_fault(ExposureFault.SLOW, 1, 30)
    bench.part()
    bench.rig.plc.command(SetCeiling(ModeWord.SHADOW))
    bench.rig.seen(bench.brought[-1])
    shadowed = bench.rig.inspect()
    assert shadowed.mode == ModeWord.SHADOW, f"the next part had mode {shadowed.mode}"
    bench.rig.plc.command(SetCeiling(ModeWord.AUTO_REJECT))
    bench.end()
    wanted = ModeWord[bench.rig.options.mode]
    while bench.rig.inspect().mode != wanted:
        pass


def recipe_changed(bench: Bench) -> None:
    """Another product is asked for while a part is being captured: the part keeps its recipe."""
    rig = bench.rig
    rig.belt.set_fault(ExposureFault.SLOW, 1, 40)
    bench.part()
    rig.plc.command(RequestRecipe(RECIPE_IDS["washer-b"]))
    caught = rig.seen(bench.brought[-1])
    recipe = _recipe_of(bench, caught.session_id, caught.seq)
    assert recipe == RECIPE_IDS["washer"], f"the part was judged with recipe {recipe}"
    rig.wait_ready()
    bench.end()
    _await_recipe(bench, "washer-b")
    use_recipe(bench, "washer")


def recipe_unknown(bench: Bench) -> None:
    """A product that nobody knows: refused, the one before stays in force."""
    rig = bench.rig
    rig.request_recipe(4711)
    bench.inspect()
    rig.plc.command(RequestRecipe(RECIPE_IDS["washer"]))
    bench.end()


def use_recipe(bench: Bench, name: str) -> None:
    """Ask for another product and wait until parts are judged with it."""
    bench.rig.request_recipe(RECIPE_IDS[name])
    _await_recipe(bench, name)


def _await_recipe(bench: Bench, name: str) -> None:
    rig, wanted = bench.rig, RECIPE_IDS[name]
    for _ in range(100):
        rig.wait_ready()
        seen = rig.inspect()
        if seen.seq and _recipe_of(bench, seen.session_id, seen.seq) == wanted and seen.reason != RECIPE_MISMATCH:
            return
    raise AssertionError(f"recipe {name} never came into force")


RECIPE_MISMATCH = 8


def _recipe_of(bench: Bench, session: int, seq: int) -> int | None:
    for _ in range(200):
        with bench.rig.journal() as journal:
            rows = journal.rows(session, seq)
        if rows:
            return rows[0].recipe_id
        dwell(0.02)
    raise AssertionError(f"part {session}/{seq} is not in the journal")
