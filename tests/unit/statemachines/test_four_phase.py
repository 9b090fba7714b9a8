"""The four-phase tables have a row for whatever a read may show, and wait for nothing without an end."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from statemachines.events import PlcRead
from statemachines.handshake.four_phase import read
from statemachines.handshake.phases import Phases, ResultPhase, TriggerPhase
from statemachines.handshake.results import RESULTS, AckSign, ack_sign
from statemachines.handshake.state import Contract, Handshake, Link
from statemachines.handshake.triggers import TRIGGERS, TriggerSign, trigger_sign
from statemachines.vocabulary import MS, Ns, PlcHead, TriggerSlot

CONTRACT = Contract(modulus=128, torn_reads=1, profile="four-phase", phase_ns=100 * MS)
NOW = Ns(10_000 * MS)
AGES = (0, 200 * MS)


def reading(slot: TriggerSlot, *, trigger: bool = False, ack: bool = False, at: int = NOW) -> PlcRead:
    head = PlcHead(clock_ms=1, enable=True, plc_epoch=3, trigger=trigger, result_ack=ack)
    return PlcRead(Ns(at), Ns(at), head, (slot,), next_session_id=6)


def in_session(phases: Phases, torn_reads: int = 0) -> Handshake:
    return Handshake(
        Link.IN_SESSION,
        session_id=5,
        plc_epoch=3,
        last_seq=7,
        clock_ms=1,
        clock_moved_at=NOW,
        torn_reads=torn_reads,
        phases=phases,
    )


@pytest.mark.parametrize("phase", TriggerPhase)
def test_every_trigger_sign_has_its_row(phase: TriggerPhase) -> None:
    for seq, trigger, age, known, torn in product((7, 8, 10, 0), (False, True), AGES, (0, 7), (0, 1)):
        slot = TriggerSlot(seq, 4711, 1, 1)
        for candidate in (None, slot, replace(slot, part_id=1)) if phase is TriggerPhase.LATCHING else (None,):
            phases = Phases(trigger=phase, trigger_since=NOW, taken=known, durable=known, candidate=candidate)
            hs, event = in_session(phases, torn), reading(slot, trigger=trigger, at=NOW + age)
            sign = trigger_sign(hs, event, slot, CONTRACT)
            if phase is TriggerPhase.WAITING and sign is TriggerSign.UNREADABLE:
                continue  # torn reads are forgotten on the way to WAITING
            assert (phase, sign) in TRIGGERS, (seq, trigger, age, known, torn, candidate)
            if not torn:
                read(hs, event, CONTRACT)


@pytest.mark.parametrize("phase", ResultPhase)
def test_every_result_sign_has_its_row(phase: ResultPhase) -> None:
    for ack, early, age in product((False, True), (False, True), AGES):
        phases = Phases(result=phase, result_since=NOW, early=early)
        event = reading(TriggerSlot(7, 1, 1, 1), ack=ack, at=NOW + age)
        assert (phase, ack_sign(phases, event, CONTRACT)) in RESULTS, (ack, early, age)


def test_whatever_waits_for_the_plc_runs_out() -> None:
    for phase in (TriggerPhase.TAKEN, TriggerPhase.ACKNOWLEDGED):
        target, _ = TRIGGERS[(phase, TriggerSign.OVERDUE)]
        assert target is TriggerPhase.HELD
    assert RESULTS[(ResultPhase.SHOWN, AckSign.OVERDUE)][0] is ResultPhase.CLEARING
    assert RESULTS[(ResultPhase.CLEARING, AckSign.OVERDUE)][0] is ResultPhase.STUCK


def test_a_trigger_id_of_0_is_no_part() -> None:
    phases = Phases(trigger=TriggerPhase.LATCHING, trigger_since=NOW, candidate=TriggerSlot(0, 1, 1, 1))
    hs = replace(in_session(phases), last_seq=0)
    hs, notices = read(hs, reading(TriggerSlot(0, 1, 1, 1), trigger=True), CONTRACT)
    assert hs.phases.trigger is TriggerPhase.HELD
    assert [type(notice).__name__ for notice in notices] == []
