"""One cell of the fault matrix, and what came of it. Plain values that cross a process boundary."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from hil_tests.faults.matrix import Expectation, Fault
from hil_tests.rigfile import Mode, RigFile

Result = Literal["passed", "repeated", "failed", "skipped"]
RESULTS: tuple[Result, ...] = ("passed", "repeated", "failed", "skipped")


@dataclass(slots=True)
class Cell:
    """One fault on one rig in one mode.

    problems: what must not happen, not even once. late: time limits that were missed, and answers that were safe and
    only too late for what the row expects. Empty, both, when it passed. slack: by how much the time limits are
    stretched, for a computer that others use at the same time. earlier: what was late in attempts before this one.
    stood_still_ms: for how long the computer itself did nothing in the last attempt, all its processors together.
    """

    fault: Fault
    rig: RigFile
    mode: Mode
    slack: float = 1.0
    skipped: str = ""
    answers: list[str] = field(default_factory=list[str])
    safe_ms: float | None = None
    recover_ms: float | None = None
    latch: int = 0
    notes: list[str] = field(default_factory=list[str])
    problems: list[str] = field(default_factory=list[str])
    late: list[str] = field(default_factory=list[str])
    earlier: list[str] = field(default_factory=list[str])
    stood_still_ms: float = 0.0
    took_s: float = 0.0

    @property
    def name(self) -> str:
        return f"{self.fault.name}[{self.rig.name}-{self.mode}]"

    @property
    def expected(self) -> Expectation:
        return self.fault.expectation(self.mode, self.rig.plc.profile)

    @property
    def complaints(self) -> list[str]:
        """Everything that is wrong."""
        return [*self.problems, *self.late]

    @property
    def result(self) -> Result:
        """repeated: passed, but not at its first attempt."""
        if self.skipped:
            return "skipped"
        if self.complaints:
            return "failed"
        return "repeated" if self.earlier else "passed"
