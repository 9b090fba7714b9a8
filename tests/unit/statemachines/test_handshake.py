"""The sequence profile, rule by rule, on values."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statemachines.checkword import trigger_check
from statemachines.events import LinkUp, PlcRead
from statemachines.handshake.sequence_profile import TABLE, read, wanted
from statemachines.handshake.session import Sign, triggered_at
from statemachines.handshake.state import (
    Announced,
    Contract,
    Handshake,
    Link,
    MissedTriggers,
    SessionAcknowledged,
    SessionEnded,
    SessionOpened,
    connected,
)
from statemachines.sequence import back, distance, following, slot_of
from statemachines.vocabulary import MS, Ns, PlcHead, Reason, TriggerSlot

CONTRACT = Contract(depth=8, modulus=32, torn_reads=2)
NOW = Ns(10_000 * MS)
IN_SESSION = Handshake(Link.IN_SESSION, session_id=5, plc_epoch=3, last_seq=4, clock_ms=100, clock_moved_at=NOW)


def head(**changes: int | bool) -> PlcHead:
    plain = PlcHead(101, 5, True, 4, 3, 3, False, 0, 0)
    return replace(plain, **changes)  # type: ignore[arg-type]


def slot(seq: int, part_id: int = 4711, clock_ms: int = 100) -> TriggerSlot:
    return TriggerSlot(seq, part_id, clock_ms, 1, trigger_check(seq, part_id, clock_ms, 1, 0))


def reading(plc: PlcHead, *slots: TriggerSlot, at: int = NOW) -> PlcRead:
    return PlcRead(Ns(at), Ns(at - MS), plc, slots, next_session_id=6)


def test_enable_opens_a_new_session_and_its_echo_makes_the_baseline() -> None:
    hs = connected(Handshake(session_id=5), LinkUp(NOW))
    hs, notices = read(hs, reading(head(enable=False)), CONTRACT)
    assert (hs.link, notices) == (Link.WAITING, ())
    hs, notices = read(hs, reading(head(session_ack=5, trigger_seq=9)), CONTRACT)
    assert (hs.link, hs.session_id) == (Link.OPENING, 6)
    assert notices == (SessionOpened(6, "Enable is 1"),)
    hs, notices = read(hs, reading(head(session_ack=5, trigger_seq=9)), CONTRACT)
    assert (hs.link, notices) == (Link.OPENING, ())
    hs, notices = read(hs, reading(head(session_ack=6, trigger_seq=9)), CONTRACT)
    assert (hs.link, notices) == (Link.IN_SESSION, (SessionAcknowledged(6, 9),))
    hs, notices = read(hs, reading(head(session_ack=6, trigger_seq=9)), CONTRACT)
    assert notices == (), "nothing is replayed"


def test_the_next_slot_is_read_along() -> None:
    assert wanted(IN_SESSION, CONTRACT) == (5,)
    assert wanted(replace(IN_SESSION, last_seq=32), CONTRACT) == (1,)
    assert wanted(replace(IN_SESSION, link=Link.OPENING), CONTRACT) == ()


def test_a_trigger_is_announced_once() -> None:
    event = reading(head(trigger_seq=5), slot(5))
    hs, notices = read(IN_SESSION, event, CONTRACT)
    assert notices == (Announced(slot(5), triggered_at(event, slot(5)), newest=True),)
    hs, notices = read(hs, event, CONTRACT)
    assert notices == ()


def test_several_triggers_in_one_read_are_all_announced_and_only_the_last_is_newest() -> None:
    event = reading(head(trigger_seq=7), slot(5, 1), slot(6, 2), slot(7, 3))
    _, notices = read(IN_SESSION, event, CONTRACT)
    assert [(n.slot.part_id, n.newest) for n in notices if isinstance(n, Announced)] == [
        (1, False),
        (2, False),
        (3, True),
    ]


def test_a_jump_asks_for_the_slots_it_needs() -> None:
    hs, notices = read(IN_SESSION, reading(head(trigger_seq=7), slot(5)), CONTRACT)
    assert notices == ()
    assert wanted(hs, CONTRACT) == (5, 6, 7)


def test_a_jump_of_the_ring_or_more_is_missed_triggers() -> None:
    seq = 4 + 9
    slots = [slot(n) for n in range(7, seq + 1)]
    _, notices = read(IN_SESSION, reading(head(trigger_seq=seq), *slots), CONTRACT)
    assert notices[0] == MissedTriggers(5, 2, "overwritten before they were read")
    assert [n.slot.seq for n in notices if isinstance(n, Announced)] == list(range(7, 14))


@pytest.mark.parametrize(
    "torn",
    [slot(13), replace(slot(5), part_id=4712), replace(slot(5), check=0)],
    ids=["still the old part", "part id half written", "check not yet written"],
)
def test_a_torn_slot_waits_for_the_next_read_and_is_missed_if_it_stays(torn: TriggerSlot) -> None:
    event = reading(head(trigger_seq=5), torn)
    hs = IN_SESSION
    for _ in range(CONTRACT.torn_reads):
        hs, notices = read(hs, event, CONTRACT)
        assert notices == ()
        assert wanted(hs, CONTRACT) == (5,)
    mended, notices = read(hs, reading(head(trigger_seq=5), slot(5)), CONTRACT)
    assert isinstance(notices[0], Announced)
    hs, notices = read(hs, event, CONTRACT)
    assert notices == (MissedTriggers(5, 1, "the trigger slot stayed unreadable"),)
    assert hs.last_seq == mended.last_seq == 5


def test_backwards_needs_a_second_read() -> None:
    event = reading(head(trigger_seq=2))
    hs, notices = read(IN_SESSION, event, CONTRACT)
    assert notices == ()
    again, notices = read(hs, event, CONTRACT)
    assert again.link is Link.OPENING
    assert isinstance(notices[0], SessionEnded)
    hs, notices = read(hs, reading(head()), CONTRACT)
    assert notices == ()
    assert not hs.backwards, "one odd read is forgotten"


@pytest.mark.parametrize("seq", [-1, 0, 33])
def test_a_number_that_cannot_be_is_treated_as_backwards(seq: int) -> None:
    hs, _ = read(IN_SESSION, reading(head(trigger_seq=seq)), CONTRACT)
    hs, notices = read(hs, reading(head(trigger_seq=seq)), CONTRACT)
    assert isinstance(notices[0], SessionEnded)


def test_the_plcs_clock_must_move() -> None:
    still = head(clock_ms=100)
    hs, _ = read(IN_SESSION, reading(still, at=NOW + 499 * MS), CONTRACT)
    assert hs.link is Link.IN_SESSION
    hs, notices = read(hs, reading(replace(still, trigger_seq=5), slot(5), at=NOW + 500 * MS), CONTRACT)
    assert (hs.link, notices) == (Link.PLC_LOST, ())
    hs, notices = read(hs, reading(head(clock_ms=101), at=NOW + 600 * MS), CONTRACT)
    assert hs.link is Link.OPENING
    assert [type(n) for n in notices] == [SessionEnded, SessionOpened]


def test_disable_ends_the_session() -> None:
    hs, notices = read(IN_SESSION, reading(head(enable=False)), CONTRACT)
    assert (hs.link, notices) == (Link.WAITING, (SessionEnded(Reason.DISABLED, "Enable went to 0"),))


@pytest.mark.parametrize("changes", [{"plc_epoch": 4}, {"session_ack": 0}, {"session_ack": 4}])
def test_a_restarted_plc_gets_a_new_session(changes: dict[str, int]) -> None:
    event = reading(head(trigger_seq=5, **changes), slot(5))
    hs, notices = read(IN_SESSION, event, CONTRACT)
    assert (hs.link, hs.session_id) == (Link.OPENING, 6)
    assert isinstance(notices[0], SessionEnded)
    assert not any(isinstance(n, Announced) for n in notices)


@pytest.mark.parametrize(
    ("clock_ms", "trig_ms", "age_ms"),
    [(130, 100, 31), (100, 100, 1), (99, 100, 1), (-(2**31) + 5, 2**31 - 5, 11)],
    ids=["30 ms old", "same scan", "stamped after the clock", "clock wrapped"],
)
def test_age_comes_from_the_plcs_own_clock(clock_ms: int, trig_ms: int, age_ms: int) -> None:
    event = reading(head(clock_ms=clock_ms))
    assert triggered_at(event, slot(5, clock_ms=trig_ms)) == event.sent_at - age_ms * MS


def test_every_online_stage_knows_what_a_lost_or_disabled_plc_means() -> None:
    for link in Link:
        if link is not Link.OFFLINE:
            assert (link, Sign.CLOCK_STOPPED) in TABLE
            assert (link, Sign.DISABLED) in TABLE


@given(st.integers(1, 16), st.integers(0, 15))
def test_sequence_arithmetic_wraps(seq: int, steps: int) -> None:
    ahead = seq
    for _ in range(steps):
        ahead = following(ahead, 16)
    assert distance(seq, ahead, 16) == steps
    assert back(ahead, steps, 16) == seq
    assert 1 <= ahead <= 16
    assert slot_of(ahead, 8) == (ahead - 1) % 8
