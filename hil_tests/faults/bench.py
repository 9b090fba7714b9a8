"""What a fault's script works with: the rig, and the stop-watch of one cell."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from controller.sim.plc_commands import PlcCommand, TriggerNow
from hil_tests.rig import Rig, dwell


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

    def wait_hindered(self, timeout_s: float = 20.0) -> None:
        """Wait until the PLC knows that it may not trigger: from here on every part falls back by itself."""
        self.hindrance = self.rig.wait_hindered(timeout_s)
        self.hindered_ns = time.monotonic_ns()

    def wait_new_session(self, old: int, timeout_s: float = 30.0) -> None:
        """Wait until another session than this one is open and the PLC may trigger."""
        self.rig.wait_live(lambda live: live.session_id not in (0, old) and live.hindrance == "", timeout_s)

    @property
    def session(self) -> int:
        """The session that the PLC works in."""
        live = self.rig.plc.live
        return live.session_id if live is not None else 0

    def note(self, text: str) -> None:
        """Something for the report."""
        self.notes.append(text)


Script = Callable[[Bench], None]

__all__ = ["Bench", "Script", "dwell"]
