"""The PLC contract, station side, four-phase profile: from reads of the PLC's bits to triggers, as tables.

One table for the session, as in the sequence profile, and while it is open one for each of the two handshakes:
Trigger → TriggerAck → 0 → 0, and ResultValid → ResultAck → 0 → 0. Edges count, never levels, and every phase in
which the PLC must do something has a time-out. Rules: docs/plc-contract.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from enum import Enum

from statemachines.errors import IllegalEvent
from statemachines.handshake import (
    Announced,
    Contract,
    Handshake,
    Link,
    MissedTriggers,
    Notice,
    PhaseOverdue,
    Reply,
    SessionAcknowledged,
    Sign,
    Table,
    Withdrawn,
    classify_clock,
    disable,
    is_behind,
    lose,
    open_session,
    perform,
    reopen,
    stay,
    triggered_at,
)
from statemachines.phases import OWN_HANDSHAKE, Phases, ResultPhase, TriggerPhase
from statemachines.sequence import back, distance, following
from statemachines.vocabulary import Ns, PlcRead, TriggerSlot


class TriggerSign(Enum):
    """What Trigger and the fields beside it mean in one read."""

    LOW = "Trigger is 0"
    HIGH = "Trigger is 1"
    UNCERTAIN = "Trigger is 1, the fields differ from those of the read before"
    UNREADABLE = "Trigger is 1, the fields never stood still"
    NEW = "Trigger is 1 for a new TriggerId, read twice alike"
    AGAIN = "Trigger is 1 for the part taken last, not durable yet"
    AGAIN_DURABLE = "Trigger is 1 for the part taken last, durable"
    OLD = "Trigger is 1 for a TriggerId that was there before, or was refused"
    OVERDUE = "Trigger is 1 for too long"


class AckSign(Enum):
    """What ResultAck means in one read."""

    LOW = "ResultAck is 0"
    HIGH = "ResultAck is 1"
    STANDING = "ResultAck is 1 since before the result was shown"
    OVERDUE = "ResultAck does not change for too long"


TriggerEffect = Callable[[Handshake, PlcRead, TriggerSlot, Contract], Reply]


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


def committed(hs: Handshake, seq: int, at: Ns) -> Handshake:
    """The journal holds this part's trigger: TriggerIdAck may say so, and TriggerAck if Trigger still waits for it."""
    phases = hs.phases
    if seq == phases.settled:
        return hs
    phases = replace(phases, durable=seq)
    if phases.trigger is TriggerPhase.TAKEN and seq == phases.taken:
        phases = replace(phases, trigger=TriggerPhase.ACKNOWLEDGED, trigger_since=at)
    return replace(hs, phases=phases)


def refused(hs: Handshake) -> Handshake:
    """The trigger just announced is not taken: no TriggerAck, and MissedTrigger says so."""
    phases = replace(hs.phases, trigger=TriggerPhase.HELD, taken=0, settled=hs.phases.taken, missed=True)
    return replace(hs, phases=phases)


def writing(hs: Handshake) -> Handshake:
    """A result was handed to the link."""
    return replace(hs, phases=replace(hs.phases, result=ResultPhase.WRITING))


def shown(hs: Handshake, at: Ns) -> Handshake:
    """The block being written stands on the PLC. From here on a ResultAck that rises is an answer to it."""
    if hs.phases.result is not ResultPhase.WRITING:
        return hs
    phases = replace(hs.phases, result=ResultPhase.SHOWN, result_since=at, toggle=not hs.phases.toggle)
    return replace(hs, phases=phases)


def taken_back(hs: Handshake) -> Handshake:
    """The block being written is not shown to the PLC: another one takes its place."""
    if hs.phases.result is not ResultPhase.WRITING:
        return hs
    return replace(hs, phases=replace(hs.phases, result=ResultPhase.FREE))


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


def trigger_sign(hs: Handshake, event: PlcRead, slot: TriggerSlot, contract: Contract) -> TriggerSign:
    """What Trigger means at this point of its handshake."""
    phases = hs.phases
    if not event.head.trigger:
        return TriggerSign.LOW
    if phases.trigger in OWN_HANDSHAKE and event.at - phases.trigger_since >= contract.phase_ns:
        return TriggerSign.OVERDUE
    if phases.trigger in OWN_HANDSHAKE or phases.trigger is TriggerPhase.HELD:
        return TriggerSign.HIGH
    # OPC UA leaves the order inside a read undefined, and there is no check word. Two reads that show the same fields
    # prove that they stood like this in between, when Trigger was 1 already.
    if slot != phases.candidate:
        return TriggerSign.UNCERTAIN if hs.torn_reads < contract.torn_reads else TriggerSign.UNREADABLE
    if slot.seq != hs.last_seq:
        return TriggerSign.NEW
    if slot.seq != phases.taken or slot.seq == 0:
        return TriggerSign.OLD
    return TriggerSign.AGAIN_DURABLE if slot.seq == phases.durable else TriggerSign.AGAIN


def ack_sign(phases: Phases, event: PlcRead, contract: Contract) -> AckSign:
    """What ResultAck means at this point of the result's handshake."""
    overdue = event.at - phases.result_since >= contract.phase_ns
    if not event.head.result_ack:
        return AckSign.OVERDUE if overdue and phases.result is ResultPhase.SHOWN else AckSign.LOW
    if phases.result is ResultPhase.SHOWN and phases.early:
        return AckSign.OVERDUE if overdue else AckSign.STANDING
    return AckSign.OVERDUE if overdue and phases.result is ResultPhase.CLEARING else AckSign.HIGH


# --- effects on the session -----------------------------------------------------------------------------------


def _baseline(hs: Handshake, event: PlcRead, _contract: Contract) -> Reply:
    """The TriggerId that stands there counts as already seen: nothing is replayed."""
    seq, phases = event.slots[0].seq, hs.phases
    trigger = TriggerPhase.HELD if event.head.trigger else TriggerPhase.WAITING
    phases = replace(phases, trigger=trigger, trigger_since=event.at, result_since=event.at, candidate=None)
    hs = replace(hs, last_seq=seq, plc_epoch=event.head.plc_epoch, phases=phases)
    opened = SessionAcknowledged(hs.session_id, seq)
    if not event.head.trigger:
        return hs, (opened,)
    hs, notices = _count_refused(hs, seq, "Trigger was 1 before the station was Ready")
    return hs, (opened, *notices)


def _exchange(hs: Handshake, event: PlcRead, contract: Contract) -> Reply:
    """Take both handshakes one step further."""
    hs, notices = _step_result(hs, event, contract)
    if not event.slots:
        return hs, notices
    hs, more = _step_trigger(hs, event, event.slots[0], contract)
    return hs, (*notices, *more)


def _step_trigger(hs: Handshake, event: PlcRead, slot: TriggerSlot, contract: Contract) -> Reply:
    before = hs.phases.trigger
    sign = trigger_sign(hs, event, slot, contract)
    row = TRIGGERS.get((before, sign))
    if row is None:
        raise IllegalEvent(f"trigger while {before.value}: {sign.value}")
    target, effect = row
    hs, notices = effect(hs, event, slot, contract)
    since = hs.phases.trigger_since if target is before else event.at
    return replace(hs, phases=replace(hs.phases, trigger=target, trigger_since=since)), notices


def _step_result(hs: Handshake, event: PlcRead, contract: Contract) -> Reply:
    phases = hs.phases
    sign = ack_sign(phases, event, contract)
    row = RESULTS.get((phases.result, sign))
    if row is None:
        raise IllegalEvent(f"ResultAck while {phases.result.value}: {sign.value}")
    target, overdue = row
    since = phases.result_since if target is phases.result else event.at
    early = event.head.result_ack and (phases.early or phases.result is ResultPhase.WRITING)
    hs = replace(hs, phases=replace(phases, result=target, result_since=since, early=early))
    return hs, (overdue,) if overdue else ()


# --- effects on the trigger -----------------------------------------------------------------------------------


def _keep(hs: Handshake, _event: PlcRead, _slot: TriggerSlot, _contract: Contract) -> Reply:
    return hs, ()


def _note_fields(hs: Handshake, _event: PlcRead, slot: TriggerSlot, _contract: Contract) -> Reply:
    """torn_reads above 0 makes the shell read again at once."""
    return replace(hs, torn_reads=hs.torn_reads + 1, phases=replace(hs.phases, candidate=slot)), ()


def _fall(hs: Handshake, _event: PlcRead, slot: TriggerSlot, contract: Contract) -> Reply:
    """Beside Trigger 0 the newest TriggerId may be prepared for the part to come; all before it had their trigger."""
    hs = _forget_fields(hs)
    if distance(hs.last_seq, slot.seq, contract.modulus) < 2:
        return hs, ()
    return _count_gap(hs, back(slot.seq, 1, contract.modulus), contract, "TriggerId moved on, Trigger 1 was never seen")


def _withdraw(hs: Handshake, event: PlcRead, slot: TriggerSlot, contract: Contract) -> Reply:
    """The pulse ended before its fields were certain. What TriggerId leaves out is counted when it moves on."""
    withdrawn = Withdrawn(slot.seq, taken=False)
    hs, notices = _fall(replace(hs, phases=replace(hs.phases, missed=True)), event, slot, contract)
    return hs, (withdrawn, *notices)


def _let_go(hs: Handshake, event: PlcRead, slot: TriggerSlot, contract: Contract) -> Reply:
    withdrawn = Withdrawn(hs.phases.taken, taken=True)
    hs, notices = _fall(hs, event, slot, contract)
    return hs, (withdrawn, *notices)


def _take(hs: Handshake, event: PlcRead, slot: TriggerSlot, contract: Contract) -> Reply:
    hs = _forget_fields(hs)
    notices: tuple[Notice, ...] = ()
    hs = replace(hs, phases=replace(hs.phases, missed=False))
    if distance(hs.last_seq, slot.seq, contract.modulus) > 1:
        hs, notices = _count_gap(
            hs, back(slot.seq, 1, contract.modulus), contract, "TriggerId jumped, Trigger 1 was never seen"
        )
    hs = replace(hs, last_seq=slot.seq, phases=replace(hs.phases, taken=slot.seq, settled=0))
    return hs, (*notices, Announced(slot, triggered_at(event, slot), newest=True))


def _again(hs: Handshake, _event: PlcRead, _slot: TriggerSlot, _contract: Contract) -> Reply:
    """The same part asked again is acknowledged again and not answered twice."""
    return _forget_fields(hs), ()


def _refuse(hs: Handshake, _event: PlcRead, slot: TriggerSlot, _contract: Contract) -> Reply:
    return _count_refused(_forget_fields(hs), slot.seq, "TriggerId is not new: it must change before Trigger rises")


def _give_up(hs: Handshake, _event: PlcRead, _slot: TriggerSlot, _contract: Contract) -> Reply:
    hs = _forget_fields(hs)
    why = "the trigger's fields changed from read to read while Trigger was 1"
    return replace(hs, phases=replace(hs.phases, missed=True)), (PhaseOverdue(why),)


def _overdue(why: str) -> TriggerEffect:
    def effect(hs: Handshake, _event: PlcRead, _slot: TriggerSlot, _contract: Contract) -> Reply:
        return hs, (PhaseOverdue(why),)

    return effect


def _forget_fields(hs: Handshake) -> Handshake:
    return replace(hs, torn_reads=0, phases=replace(hs.phases, candidate=None))


def _count_gap(hs: Handshake, until: int, contract: Contract, why: str) -> Reply:
    """Every number after the last one, up to `until`, was triggered and never read."""
    first, count = following(hs.last_seq, contract.modulus), distance(hs.last_seq, until, contract.modulus)
    hs = replace(hs, last_seq=until, phases=replace(hs.phases, missed=True))
    return hs, (MissedTriggers(first, count, why),)


def _count_refused(hs: Handshake, seq: int, why: str) -> Reply:
    """One trigger that will not be taken, however often the PLC repeats it."""
    known = seq == hs.phases.settled
    hs = replace(hs, phases=replace(hs.phases, settled=seq, missed=True))
    return hs, () if known else (MissedTriggers(seq, 1, why),)


# --- the tables -----------------------------------------------------------------------------------------------

TABLE: Table = {
    (Link.WAITING, Sign.CLOCK_STOPPED): (Link.PLC_LOST, lose),
    (Link.WAITING, Sign.DISABLED): (Link.WAITING, stay),
    (Link.WAITING, Sign.QUIET): (Link.OPENING, open_session),
    (Link.OPENING, Sign.CLOCK_STOPPED): (Link.PLC_LOST, lose),
    (Link.OPENING, Sign.DISABLED): (Link.WAITING, disable),
    (Link.OPENING, Sign.SESSION_OLD): (Link.OPENING, stay),
    (Link.OPENING, Sign.QUIET): (Link.IN_SESSION, _baseline),
    (Link.IN_SESSION, Sign.CLOCK_STOPPED): (Link.PLC_LOST, lose),
    (Link.IN_SESSION, Sign.DISABLED): (Link.WAITING, disable),
    (Link.IN_SESSION, Sign.EPOCH_CHANGED): (Link.OPENING, reopen("the PLC was restarted")),
    (Link.IN_SESSION, Sign.BACKWARDS_ONCE): (Link.IN_SESSION, stay),
    (Link.IN_SESSION, Sign.BACKWARDS): (Link.OPENING, reopen("TriggerId went backwards")),
    (Link.IN_SESSION, Sign.QUIET): (Link.IN_SESSION, _exchange),
    (Link.PLC_LOST, Sign.CLOCK_STOPPED): (Link.PLC_LOST, stay),
    (Link.PLC_LOST, Sign.DISABLED): (Link.WAITING, disable),
    (Link.PLC_LOST, Sign.QUIET): (Link.OPENING, reopen("the PLC's clock stood still")),
}
"""The session: every sign that can occur in each stage, where it leads, and what it does. OFFLINE takes no reads."""

_T, _R = TriggerPhase, ResultPhase

TRIGGERS: dict[tuple[TriggerPhase, TriggerSign], tuple[TriggerPhase, TriggerEffect]] = {
    (_T.HELD, TriggerSign.LOW): (_T.WAITING, _fall),
    (_T.HELD, TriggerSign.HIGH): (_T.HELD, _keep),
    (_T.WAITING, TriggerSign.LOW): (_T.WAITING, _fall),
    (_T.WAITING, TriggerSign.UNCERTAIN): (_T.LATCHING, _note_fields),
    (_T.LATCHING, TriggerSign.LOW): (_T.WAITING, _withdraw),
    (_T.LATCHING, TriggerSign.UNCERTAIN): (_T.LATCHING, _note_fields),
    (_T.LATCHING, TriggerSign.UNREADABLE): (_T.HELD, _give_up),
    (_T.LATCHING, TriggerSign.NEW): (_T.TAKEN, _take),
    (_T.LATCHING, TriggerSign.AGAIN): (_T.TAKEN, _again),
    (_T.LATCHING, TriggerSign.AGAIN_DURABLE): (_T.ACKNOWLEDGED, _again),
    (_T.LATCHING, TriggerSign.OLD): (_T.HELD, _refuse),
    (_T.TAKEN, TriggerSign.LOW): (_T.WAITING, _let_go),
    (_T.TAKEN, TriggerSign.HIGH): (_T.TAKEN, _keep),
    (_T.TAKEN, TriggerSign.OVERDUE): (_T.HELD, _overdue("the journal did not make the trigger durable in time")),
    (_T.ACKNOWLEDGED, TriggerSign.LOW): (_T.WAITING, _fall),
    (_T.ACKNOWLEDGED, TriggerSign.HIGH): (_T.ACKNOWLEDGED, _keep),
    (_T.ACKNOWLEDGED, TriggerSign.OVERDUE): (_T.HELD, _overdue("Trigger stays 1 although TriggerAck is 1")),
}
"""The trigger's handshake, while a session is open."""

RESULTS: dict[tuple[ResultPhase, AckSign], tuple[ResultPhase, PhaseOverdue | None]] = {
    (_R.CLEARING, AckSign.LOW): (_R.FREE, None),
    (_R.CLEARING, AckSign.HIGH): (_R.CLEARING, None),
    (_R.CLEARING, AckSign.OVERDUE): (_R.STUCK, PhaseOverdue("ResultAck stays 1 although ResultValid is 0")),
    (_R.STUCK, AckSign.LOW): (_R.FREE, None),
    (_R.STUCK, AckSign.HIGH): (_R.STUCK, None),
    (_R.FREE, AckSign.LOW): (_R.FREE, None),
    (_R.FREE, AckSign.HIGH): (_R.CLEARING, None),
    (_R.WRITING, AckSign.LOW): (_R.WRITING, None),
    (_R.WRITING, AckSign.HIGH): (_R.WRITING, None),
    (_R.SHOWN, AckSign.LOW): (_R.SHOWN, None),
    (_R.SHOWN, AckSign.STANDING): (_R.SHOWN, None),
    (_R.SHOWN, AckSign.HIGH): (_R.CLEARING, None),
    (_R.SHOWN, AckSign.OVERDUE): (_R.CLEARING, PhaseOverdue("the result was not acknowledged", unread=True)),
}
"""The result's handshake, while a session is open; the link itself leads from FREE to WRITING and on to SHOWN."""
