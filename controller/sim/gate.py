"""The reject gate of the simulated line: every part is rejected until it is proven good.

Parts travel from the camera to the gate in a shift register addressed by encoder position. Each enters with the action
that was latched at its trigger for "no answer"; a valid answer replaces that, but only before the gate. Pure.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from controller.sim.conveyor import travelled
from controller.sim.plc_image import MOVES_GATE, GateAction, PartId


class Source(Enum):
    """Why the gate did what it did with a part."""

    ANSWER = "answer"
    FALLBACK = "fallback"
    WINDOW = "window"
    """The part was past the gate before the program looked: the gate stood as the fallback holds it."""
    LOCKED = "locked"
    """The PLC's own switch forbids the gate to move."""
    UNVERIFIED = "unverified"
    """The gate moved and no sensor saw the part leave the belt."""


@dataclass(slots=True)
class Tracked:
    """A part between camera and gate. seq 0: it was never triggered and no answer can come. action None: no answer."""

    part_id: PartId
    seq: int
    entered_at: int
    fallback: GateAction
    action: GateAction | None = None
    passed: bool = False


@dataclass(frozen=True, slots=True)
class Passage:
    """What the gate did with one part; reported to Linegate as GateSeq and GateOutcome when seq is not 0."""

    part_id: PartId
    seq: int
    outcome: GateAction
    source: Source


class ShiftRegister:
    """Parts in belt order, each with what the gate will do with it. Positions are encoder counts, wrap-safe.

    distance: counts from camera to gate. window: how many counts late the program may look and still find the part
    at the gate.
    """

    def __init__(self, distance: int, window: int) -> None:
        self._distance, self._window = distance, window
        self._parts: deque[Tracked] = deque()

    def __len__(self) -> int:
        return len(self._parts)

    def __iter__(self) -> Iterator[Tracked]:
        return iter(self._parts)

    def enter(self, part_id: PartId, seq: int, fallback: GateAction, position: int) -> Tracked:
        """Take in a part that is in front of the camera now."""
        part = Tracked(part_id, seq, position, fallback)
        self._parts.append(part)
        return part

    @staticmethod
    def latch(part: Tracked, action: GateAction) -> bool:
        """Hold an answer for the gate. False when the part has already passed: nothing acts on the answer then."""
        if part.passed:
            return False
        part.action = action
        return True

    def leave(self, position: int) -> list[Passage]:
        """Every part that has reached the gate by now, in belt order, with what is to be done with it."""
        gone: list[Passage] = []
        while self._parts and (beyond := travelled(self._parts[0].entered_at, position) - self._distance) >= 0:
            part = self._parts.popleft()
            part.passed = True
            if beyond > self._window:
                gone.append(Passage(part.part_id, part.seq, part.fallback, Source.WINDOW))
            elif part.action is None:
                gone.append(Passage(part.part_id, part.seq, part.fallback, Source.FALLBACK))
            else:
                gone.append(Passage(part.part_id, part.seq, part.action, Source.ANSWER))
        return gone

    def abandon(self) -> list[Passage]:
        """Empty the register, as at a restart of the PLC: the gate stands as each part's fallback holds it."""
        gone = [Passage(part.part_id, part.seq, part.fallback, Source.FALLBACK) for part in self._parts]
        for part in self._parts:
            part.passed = True
        self._parts.clear()
        return gone


class RejectGate:
    """The flap and its sensor: a movement counts as done only once the sensor has seen the part leave the belt.

    verify_ms: how long the sensor may take. A part that it never sees stayed on the belt: outcome PASS, unverified.
    """

    def __init__(self, verify_ms: int, locked: bool = False) -> None:
        self._verify_ms = verify_ms
        self._locked = locked
        self._leaving: deque[tuple[Passage, int]] = deque()

    @property
    def waiting(self) -> int:
        """Parts pushed off the belt that the sensor has not seen yet."""
        return len(self._leaving)

    def act(self, passage: Passage, now_ms: int) -> tuple[Passage | None, bool]:
        """Do with a part what its passage says. Returns what is certain at once, and whether the flap moved."""
        if passage.outcome not in MOVES_GATE:
            return passage, False
        if self._locked:
            return Passage(passage.part_id, passage.seq, GateAction.NONE, Source.LOCKED), False
        self._leaving.append((passage, now_ms + self._verify_ms))
        return None, True

    def settle(self, seen: int, now_ms: int) -> list[Passage]:
        """Passages that became certain: `seen` parts passed the sensor since the last scan, or its time is over."""
        certain: list[Passage] = []
        while self._leaving:
            passage, until = self._leaving[0]
            if seen > 0:
                seen -= 1
                certain.append(passage)
            elif now_ms > until:
                certain.append(Passage(passage.part_id, passage.seq, GateAction.PASS, Source.UNVERIFIED))
            else:
                break
            self._leaving.popleft()
        return certain

    def abandon(self) -> list[Passage]:
        """Forget what is leaving: the program that watched it is gone. Its flap had moved."""
        gone = [passage for passage, _ in self._leaving]
        self._leaving.clear()
        return gone
