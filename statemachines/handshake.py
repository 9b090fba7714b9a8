"""The PLC contract, station side, sequence profile: from reads of the PLC's tags to triggers, as a table.

A read is first classified into one `Sign`; the table `(Link, Sign) -> (Link, effect)` says what it means. The
four-phase profile will be a second table beside this one with the same notices; nothing else needs to know which is in
use.
Rules and their numbers: docs/plc-contract.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum

from statemachines.checkword import trigger_check
from statemachines.errors import IllegalEvent
from statemachines.sequence import back, distance, following
from statemachines.vocabulary import MS, LinkUp, Ns, PlcRead, Reason, TriggerSlot


class Link(Enum):
    """How far the handshake with the PLC has come."""

    OFFLINE = "offline"
    WAITING = "waiting for Enable"
    OPENING = "opening a session"
    IN_SESSION = "in session"
    PLC_LOST = "PLC clock stands still"


class Sign(Enum):
    """What one read of the PLC's tags means; the first that holds, in this order, counts."""

    CLOCK_STOPPED = "clock unchanged for too long"
    DISABLED = "Enable is 0"
    SESSION_OLD = "SessionAck is not our session"
    EPOCH_CHANGED = "the PLC was restarted"
    BACKWARDS_ONCE = "TriggerSeq went backwards, to be confirmed"
    BACKWARDS = "TriggerSeq went backwards, confirmed"
    TORN = "a trigger is announced, its slot is not whole yet"
    TRIGGERED = "one or more new triggers"
    QUIET = "nothing new"


@dataclass(frozen=True, slots=True)
class Contract:
    """What both sides agreed on. torn_reads: reads that a slot may stay unreadable before its part counts as missed."""

    depth: int = 8
    modulus: int = 2**30
    plc_lost_ns: int = 500 * MS
    torn_reads: int = 5
    version: int = 1

    @property
    def usable(self) -> int:
        """Triggers that may lie between two reads; the slot of the next one may be half written."""
        return self.depth - 1


@dataclass(frozen=True, slots=True)
class Handshake:
    """What the station knows of its conversation with the PLC."""

    link: Link = Link.OFFLINE
    session_id: int = 0
    plc_epoch: int = 0
    last_seq: int = 0
    seen_seq: int = 0
    clock_ms: int | None = None
    clock_moved_at: Ns = Ns(0)
    torn_reads: int = 0
    backwards: bool = False


@dataclass(frozen=True, slots=True)
class SessionOpened:
    """A new SessionId is on its way to the PLC. Nothing of an earlier session may be answered any more."""

    session_id: int
    why: str


@dataclass(frozen=True, slots=True)
class SessionAcknowledged:
    """The PLC cleared its rings; baseline is the TriggerSeq that counts as already seen."""

    session_id: int
    baseline: int


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """Parts in flight must not be answered any more; reason is DISABLED or LOST."""

    reason: Reason
    why: str


@dataclass(frozen=True, slots=True)
class Announced:
    """The PLC announced a part. newest: no later trigger was seen in the same read."""

    slot: TriggerSlot
    triggered_at: Ns
    newest: bool


@dataclass(frozen=True, slots=True)
class MissedTriggers:
    """Triggers that were never read: no part id is known, nothing is answered."""

    first: int
    count: int
    why: str


Notice = SessionOpened | SessionAcknowledged | SessionEnded | Announced | MissedTriggers
Reply = tuple[Handshake, tuple[Notice, ...]]
Effect = Callable[[Handshake, PlcRead, Contract], Reply]


def connected(hs: Handshake, event: LinkUp) -> Handshake:
    """The link is up; nothing is known of the PLC yet."""
    return Handshake(link=Link.WAITING, session_id=hs.session_id, clock_moved_at=event.at)


def disconnected(hs: Handshake) -> Handshake:
    """The link is gone."""
    return Handshake(link=Link.OFFLINE, session_id=hs.session_id)


def read(hs: Handshake, event: PlcRead, contract: Contract) -> Reply:
    """Take one read of the PLC's tags."""
    hs, sign = classify(hs, event, contract)
    row = TABLE.get((hs.link, sign))
    if row is None:
        raise IllegalEvent(f"PLC read while {hs.link.value}: {sign.value}")
    target, effect = row
    hs, notices = effect(hs, event, contract)
    return replace(hs, link=target), notices


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
    if head.clock_ms != hs.clock_ms:
        hs = replace(hs, clock_ms=head.clock_ms, clock_moved_at=event.at)
    if event.at - hs.clock_moved_at >= contract.plc_lost_ns:
        return hs, Sign.CLOCK_STOPPED
    if not head.enable:
        return hs, Sign.DISABLED
    if hs.link is Link.PLC_LOST or hs.link is Link.WAITING:
        return hs, Sign.QUIET
    if head.session_ack != hs.session_id:
        return hs, Sign.SESSION_OLD
    if hs.link is Link.OPENING:
        return hs, Sign.QUIET
    if head.plc_epoch != hs.plc_epoch:
        return hs, Sign.EPOCH_CHANGED
    return _classify_trigger(hs, event, contract)


def _classify_trigger(hs: Handshake, event: PlcRead, contract: Contract) -> tuple[Handshake, Sign]:
    seq = event.head.trigger_seq
    ahead = distance(hs.last_seq, seq, contract.modulus)
    if seq == hs.last_seq:
        return replace(hs, torn_reads=0, backwards=False), Sign.QUIET
    if not 1 <= seq <= contract.modulus or ahead > contract.modulus // 2:
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


def triggered_at(event: PlcRead, slot: TriggerSlot) -> Ns:
    """The earliest time at which the PLC can have triggered this part.

    Age = PlcClockMs - TrigClockMs, read together, plus the millisecond that both are rounded by, before the request was
    sent. A trigger stamped after the clock was copied (same scan) has age 0; one from another world is as old as a DINT
    allows, hence late.
    """
    age_ms = (event.head.clock_ms - slot.trig_clock_ms) & 0xFFFFFFFF
    if age_ms >= 0xFFFFFFFF - 1000:
        age_ms = 0
    return Ns(event.sent_at - (age_ms + 1) * MS)


# --- effects --------------------------------------------------------------------------------------------------


def _stay(hs: Handshake, _event: PlcRead, _contract: Contract) -> Reply:
    return hs, ()


def _open(hs: Handshake, event: PlcRead, _contract: Contract, why: str = "Enable is 1") -> Reply:
    fresh = Handshake(
        session_id=event.next_session_id,
        plc_epoch=event.head.plc_epoch,
        clock_ms=hs.clock_ms,
        clock_moved_at=hs.clock_moved_at,
    )
    return fresh, (SessionOpened(fresh.session_id, why),)


def _reopen(why: str) -> Effect:
    def effect(hs: Handshake, event: PlcRead, contract: Contract) -> Reply:
        fresh, notices = _open(hs, event, contract, why)
        return fresh, (SessionEnded(Reason.LOST, why), *notices)

    return effect


def _acknowledge(hs: Handshake, event: PlcRead, _contract: Contract) -> Reply:
    head = event.head
    hs = replace(hs, last_seq=head.trigger_seq, seen_seq=head.trigger_seq, plc_epoch=head.plc_epoch)
    return hs, (SessionAcknowledged(hs.session_id, head.trigger_seq),)


def _disable(hs: Handshake, _event: PlcRead, _contract: Contract) -> Reply:
    return hs, (SessionEnded(Reason.DISABLED, "Enable went to 0"),)


def _lose(hs: Handshake, _event: PlcRead, _contract: Contract) -> Reply:
    """The PLC's clock stands still: no new parts, what is in flight may still be delivered until its deadline."""
    return hs, ()


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


# --- the table ------------------------------------------------------------------------------------------------

TABLE: dict[tuple[Link, Sign], tuple[Link, Effect]] = {
    (Link.WAITING, Sign.CLOCK_STOPPED): (Link.PLC_LOST, _lose),
    (Link.WAITING, Sign.DISABLED): (Link.WAITING, _stay),
    (Link.WAITING, Sign.QUIET): (Link.OPENING, _open),
    (Link.OPENING, Sign.CLOCK_STOPPED): (Link.PLC_LOST, _lose),
    (Link.OPENING, Sign.DISABLED): (Link.WAITING, _disable),
    (Link.OPENING, Sign.SESSION_OLD): (Link.OPENING, _stay),
    (Link.OPENING, Sign.QUIET): (Link.IN_SESSION, _acknowledge),
    (Link.IN_SESSION, Sign.CLOCK_STOPPED): (Link.PLC_LOST, _lose),
    (Link.IN_SESSION, Sign.DISABLED): (Link.WAITING, _disable),
    (Link.IN_SESSION, Sign.SESSION_OLD): (Link.OPENING, _reopen("the PLC no longer acknowledges the session")),
    (Link.IN_SESSION, Sign.EPOCH_CHANGED): (Link.OPENING, _reopen("the PLC was restarted")),
    (Link.IN_SESSION, Sign.BACKWARDS_ONCE): (Link.IN_SESSION, _stay),
    (Link.IN_SESSION, Sign.BACKWARDS): (Link.OPENING, _reopen("TriggerSeq went backwards")),
    (Link.IN_SESSION, Sign.TORN): (Link.IN_SESSION, _stay),
    (Link.IN_SESSION, Sign.TRIGGERED): (Link.IN_SESSION, _announce),
    (Link.IN_SESSION, Sign.QUIET): (Link.IN_SESSION, _stay),
    (Link.PLC_LOST, Sign.CLOCK_STOPPED): (Link.PLC_LOST, _stay),
    (Link.PLC_LOST, Sign.DISABLED): (Link.WAITING, _disable),
    (Link.PLC_LOST, Sign.QUIET): (Link.OPENING, _reopen("the PLC's clock stood still")),
}
"""Every sign that can occur in each stage, where it leads, and what it does. OFFLINE takes no reads."""
