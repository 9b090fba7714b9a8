"""Four-phase profile: the handshake of a result, ResultValid → ResultAck → 0 → 0, while a session is open."""

from __future__ import annotations

from dataclasses import replace
from enum import Enum

from statemachines.errors import IllegalEvent
from statemachines.events import PlcRead
from statemachines.handshake.phases import Phases, ResultPhase
from statemachines.handshake.session import Reply
from statemachines.handshake.state import Contract, Handshake, PhaseOverdue
from statemachines.vocabulary import Ns


class AckSign(Enum):
    """What ResultAck means in one read."""

    LOW = "ResultAck is 0"
    HIGH = "ResultAck is 1"
    STANDING = "ResultAck is 1 since before the result was shown"
    OVERDUE = "ResultAck does not change for too long"


def ack_sign(phases: Phases, event: PlcRead, contract: Contract) -> AckSign:
    """What ResultAck means at this point of the result's handshake."""
    overdue = event.at - phases.result_since >= contract.phase_ns
    if not event.head.result_ack:
        return AckSign.OVERDUE if overdue and phases.result is ResultPhase.SHOWN else AckSign.LOW
    if phases.result is ResultPhase.SHOWN and phases.early:
        return AckSign.OVERDUE if overdue else AckSign.STANDING
    return AckSign.OVERDUE if overdue and phases.result is ResultPhase.CLEARING else AckSign.HIGH


def step_result(hs: Handshake, event: PlcRead, contract: Contract) -> Reply:
    """Take the result's handshake one step further."""
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


_R = ResultPhase

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
