"""The session with the PLC, alike in both profiles: clock, Enable, a restarted PLC, each with its row in the table.

A read is first classified into one `Sign`; the table `(Link, Sign) -> (Link, effect)` says what it means.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import Enum

from statemachines.errors import IllegalEvent
from statemachines.events import PlcRead
from statemachines.handshake.state import Contract, Handshake, Link, Notice, SessionEnded, SessionOpened
from statemachines.sequence import distance
from statemachines.vocabulary import MS, Ns, Reason, TriggerSlot


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


Reply = tuple[Handshake, tuple[Notice, ...]]
Effect = Callable[[Handshake, PlcRead, Contract], Reply]
Table = dict[tuple[Link, Sign], tuple[Link, Effect]]


def perform(table: Table, hs: Handshake, sign: Sign, event: PlcRead, contract: Contract) -> Reply:
    """Do what the row of this sign says."""
    row = table.get((hs.link, sign))
    if row is None:
        raise IllegalEvent(f"PLC read while {hs.link.value}: {sign.value}")
    target, effect = row
    hs, notices = effect(hs, event, contract)
    return replace(hs, link=target), notices


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


def disable(hs: Handshake, _event: PlcRead, _contract: Contract) -> Reply:
    """The PLC wants no more answers."""
    hs = replace(hs, phases=hs.phases.of_next_session())
    return hs, (SessionEnded(Reason.DISABLED, "Enable went to 0"),)


def lose(hs: Handshake, _event: PlcRead, _contract: Contract) -> Reply:
    """The PLC's clock stands still: no new parts, what is in flight may still be delivered until its deadline."""
    return hs, ()


def session_table(number: str, baseline: Effect, own: Mapping[Sign, tuple[Link, Effect]]) -> Table:
    """Every sign that can occur in each stage, where it leads, and what it does. OFFLINE takes no reads.

    number: the tag that counts the parts. baseline: takes what it shows at the session's begin as already seen. own:
    the profile's rows for an open session.
    """
    return {
        (Link.WAITING, Sign.CLOCK_STOPPED): (Link.PLC_LOST, lose),
        (Link.WAITING, Sign.DISABLED): (Link.WAITING, stay),
        (Link.WAITING, Sign.QUIET): (Link.OPENING, open_session),
        (Link.OPENING, Sign.CLOCK_STOPPED): (Link.PLC_LOST, lose),
        (Link.OPENING, Sign.DISABLED): (Link.WAITING, disable),
        (Link.OPENING, Sign.SESSION_OLD): (Link.OPENING, stay),
        (Link.OPENING, Sign.QUIET): (Link.IN_SESSION, baseline),
        (Link.IN_SESSION, Sign.CLOCK_STOPPED): (Link.PLC_LOST, lose),
        (Link.IN_SESSION, Sign.DISABLED): (Link.WAITING, disable),
        (Link.IN_SESSION, Sign.EPOCH_CHANGED): (Link.OPENING, reopen("the PLC was restarted")),
        (Link.IN_SESSION, Sign.BACKWARDS_ONCE): (Link.IN_SESSION, stay),
        (Link.IN_SESSION, Sign.BACKWARDS): (Link.OPENING, reopen(f"{number} went backwards")),
        **{(Link.IN_SESSION, sign): row for sign, row in own.items()},
        (Link.PLC_LOST, Sign.CLOCK_STOPPED): (Link.PLC_LOST, stay),
        (Link.PLC_LOST, Sign.DISABLED): (Link.WAITING, disable),
        (Link.PLC_LOST, Sign.QUIET): (Link.OPENING, reopen("the PLC's clock stood still")),
    }
