"""Four-phase profile: the handshake of a trigger, Trigger → TriggerAck → 0 → 0, while a session is open."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from enum import Enum

from statemachines.errors import IllegalEvent
from statemachines.events import PlcRead
from statemachines.handshake.phases import OWN_HANDSHAKE, TriggerPhase
from statemachines.handshake.session import Reply, triggered_at
from statemachines.handshake.state import (
    Announced,
    Contract,
    Handshake,
    MissedTriggers,
    Notice,
    PhaseOverdue,
    Withdrawn,
)
from statemachines.sequence import back, distance, following
from statemachines.vocabulary import Ns, TriggerSlot


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


TriggerEffect = Callable[[Handshake, PlcRead, TriggerSlot, Contract], Reply]


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


def step_trigger(hs: Handshake, event: PlcRead, slot: TriggerSlot, contract: Contract) -> Reply:
    """Take the trigger's handshake one step further."""
    before = hs.phases.trigger
    sign = trigger_sign(hs, event, slot, contract)
    row = TRIGGERS.get((before, sign))
    if row is None:
        raise IllegalEvent(f"trigger while {before.value}: {sign.value}")
    target, effect = row
    hs, notices = effect(hs, event, slot, contract)
    since = hs.phases.trigger_since if target is before else event.at
    return replace(hs, phases=replace(hs.phases, trigger=target, trigger_since=since)), notices


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
    return count_refused(_forget_fields(hs), slot.seq, "TriggerId is not new: it must change before Trigger rises")


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


def count_refused(hs: Handshake, seq: int, why: str) -> Reply:
    """One trigger that will not be taken, however often the PLC repeats it."""
    known = seq == hs.phases.settled
    hs = replace(hs, phases=replace(hs.phases, settled=seq, missed=True))
    return hs, () if known else (MissedTriggers(seq, 1, why),)


_T = TriggerPhase
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
