"""What the runtime needs from the outside world: one to four methods each, named for the need.

Drivers implement these and know neither each other nor the runtime. Every wait takes an absolute deadline in monotonic
nanoseconds; a driver translates its library's errors into `controller.errors` at its edge.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from models.frame import Frame
from statemachines.commands import RecordEvent, RecordGate, RecordLate, RecordTrigger
from statemachines.vocabulary import Answer, FaultCode, Ns, Outcome, PartKey, PlcHead, TriggerSlot

StatusValue = bool | int | float | str


@dataclass(frozen=True, slots=True)
class PlcReading:
    """One read of the PLC: everything in it left the PLC after `sent_at`."""

    sent_at: Ns
    head: PlcHead
    slots: tuple[TriggerSlot, ...]


class PlcLink(Protocol):
    """The PLC's tags. One connection at a time; after any DeviceError the caller closes and connects anew."""

    @property
    def polls(self) -> bool:
        """Reads fall due at an interval, whether anything changed or not."""
        ...

    async def connect(self, deadline: Ns) -> None:
        """Connect and check existence, type and access of every tag.

        Raises ConfigError for a tag that can never work, DeviceError for a PLC that cannot be reached.
        """
        ...

    async def read(self, seqs: Sequence[int], deadline: Ns) -> PlcReading:
        """Read the head and the trigger slots in which these sequence numbers belong, in one request,
        TriggerSeq before the slots."""
        ...

    async def changed(self, deadline: Ns) -> None:
        """Return when a new read is due: after the polling interval, or as soon as a subscription says so."""
        ...

    async def write_status(self, values: Mapping[str, StatusValue], deadline: Ns) -> None:
        """Write single tags by their contract name ("Heartbeat", "Ready", …)."""
        ...

    async def write_answer(self, answer: Answer, deadline: Ns) -> None:
        """Write a result block into its slot: fields and Check first, ResultSeq in a second request after success."""
        ...

    async def close(self) -> None:
        """Drop the connection. Never raises, never waits longer than a second."""
        ...


@dataclass(frozen=True, slots=True)
class TagReport:
    """What a link found of one tag. kind, access: as the PLC's protocol calls them, empty where it does not say.

    problem: why the station cannot use it; note: what could not be checked.
    """

    name: str
    address: str
    kind: str = ""
    access: str = ""
    problem: str = ""
    note: str = ""


@runtime_checkable
class PlcTags(Protocol):
    """A PLC link that also shows single tags, for a person at work on the PLC. The running station needs none of it."""

    notices: tuple[str, ...]
    """What keeps the present connection from working as it was asked for."""

    async def survey(self, deadline: Ns) -> tuple[TagReport, ...]:
        """Look at every tag, whatever is wrong with the others; writes nothing. Needs no connection."""
        ...

    async def read_tags(self, names: Sequence[str], deadline: Ns) -> Mapping[str, StatusValue | None]:
        """Read tags by full name ("Result[3].Verdict"); None for one that is not there."""
        ...

    async def write_tags(self, values: Mapping[str, StatusValue], deadline: Ns) -> None:
        """Write tags by full name in one request."""
        ...


class Camera(Protocol):
    """One view's eyes."""

    async def open(self, deadline: Ns) -> None:
        """Make ready to capture. Raises DeviceError."""
        ...

    async def capture(self, part: PartKey, view: str, expose_at: Ns, until: Ns, deadline: Ns) -> Frame:
        """Expose now, not later than `until`; return the frame before `deadline`. Raises DeviceError.

        A camera that the line triggers returns the frame that was exposed around `expose_at`, which may be there
        already; it is asked for several parts at a time.
        """
        ...

    async def close(self) -> None:
        """Let go of the device. Never raises."""
        ...


@runtime_checkable
class WatchedCamera(Protocol):
    """A camera that says by itself when it is gone and when it is back."""

    def watch(self, tell: Callable[[str], None]) -> None:
        """Have `tell` called, on the loop, with why the camera is gone; with "" once it is back."""
        ...


@dataclass(frozen=True, slots=True)
class Record:
    """What goes to the journal, with the wall clock for people.

    fact: RecordTrigger, Outcome, RecordLate, RecordGate or RecordEvent.
    """

    wall_ns: int
    fact: RecordTrigger | Outcome | RecordLate | RecordGate | RecordEvent


class Journal(Protocol):
    """The append-only record. `append` never blocks and never raises: rows wait in a bounded queue."""

    def append(self, record: Record) -> bool:
        """Queue one record; False when the queue is full and the record was dropped (counted, alarmed).

        After each commit the journal calls, on its own thread, the `on_committed` it was made with, with the keys of
        the triggers that are durable now.
        """
        ...


CommittedCallback = Callable[[tuple[PartKey, ...]], None]


class ImageStore(Protocol):
    """Keeps images within a byte budget. `keep` never blocks and never raises."""

    def keep(self, frame: Frame, outcome: Outcome, wall_ns: int) -> bool:
        """Queue one image for writing; False when it was dropped (counted, alarmed)."""
        ...


class Latch(Protocol):
    """The failsafe latch on disk."""

    def load(self) -> tuple[FaultCode, str]:
        """The fault that is latched, FaultCode.NONE if none; an unreadable latch counts as latched."""
        ...

    def store(self, code: FaultCode, why: str) -> None:
        """Write it durably (atomic replace and fsync). Raises RecordError."""
        ...
