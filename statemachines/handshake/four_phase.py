"""The four-phase profile: part and answer change hands by acknowledged edges, one after the other.

The session's table is that of both profiles. While it is open each of the two handshakes has a table of its own:
Trigger → TriggerAck → 0 → 0 (`triggers`), and ResultValid → ResultAck → 0 → 0 (`results`). Edges count, never levels,
and every phase in which the PLC must do something has a time-out.
"""

from __future__ import annotations

from dataclasses import replace

from statemachines.events import PlcRead
from statemachines.handshake.phases import TriggerPhase
from statemachines.handshake.results import step_result
from statemachines.handshake.session import Reply, Sign, classify_clock, is_behind, perform, session_table
from statemachines.handshake.state import Contract, Handshake, Link, SessionAcknowledged
from statemachines.handshake.triggers import count_refused, step_trigger
from statemachines.vocabulary import Ns


def read(hs: Handshake, event: PlcRead, contract: Contract) -> Reply:
    """Take one read of the PLC's tags."""
    return perform(TABLE, *classify(hs, event, contract), event, contract)


def wanted(hs: Handshake) -> tuple[int, ...]:
    """TriggerId and its fields come along with every read: also the first one of a session needs them."""
    return () if hs.link is Link.OFFLINE else (1,)


def told(hs: Handshake, session_id: int, at: Ns) -> Handshake:
    """The PLC can see the new session; what it does from now on belongs there."""
    if session_id != hs.session_id or hs.link is not Link.OPENING:
        return hs
    return replace(hs, phases=replace(hs.phases, told_at=at))


def classify(hs: Handshake, event: PlcRead, contract: Contract) -> tuple[Handshake, Sign]:
    """What this read means for the session, and the handshake with the read's plain facts taken in."""
    hs, sign = classify_clock(hs, event, contract)
    if sign is not None:
        return hs, sign
    slot = event.slots[0] if event.slots else None
    if hs.link is Link.OPENING:
        # A trigger on the last session's Ready must lie below the baseline. Beside Trigger 1 the baseline must be
        # certain: it says which trigger is not taken.
        told_at = hs.phases.told_at
        if told_at is None or event.sent_at < told_at or slot is None:
            return hs, Sign.SESSION_OLD
        if event.head.trigger and slot != hs.phases.candidate:
            return replace(hs, phases=replace(hs.phases, candidate=slot)), Sign.SESSION_OLD
        return hs, Sign.QUIET
    if event.head.plc_epoch != hs.plc_epoch:
        return hs, Sign.EPOCH_CHANGED
    if slot is not None and slot.seq != hs.last_seq and is_behind(slot.seq, hs.last_seq, contract):
        return replace(hs, backwards=True), Sign.BACKWARDS if hs.backwards else Sign.BACKWARDS_ONCE
    return replace(hs, backwards=False), Sign.QUIET


def _baseline(hs: Handshake, event: PlcRead, _contract: Contract) -> Reply:
    """The TriggerId that stands there counts as already seen: nothing is replayed."""
    seq, phases = event.slots[0].seq, hs.phases
    trigger = TriggerPhase.HELD if event.head.trigger else TriggerPhase.WAITING
    phases = replace(phases, trigger=trigger, trigger_since=event.at, result_since=event.at, candidate=None)
    hs = replace(hs, last_seq=seq, plc_epoch=event.head.plc_epoch, phases=phases)
    opened = SessionAcknowledged(hs.session_id, seq)
    if not event.head.trigger:
        return hs, (opened,)
    hs, notices = count_refused(hs, seq, "Trigger was 1 before the station was Ready")
    return hs, (opened, *notices)


def _exchange(hs: Handshake, event: PlcRead, contract: Contract) -> Reply:
    """Take both handshakes one step further."""
    hs, notices = step_result(hs, event, contract)
    if not event.slots:
        return hs, notices
    hs, more = step_trigger(hs, event, event.slots[0], contract)
    return hs, (*notices, *more)


TABLE = session_table("TriggerId", _baseline, {Sign.QUIET: (Link.IN_SESSION, _exchange)})
"""The session; while it is open both handshakes go on with every read."""
