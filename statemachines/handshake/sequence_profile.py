"""The sequence profile: parts are announced by a number that counts on, in a ring of slots."""

from __future__ import annotations

from dataclasses import replace

from statemachines.checkword import trigger_check
from statemachines.events import PlcRead
from statemachines.handshake.session import (
    Reply,
    Sign,
    classify_clock,
    is_behind,
    perform,
    reopen,
    session_table,
    stay,
    triggered_at,
)
from statemachines.handshake.state import (
    Announced,
    Contract,
    Handshake,
    Link,
    MissedTriggers,
    Notice,
    SessionAcknowledged,
)
from statemachines.sequence import back, distance, following
from statemachines.vocabulary import TriggerSlot


def read(hs: Handshake, event: PlcRead, contract: Contract) -> Reply:
    """Take one read of the PLC's tags."""
    return perform(TABLE, *classify(hs, event, contract), event, contract)


def wanted(hs: Handshake, contract: Contract) -> tuple[int, ...]:
    """Sequence numbers whose trigger slots the next read should bring along."""
    if hs.link is not Link.IN_SESSION:
        return ()
    if hs.torn_reads:
        return _readable(hs, hs.seen_seq, contract)
    return (following(hs.last_seq, contract.modulus),)


def classify(hs: Handshake, event: PlcRead, contract: Contract) -> tuple[Handshake, Sign]:
    """What this read means, and the handshake with the read's plain facts taken in."""
    head = event.head
    hs, sign = classify_clock(hs, event, contract)
    if sign is not None:
        return hs, sign
    if head.session_ack != hs.session_id:
        return hs, Sign.SESSION_OLD
    if hs.link is Link.OPENING:
        return hs, Sign.QUIET
    if head.plc_epoch != hs.plc_epoch:
        return hs, Sign.EPOCH_CHANGED
    return _classify_trigger(hs, event, contract)


def _classify_trigger(hs: Handshake, event: PlcRead, contract: Contract) -> tuple[Handshake, Sign]:
    seq = event.head.trigger_seq
    if seq == hs.last_seq:
        return replace(hs, torn_reads=0, backwards=False), Sign.QUIET
    if is_behind(seq, hs.last_seq, contract):
        return replace(hs, backwards=True), Sign.BACKWARDS if hs.backwards else Sign.BACKWARDS_ONCE
    hs = replace(hs, seen_seq=seq, backwards=False)
    missing = [n for n in _readable(hs, seq, contract) if _find(event, n) is None]
    if missing and hs.torn_reads < contract.torn_reads:
        return replace(hs, torn_reads=hs.torn_reads + 1), Sign.TORN
    return replace(hs, torn_reads=0), Sign.TRIGGERED


def _readable(hs: Handshake, seq: int, contract: Contract) -> tuple[int, ...]:
    """The new numbers up to `seq` whose slots cannot have been overwritten yet, oldest first."""
    count = min(distance(hs.last_seq, seq, contract.modulus), contract.usable)
    return tuple(back(seq, steps, contract.modulus) for steps in reversed(range(count)))


def _find(event: PlcRead, seq: int) -> TriggerSlot | None:
    """The slot that holds this number, whole."""
    for slot in event.slots:
        if slot.seq == seq and slot.check == trigger_check(
            slot.seq, slot.part_id, slot.trig_clock_ms, slot.recipe_id, slot.encoder_pos
        ):
            return slot
    return None


def _acknowledge(hs: Handshake, event: PlcRead, _contract: Contract) -> Reply:
    head = event.head
    hs = replace(hs, last_seq=head.trigger_seq, seen_seq=head.trigger_seq, plc_epoch=head.plc_epoch)
    return hs, (SessionAcknowledged(hs.session_id, head.trigger_seq),)


def _announce(hs: Handshake, event: PlcRead, contract: Contract) -> Reply:
    seq = event.head.trigger_seq
    ahead = distance(hs.last_seq, seq, contract.modulus)
    notices: list[Notice] = []
    if ahead > contract.usable:
        first = following(hs.last_seq, contract.modulus)
        notices.append(MissedTriggers(first, ahead - contract.usable, "overwritten before they were read"))
    for number in _readable(hs, seq, contract):
        slot = _find(event, number)
        if slot is None:
            notices.append(MissedTriggers(number, 1, "the trigger slot stayed unreadable"))
        else:
            notices.append(Announced(slot, triggered_at(event, slot), newest=number == seq))
    return replace(hs, last_seq=seq), tuple(notices)


TABLE = session_table(
    "TriggerSeq",
    _acknowledge,
    {
        Sign.SESSION_OLD: (Link.OPENING, reopen("the PLC no longer acknowledges the session")),
        Sign.TORN: (Link.IN_SESSION, stay),
        Sign.TRIGGERED: (Link.IN_SESSION, _announce),
        Sign.QUIET: (Link.IN_SESSION, stay),
    },
)
"""The session; while it is open its triggers are announced."""
