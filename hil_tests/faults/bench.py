"""What a fault's script works with: the rig, and the stop-watch of one cell."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from controller.sim.plc_commands import PlcCommand, TriggerNow
from hil_tests.journal import JournalRow
from hil_tests.rig import Rig, RigBroken, dwell
from statemachines.vocabulary import Reason

NEVER_EXPOSED = frozenset({Reason.CAMERA, Reason.LATE_TRIGGER})
"""Reasons of a part of which there is no picture: safe, and no use to a row that needs one."""


class RigTooSlow(RuntimeError):
    """This computer did not provoke the fault in the time that it needs: nothing was learnt about the station."""


@dataclass(slots=True)
class Bench:
    """One cell under way. began_ns, ended_ns: the fault's own time, monotonic; 0 while it was not marked."""

    rig: Rig
    brought: list[int] = field(default_factory=list[int])
    began_ns: int = 0
    hindered_ns: int = 0
    ended_ns: int = 0
    hindrance: str = ""
    notes: list[str] = field(default_factory=list[str])
    latch: int = 0
    may_latch: bool = False
    """A failsafe is one of the ways out of this fault."""
    fresh_station: bool = False
    """The next cell needs a station that was started anew."""

    def begin(self) -> None:
        """The fault is there from now on."""
        self.began_ns = time.monotonic_ns()

    def end(self) -> None:
        """The fault's cause is gone from now on."""
        self.ended_ns = time.monotonic_ns()

    def part(self, command: Callable[[int], PlcCommand] = TriggerNow) -> int:
        """Bring a part into view, under the fault."""
        part_id = self.rig.next_part()
        self.rig.plc.command(command(part_id))
        self.brought.append(part_id)
        return part_id

    def inspect(self) -> None:
        """Bring a part and wait until it is past the gate."""
        self.rig.seen(self.part())

    def wait_hindered(self, timeout_s: float = 20.0, by: str = "") -> None:
        """Wait until the PLC knows that it may not trigger: from here on every part falls back by itself.

        by: what must forbid it, where something else may do so before.
        """
        self.hindrance = self.rig.wait_hindered(timeout_s, by)
        self.hindered_ns = time.monotonic_ns()

    def wait_new_session(self, old: int, timeout_s: float = 30.0) -> None:
        """Wait until another session than this one is open and the PLC may trigger."""
        self.rig.wait_live(lambda live: live.session_id not in (0, old) and live.hindrance == "", timeout_s)

    def wait_free(self, timeout_s: float = 10.0) -> None:
        """Wait until nothing forbids a trigger, by figures that were sent after this call."""
        asked_ns = time.monotonic_ns()
        self.rig.wait_live(lambda live: live.at_ns > asked_ns and live.hindrance == "", timeout_s)

    def wait_event(self, kind: str, after: int, timeout_s: float = 10.0) -> None:
        """Wait until the journal holds an event of this kind that came after that row."""
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            with self.rig.journal() as journal:
                if journal.events(kind, after):
                    return
            dwell(0.02)
        raise RigBroken(f"the journal got no event {kind!r} within {timeout_s:.0f} s")

    def logged(self) -> str:
        """The station's log."""
        return self.rig.workspace.log.read_text(encoding="utf-8", errors="replace")

    def wait_logged(self, text: str, after: int, timeout_s: float = 20.0) -> None:
        """Wait until the station's log names it, beyond its first `after` characters."""
        until = time.monotonic() + timeout_s
        while text not in self.logged()[after:]:
            assert time.monotonic() < until, f"the log does not name {text} within {timeout_s:.0f} s"
            dwell(0.02)

    def journal_row(self, session: int, seq: int, timeout_s: float = 4.0) -> JournalRow:
        """What the journal says of a part that ended."""
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            with self.rig.journal() as journal:
                rows = journal.rows(session, seq)
            if rows and rows[0].verdict is not None:
                return rows[0]
            dwell(0.02)
        raise RigBroken(f"part {session}/{seq} never ended in the journal")

    @property
    def session(self) -> int:
        """The session that the PLC works in."""
        live = self.rig.plc.live
        return live.session_id if live is not None else 0

    def note(self, text: str) -> None:
        """Something for the report."""
        self.notes.append(text)


Script = Callable[[Bench], None]

__all__ = ["NEVER_EXPOSED", "Bench", "RigTooSlow", "Script", "dwell"]
