"""What the station knows of its conversation with the PLC, and what a read of the PLC's tags can bring as news."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal

from statemachines.events import LinkUp
from statemachines.handshake.phases import Phases
from statemachines.vocabulary import MS, Ns, Reason, TriggerSlot


class Link(Enum):
    """How far the handshake with the PLC has come."""

    OFFLINE = "offline"
    WAITING = "waiting for Enable"
    OPENING = "opening a session"
    IN_SESSION = "in session"
    PLC_LOST = "PLC clock stands still"


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


def connected(hs: Handshake, event: LinkUp) -> Handshake:
    """The link is up; nothing is known of the PLC yet."""
    phases = hs.phases.of_next_session()
    return Handshake(link=Link.WAITING, session_id=hs.session_id, clock_moved_at=event.at, phases=phases)


def disconnected(hs: Handshake) -> Handshake:
    """The link is gone."""
    return Handshake(link=Link.OFFLINE, session_id=hs.session_id, phases=hs.phases.of_next_session())


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
