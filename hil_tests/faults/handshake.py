"""Faults of the conversation itself: acknowledgements and triggers that never come, come early, or are wrong.

A PLC's output is forced on the wire (`ForceOutput`), while its program goes on as if all were well.
"""

from __future__ import annotations

import time
from typing import Literal

from controller.sim.belt import ExposureFault
from controller.sim.plc_commands import DelaySeq, ForceOutput, LiveTally, RestartProgram, SetEnable, TriggerNow
from hil_tests.faults.bench import Bench, RigTooSlow, dwell
from hil_tests.faults.station import locked
from hil_tests.shaper import Shape

_WAITING = 8
"""Results that may wait in the four-phase profile."""

_PLC_PHASE_S = 0.5
"""So long the soft PLC holds Trigger for a TriggerAck that does not come."""

_OVERRUN = 5
"""Reason of a part that had no room."""


def session_ack_never(bench: Bench) -> None:
    """The PLC's SessionAck stays 0: no session, no trigger, however long it lasts."""
    bench.begin()
    _force(bench, "session_ack", 0)
    bench.wait_hindered()
    for _ in range(3):
        bench.inspect()
    _let_go(bench, "session_ack")
    bench.end()


def session_ack_early(bench: Bench) -> None:
    """A new PLC run acknowledges its session before it cleared the rings: under the very numbers that its parts will
    have, answers and triggers of the last run still stand there, whole."""
    old, past = bench.session, [bench.rig.good_part() for _ in range(3)]
    _force(bench, "clear_rings", 0)
    bench.rig.plc.command(RestartProgram(trigger_seq=past[0].seq - 1))
    bench.wait_new_session(old)
    for _ in past:
        bench.inspect()
    _let_go(bench, "clear_rings")
    bench.end()


def session_ack_wrong(bench: Bench) -> None:
    """SessionAck names another session while a part is captured: its answer may reach nobody any more."""
    old = bench.session
    bench.rig.belt.set_fault(ExposureFault.SLOW, 1, 60)
    bench.part()
    dwell(0.03)
    bench.begin()
    # Neither this session nor one of the next, which are counted on: that would be a right acknowledgement.
    _force(bench, "session_ack", old ^ 0x4000_0000)
    bench.wait_hindered()
    _let_go(bench, "session_ack")
    bench.end()
    bench.wait_new_session(old)


def result_ack_never(bench: Bench) -> None:
    """The PLC takes a result and never acknowledges it: it falls after its phase, the next one follows, too late."""
    with bench.rig.journal() as journal:
        after = journal.last_event()
    bench.begin()
    _force(bench, "result_ack", 0)
    bench.inspect()
    bench.inspect()
    bench.wait_event("handshake:overdue", after)
    _let_go(bench, "result_ack")
    bench.end()


def result_ack_early(bench: Bench) -> None:
    """ResultAck is 1 before there is a result, and stays for longer than the part has: it acknowledges nothing."""
    _force(bench, "result_ack", 1)
    dwell(0.05)
    bench.part()
    dwell(0.15)
    _let_go(bench, "result_ack")
    bench.rig.seen(bench.brought[-1])


def result_ack_stuck(bench: Bench) -> None:
    """ResultAck stays 1 although ResultValid is 0: no result could be shown, so no part is taken."""
    with bench.rig.journal() as journal:
        after = journal.last_event()
    bench.begin()
    _force(bench, "result_ack", 1)
    bench.wait_event("handshake:overdue", after)
    bench.wait_hindered(by="not ready")
    bench.inspect()
    _let_go(bench, "result_ack")
    bench.end()


def trigger_never_released(bench: Bench) -> None:
    """Trigger stays 1 although TriggerAck is 1: the part's answer is due only when its trigger is over."""
    with bench.rig.journal() as journal:
        after = journal.last_event()
    bench.begin()
    # TriggerAck waits for the journal, so the PLC cannot have lowered Trigger before it is held.
    with locked(bench.rig.data / "journal.db"):
        bench.part()
        _force(bench, "trigger", 1)
        dwell(0.025)
    bench.wait_event("handshake:overdue", after)
    bench.wait_hindered(by="not ready")
    bench.rig.seen(bench.brought[-1])
    _let_go(bench, "trigger")
    bench.end()


def trigger_dropped_early(bench: Bench) -> None:
    """Trigger falls after it was read and before TriggerAck, which waits for the journal: taken all the same. When it
    rises again under its TriggerId it is acknowledged, and not answered twice."""
    _new_session(bench)
    bench.rig.good_part()
    with locked(bench.rig.data / "journal.db"):
        bench.part()
        dwell(0.025)
        _force(bench, "trigger", 0)
        bench.rig.seen(bench.brought[-1])
    _let_go(bench, "trigger")
    bench.wait_free()


def trigger_pulse_missed(bench: Bench) -> None:
    """Trigger is 1 for 20 ms between two reads: nobody can know the part, the gap in TriggerId is counted."""
    bench.rig.the_shaper().shape(Shape(frozen=True))
    dwell(0.02)
    bench.part()
    dwell(0.02)
    _force(bench, "trigger", 0)
    dwell(0.02)
    bench.rig.the_shaper().clear()
    bench.rig.seen(bench.brought[-1])
    dwell(_PLC_PHASE_S)
    _let_go(bench, "trigger")


def trigger_before_id(bench: Bench) -> None:
    """Trigger rises 100 ms before its TriggerId: what stands there is the part before, already answered."""
    bench.rig.good_part()
    bench.rig.plc.command(DelaySeq(100))
    bench.inspect()
    dwell(_PLC_PHASE_S)


def result_queue_overrun(bench: Bench) -> None:
    """Results are not acknowledged until eight wait; a PLC that triggers once more although Ready is 0 gets nothing."""
    rig, began = bench.rig, time.monotonic()
    _force(bench, "result_ack", 0)
    before = rig.plc.tally().figures.triggers
    for count in range(1, 2 + _WAITING):
        bench.part()
        rig.wait_live(lambda live: _triggered(live, before + count) and live.hindrance in ("", "not ready"))  # noqa: B023
    rig.wait_live(lambda live: live.hindrance == "not ready")
    # Not within the last trigger's handshake, which takes a few scans more: the station could not tell the two apart,
    # and would count the number as missed when the next one comes.
    idle_ns = time.monotonic_ns() + _HANDSHAKE_NS
    rig.wait_live(lambda live: live.at_ns > idle_ns and live.hindrance == "not ready")
    bench.part(lambda part_id: TriggerNow(part_id, impatient=True))
    if time.monotonic() - began > 0.9:
        raise RigTooSlow("the first result was given up before eight more waited")
    parts = [rig.seen(part_id) for part_id in bench.brought]
    _let_go(bench, "result_ack")
    bench.end()
    last = parts[-1]
    reason = bench.journal_row(last.session_id, last.seq).reason
    assert reason == _OVERRUN, f"the journal gives reason {reason} for the part that had no room"


def _triggered(live: LiveTally, count: int) -> bool:
    return live.figures.triggers >= count


_HANDSHAKE_NS = 100_000_000
"""More than a trigger's handshake takes: a few scans of 10 ms."""

_Output = Literal["session_ack", "result_ack", "trigger", "clear_rings"]


def _force(bench: Bench, name: _Output, value: int) -> None:
    bench.rig.plc.command(ForceOutput(name, value, 60_000))


def _let_go(bench: Bench, name: _Output) -> None:
    bench.rig.plc.command(ForceOutput(name, 0, 0))


def _new_session(bench: Bench) -> None:
    """What the station tells once in a session it may have told in this one."""
    old = bench.session
    bench.rig.plc.command(SetEnable(False))
    bench.rig.wait_live(lambda live: live.hindrance == "not enabled")
    bench.rig.plc.command(SetEnable(True))
    bench.wait_new_session(old)
