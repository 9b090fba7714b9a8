"""What the station remembers of a four-phase handshake: how far trigger and result have come, each for itself."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from statemachines.vocabulary import Ns, TriggerSlot


class TriggerPhase(Enum):
    """How far the handshake of the present trigger has come."""

    HELD = "Trigger is 1 and will not be taken, it must fall first"
    WAITING = "waiting for Trigger 0→1"
    LATCHING = "Trigger is 1, its fields are not certain yet"
    TAKEN = "part taken, not durable yet"
    ACKNOWLEDGED = "TriggerAck is 1, waiting for Trigger 0"


class ResultPhase(Enum):
    """How far the handshake of the present result has come."""

    CLEARING = "ResultValid is 0, waiting for ResultAck 0"
    FREE = "no result is shown"
    WRITING = "a result block is being written"
    SHOWN = "ResultValid is 1, waiting for ResultAck 0→1"
    STUCK = "ResultAck stays 1"


OWN_HANDSHAKE = frozenset({TriggerPhase.TAKEN, TriggerPhase.ACKNOWLEDGED})
"""While a part's trigger is in one of these its result is not shown: the PLC takes one step at a time."""


@dataclass(frozen=True, slots=True)
class Phases:
    """Both handshakes. Every session starts with both sides waiting for the PLC's bits to be 0.

    told_at: when the PLC's tags held the session's number and nothing of the session before; None until then.
    taken: TriggerId of the part taken last in this session, 0 if none. settled: of the trigger refused last, or taken
    in the session before; it is not counted again. durable: of the part whose trigger the journal holds. candidate: the
    fields that the last read showed beside Trigger 1. early: ResultAck is 1 since before the result was shown.
    missed: the tag MissedTrigger.
    """

    told_at: Ns | None = None
    trigger: TriggerPhase = TriggerPhase.HELD
    trigger_since: Ns = Ns(0)
    result: ResultPhase = ResultPhase.CLEARING
    result_since: Ns = Ns(0)
    taken: int = 0
    settled: int = 0
    durable: int = 0
    candidate: TriggerSlot | None = None
    early: bool = False
    toggle: bool = False
    missed: bool = False

    def of_next_session(self) -> Phases:
        """Nothing goes on but the toggle, which changes with results only, and the knowledge of the last trigger."""
        return Phases(toggle=self.toggle, settled=self.taken or self.settled)

    def may_show(self, seq: int) -> bool:
        """The result of this part may be handed to the link now."""
        return self.result is ResultPhase.FREE and not (seq == self.taken and self.trigger in OWN_HANDSHAKE)
