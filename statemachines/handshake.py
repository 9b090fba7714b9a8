"""The PLC contract, station side, sequence profile: from reads of the PLC's tags to triggers, as a table.

A read is first classified into one `Sign`; the table `(Link, Sign) -> (Link, effect)` says what it means. The
four-phase profile has tables of its own with the same notices (`four_phase.py`).
Rules and their numbers: docs/plc-contract.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Literal

from statemachines.checkword import trigger_check
from statemachines.errors import IllegalEvent
from statemachines.phases import Phases
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
    SESSION_OLD = "the PLC does not know our session"
    EPOCH_CHANGED = "the PLC was restarted"
    BACKWARDS_ONCE = "TriggerSeq went backwards, to be confirmed"
    BACKWARDS = "TriggerSeq went backwards, confirmed"
    TORN = "a trigger is announced, its slot is not whole yet"
    TRIGGERED = "one or more new triggers"
    QUIET = "nothing new"


@dataclass(frozen=True, slots=True)
class Contract:
    """What both sides agreed on.

    depth: slots of the rings; in the four-phase profile, results that may wait. torn_reads: reads that a slot may stay
    unreadable before its part counts as missed. phase_ns: how long the PLC may take for one step of the four-phase
    handshake.
    """

    depth: int = 8
    modulus: int = 2**30
    plc_lost_ns: int = 500 * MS
    torn_reads: int = 5
    version: int = 1
    profile: Literal["sequence", "four-phase"] = "sequence"
    phase_ns: int = 1000 * MS

    @property
    def four_phase(self) -> bool:
        """Part and answer change hands by acknowledged edges, one after the other."""
        return self.profile == "four-phase"

    @property
    def usable(self) -> int:
        """Triggers that may lie between two reads; the slot of the next one may be half written."""
        return self.depth - 1


@dataclass(frozen=True, slots=True)
class Handshake:
    """What the station knows of its conversation with the PLC. phases: of the four-phase profile only."""

    link: Link = Link.OFFLINE
    session_id: int = 0
    plc_epoch: int = 0
    last_seq: int = 0
    seen_seq: int = 0
    clock_ms: int | None = None
    clock_moved_at: Ns = Ns(0)
    torn_reads: int = 0
    backwards: bool = False
    phases: Phases = Phases()


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


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """Trigger fell before TriggerAck: it is a pulse, and pulses can be missed. taken: the part was read in time."""

    seq: int
    taken: bool


@dataclass(frozen=True, slots=True)
class PhaseOverdue:
    """The PLC did not do its step of the handshake in time. unread: it never acknowledged the result shown."""

    why: str
    unread: bool = False


Notice = SessionOpened | SessionAcknowledged | SessionEnded | Announced | MissedTriggers | Withdrawn | PhaseOverdue
Reply = tuple[Handshake, tuple[Notice, ...]]
Effect = Callable[[Handshake, PlcRead, Contract], Reply]
Table = dict[tuple[Link, Sign], tuple[Link, Effect]]


def connected(hs: Handshake, event: LinkUp) -> Handshake:
    """The link is up; nothing is known of the PLC yet."""
    phases = hs.phases.of_next_session()
    return Handshake(link=Link.WAITING, session_id=hs.session_id, clock_moved_at=event.at, phases=phases)


def disconnected(hs: Handshake) -> Handshake:
    """The link is gone."""
    return Handshake(link=Link.OFFLINE, session_id=hs.session_id, phases=hs.phases.of_next_session())


def read(hs: Handshake, event: PlcRead, contract: Contract) -> Reply:
    """Take one read of the PLC's tags."""
    return perform(TABLE, *classify(hs, event, contract), event, contract)


def perform(table: Table, hs: Handshake, sign: Sign, event: PlcRead, contract: Contract) -> Reply:
    """Do what the row of this sign says."""
    row = table.get((hs.link, sign))
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


def classify_clock(hs: Handshake, event: PlcRead, contract: Contract) -> tuple[Handshake, Sign | None]:
    """What clock and Enable mean; no sign where a session is open or opening and they have nothing against it."""
    head = event.head
    if head.clock_ms != hs.clock_ms:
        hs = replace(hs, clock_ms=head.clock_ms, clock_moved_at=event.at)
    if event.at - hs.clock_moved_at >= contract.plc_lost_ns:
        return hs, Sign.CLOCK_STOPPED
    if not head.enable:
        return hs, Sign.DISABLED
    return hs, Sign.QUIET if hs.link in (Link.PLC_LOST, Link.WAITING) else None


def is_behind(seq: int, last_seq: int, contract: Contract) -> bool:
    """A number that cannot follow: outside of the range, or more than half of it ahead."""
    return not 1 <= seq <= contract.modulus or distance(last_seq, seq, contract.modulus) > contract.modulus // 2


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


def stay(hs: Handshake, _event: PlcRead, _contract: Contract) -> Reply:
    """Nothing follows from it."""
    return hs, ()


def open_session(hs: Handshake, event: PlcRead, _contract: Contract, why: str = "Enable is 1") -> Reply:
    """Begin anew under the number that the shell prepared."""
    fresh = Handshake(
        session_id=event.next_session_id,
        plc_epoch=event.head.plc_epoch,
        clock_ms=hs.clock_ms,
        clock_moved_at=hs.clock_moved_at,
        phases=hs.phases.of_next_session(),
    )
    return fresh, (SessionOpened(fresh.session_id, why),)


def reopen(why: str) -> Effect:
    """End the session for this cause and open the next."""

    def effect(hs: Handshake, event: PlcRead, contract: Contract) -> Reply:
        fresh, notices = open_session(hs, event, contract, why)
        return fresh, (SessionEnded(Reason.LOST, why), *notices)

    return effect


def _acknowledge(hs: Handshake, event: PlcRead, _contract: Contract) -> Reply:
    head = event.head
    hs = replace(hs, last_seq=head.trigger_seq, seen_seq=head.trigger_seq, plc_epoch=head.plc_epoch)
    return hs, (SessionAcknowledged(hs.session_id, head.trigger_seq),)


def disable(hs: Handshake, _event: PlcRead, _contract: Contract) -> Reply:
    """The PLC wants no more answers."""
    hs = replace(hs, phases=hs.phases.of_next_session())
    return hs, (SessionEnded(Reason.DISABLED, "Enable went to 0"),)


def lose(hs: Handshake, _event: PlcRead, _contract: Contract) -> Reply:
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

TABLE: Table = {
    (Link.WAITING, Sign.CLOCK_STOPPED): (Link.PLC_LOST, lose),
    (Link.WAITING, Sign.DISABLED): (Link.WAITING, stay),
    (Link.WAITING, Sign.QUIET): (Link.OPENING, open_session),
    (Link.OPENING, Sign.CLOCK_STOPPED): (Link.PLC_LOST, lose),
    (Link.OPENING, Sign.DISABLED): (Link.WAITING, disable),
    (Link.OPENING, Sign.SESSION_OLD): (Link.OPENING, stay),
    (Link.OPENING, Sign.QUIET): (Link.IN_SESSION, _acknowledge),
    (Link.IN_SESSION, Sign.CLOCK_STOPPED): (Link.PLC_LOST, lose),
    (Link.IN_SESSION, Sign.DISABLED): (Link.WAITING, disable),
    (Link.IN_SESSION, Sign.SESSION_OLD): (Link.OPENING, reopen("the PLC no longer acknowledges the session")),
    (Link.IN_SESSION, Sign.EPOCH_CHANGED): (Link.OPENING, reopen("the PLC was restarted")),
    (Link.IN_SESSION, Sign.BACKWARDS_ONCE): (Link.IN_SESSION, stay),
    (Link.IN_SESSION, Sign.BACKWARDS): (Link.OPENING, reopen("TriggerSeq went backwards")),
    (Link.IN_SESSION, Sign.TORN): (Link.IN_SESSION, stay),
    (Link.IN_SESSION, Sign.TRIGGERED): (Link.IN_SESSION, _announce),
    (Link.IN_SESSION, Sign.QUIET): (Link.IN_SESSION, stay),
    (Link.PLC_LOST, Sign.CLOCK_STOPPED): (Link.PLC_LOST, stay),
    (Link.PLC_LOST, Sign.DISABLED): (Link.WAITING, disable),
    (Link.PLC_LOST, Sign.QUIET): (Link.OPENING, reopen("the PLC's clock stood still")),
}
"""Every sign that can occur in each stage, where it leads, and what it does. OFFLINE takes no reads."""
