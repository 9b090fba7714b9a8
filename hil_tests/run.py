"""Runs the fault matrix: cell after cell on a rig that is kept as long as it is healthy, each judged by the PLC's tally
and the journal."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from controller.errors import DeviceError
from controller.sim.tally import PartTally
from hil_tests.agreement import Agreement, Outage, compare
from hil_tests.faults.bench import Bench, dwell
from hil_tests.faults.disk import can_mount, small_disk
from hil_tests.faults.matrix import Expectation, Fault
from hil_tests.faults.real import REAL_SCRIPTS
from hil_tests.faults.scripts import scripts
from hil_tests.faults.station import faketime_library
from hil_tests.journal import REASONS, VERDICTS
from hil_tests.law import OUTCOMES, gate
from hil_tests.real_rig import RealRig
from hil_tests.rig import Rig, RigBroken, RigOptions, State
from hil_tests.rigfile import Mode, RigFile

WHY_NOT = {
    "soft PLC": "only a simulated PLC can be told to do this",
    "simulated line": "only a simulated camera and line can be told to do this",
    "network shaper": "the rig leaves the cable alone (network.shaper = false)",
    "small disk": "needs root and the right to mount a disk of its own",
    "libfaketime": "libfaketime is not installed (Debian: apt-get install libfaketime)",
}
_ZEROS = ("duplicate", "wrong_part", "late_acted", "stale", "unexpected", "torn")
_LATE = frozenset({"NO_DECISION/LATE_TRIGGER", "NO_DECISION/DEADLINE", "NO_DECISION/CAMERA"})
_SETTLE_S = 5.0


@dataclass(slots=True)
class Cell:
    """One fault on one rig in one mode, and what came of it. problems: empty when it passed.

    slack: by how much the time limits are stretched, for a computer that others use at the same time.
    """

    fault: Fault
    rig: RigFile
    mode: Mode
    expected: Expectation
    slack: float = 1.0
    skipped: str = ""
    answers: list[str] = field(default_factory=list[str])
    safe_ms: float | None = None
    recover_ms: float | None = None
    latch: int = 0
    notes: list[str] = field(default_factory=list[str])
    problems: list[str] = field(default_factory=list[str])
    took_s: float = 0.0

    @property
    def name(self) -> str:
        return f"{self.fault.name}[{self.rig.name}-{self.mode}]"

    @property
    def passed(self) -> bool:
        return not self.skipped and not self.problems


Progress = Callable[[Cell], None]


def run_matrix(
    rigs: Iterable[RigFile],
    modes: Iterable[Mode],
    faults: list[Fault],
    folder: Path,
    progress: Progress,
    slack: float = 1.0,
) -> list[Cell]:
    """Every cell; `progress` is called with each as it is done."""
    done: list[Cell] = []
    for rig in rigs:
        for mode in modes:
            cells = [Cell(fault, rig, mode, fault.expectation(mode), slack) for fault in faults if fits(fault, rig)]
            done += run_cells(cells, folder / f"{rig.name}-{mode}", progress)
    return done


def fits(fault: Fault, rig: RigFile) -> bool:
    """Whether the row speaks of this rig's profile at all."""
    return rig.plc.profile in fault.profiles


def run_cells(cells: list[Cell], folder: Path, progress: Progress) -> list[Cell]:
    """Cells of one rig and mode, one after the other."""
    if cells and cells[0].rig.plc.kind == "real":
        return run_real_cells(cells, folder, progress)
    if cells:
        with CellRunner(folder, cells[0].rig) as runner:
            for cell in cells:
                runner.run(cell)
                progress(cell)
    return cells


def run_real_cells(cells: list[Cell], folder: Path, progress: Progress) -> list[Cell]:
    """Cells on a real line: the fault, then the time until the line's next part is decided again."""
    offers = cells[0].rig.offers
    with RealRig(cells[0].rig, folder) as rig:
        for cell in cells:
            began = time.monotonic()
            # A script for a real line has no belt to instruct: the row's need of a simulated one is not its own.
            own_way = {"simulated line"} if cell.fault.name in REAL_SCRIPTS else set[str]()
            cell.skipped = _why_not(cell, offers | own_way)
            if not cell.skipped and cell.fault.name not in REAL_SCRIPTS:
                cell.skipped = "on a real line this would have to be done by hand"
            if not cell.skipped:
                _run_real_cell(cell, rig)
            cell.took_s = time.monotonic() - began
            progress(cell)
    return cells


def _run_real_cell(cell: Cell, rig: RealRig) -> None:
    try:
        rig.bring(State.RUNNING)
        REAL_SCRIPTS[cell.fault.name](rig)
        ended, after = time.monotonic(), rig.last_row()
        rig.next_answered(after)
        cell.recover_ms = (time.monotonic() - ended) * 1000
        cell.notes.append("until the line's next part was decided, its distance included; the limit is the station's")
        with rig.journal() as journal:
            open_parts = [row.part_id for _, row in journal.newest(0)[:-8] if row.verdict is None]
        if open_parts:
            cell.problems.append(f"parts without an end in the journal: {open_parts[:5]}")
    except (RigBroken, RuntimeError, AssertionError, OSError) as error:
        cell.problems.append(f"{type(error).__name__}: {error}")


def _offers(rig: RigFile) -> frozenset[str]:
    extra = {
        name for name, has in (("small disk", can_mount()), ("libfaketime", faketime_library() is not None)) if has
    }
    return rig.offers | extra


def _why_not(cell: Cell, offers: frozenset[str]) -> str:
    if cell.rig.plc.protocol in cell.fault.skip:
        return cell.fault.skip[cell.rig.plc.protocol]
    missing = sorted(cell.fault.needs - offers)
    return "; ".join(WHY_NOT.get(need, f"the rig has no {need}") for need in missing)


class CellRunner:
    """Runs the cells of one rig and mode, and keeps the rig alive from one to the next; use it with `with`."""

    def __init__(self, folder: Path, rig: RigFile) -> None:
        self._offers = _offers(rig)
        self._keeper = _RigKeeper(folder, self._offers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._keeper.drop()

    def run(self, cell: Cell) -> None:
        """Run one cell, or say why it is skipped; what comes of it is in the cell."""
        began = time.monotonic()
        cell.skipped = _why_not(cell, self._offers)
        if not cell.skipped:
            _run_cell(cell, self._keeper)
            if cell.problems and not any(problem.startswith(_ZEROS) for problem in cell.problems):
                self._once_more(cell)
        cell.took_s = time.monotonic() - began

    def _once_more(self, cell: Cell) -> None:
        """A computer that others use may be late at any moment; twice in the same cell is no chance. What must never
        happen, not even once, is not tried again. The report says that there was a first attempt, and what it was."""
        first = "; ".join(cell.problems)
        again = Cell(cell.fault, cell.rig, cell.mode, cell.expected, cell.slack)
        _run_cell(again, self._keeper)
        cell.answers, cell.safe_ms, cell.recover_ms = again.answers, again.safe_ms, again.recover_ms
        cell.latch, cell.problems = again.latch, again.problems
        cell.notes = [*again.notes, f"second attempt; the first: {first}"]


class _RigKeeper:
    """Keeps one rig alive over many cells, and makes a new one after it broke."""

    def __init__(self, folder: Path, offers: frozenset[str]) -> None:
        self._folder, self._offers = folder, offers
        self._count = 0
        self._open = ExitStack()
        self._rig: Rig | None = None

    def rig(self, cell: Cell) -> Rig:
        """A rig that runs. Raises RigBroken."""
        if self._rig is None:
            self._count += 1
            folder = self._folder / str(self._count)
            disk = self._open.enter_context(small_disk(folder / "disk")) if "small disk" in self._offers else None
            options = RigOptions(mode=cell.mode, data_dir=disk, packages=self._folder.parent / "packages")
            self._rig = self._open.enter_context(Rig(cell.rig, folder, options))
        self._rig.bring(State.RUNNING)
        return self._rig

    def drop(self) -> None:
        """End the rig; the next cell gets a new one."""
        self._rig = None
        self._open.close()
        self._open = ExitStack()


def _run_cell(cell: Cell, keeper: _RigKeeper) -> None:
    try:
        rig = keeper.rig(cell)
        bench = Bench(rig)
        bench.begin()
        with rig.journal() as journal:
            after = journal.last_event()
        before = rig.plc.tally().figures, len(rig.past)
        began_ns = time.monotonic_ns()
        scripts()[cell.fault.name](bench)
        recovered = _recover(bench)
        parts = [_seen(rig, part_id) for part_id in bench.brought]
        outage = Outage(cell.fault.name, began_ns, recovered)
        _judge(cell, bench, parts, recovered)
        _judge_tally(cell, rig, before)
        _judge_journal(cell, rig, parts, outage, after)
        if bench.fresh_station:
            rig.stop_station()
    except (RigBroken, DeviceError, RuntimeError, AssertionError, OSError, TimeoutError) as error:
        cell.problems.append(f"{type(error).__name__}: {error}")
        cell.notes.append(traceback.format_exc(limit=-3))
        keeper.drop()


def _recover(bench: Bench) -> int:
    """Wait until the line is well again; when it was, monotonic ns."""
    bench.rig.wait_ready()
    at = time.monotonic_ns()
    part = bench.rig.good_part()
    wanted = gate(bench.rig.options.mode, "OK")
    if part.outcome != wanted:
        raise RigBroken(f"a good part afterwards met the gate with {part.outcome}, not {wanted}")
    return at


def _seen(rig: Rig, part_id: int) -> PartTally:
    for part in rig.past_parts:
        if part.part_id == part_id:
            return part
    return rig.seen(part_id)


def _judge(cell: Cell, bench: Bench, parts: list[PartTally], recovered: int) -> None:
    expected = cell.expected
    cell.answers = [answer_of(part) for part in parts]
    cell.latch, cell.notes = bench.latch, [*cell.notes, *bench.notes]
    cell.safe_ms = _safe_ms(bench, parts)
    cell.recover_ms = max(recovered - bench.ended_ns, 0) / 1e6 if bench.ended_ns else None
    for index, (part, answer) in enumerate(zip(parts, cell.answers, strict=True)):
        newest = index == len(parts) - 1 and expected.last is not None
        allowed = expected.last if newest and expected.last is not None else expected.answers
        if cell.slack > 1 and "OK/DECIDED" in allowed:
            # Where time limits are stretched, the station may be late as well: safe, and no matter of the fault.
            allowed |= _LATE
        if answer not in allowed:
            cell.problems.append(f"part {part.part_id} got {answer}, expected {' or '.join(sorted(allowed))}")
        # An answer that came when the part was at the gate already is none.
        in_time = "NONE" if part.late else answer.split("/")[0]
        wanted = expected.gate if expected.gate is not None else gate(cell.mode, in_time)
        if part.outcome != wanted:
            met = OUTCOMES.get(part.outcome if part.outcome is not None else -1, str(part.outcome))
            cell.problems.append(f"part {part.part_id} ({answer}): gate {met}, expected {OUTCOMES[wanted]}")
    if cell.safe_ms is not None and not cell.safe_ms <= expected.safe_ms * cell.slack:
        cell.problems.append(f"safe after {cell.safe_ms:.0f} ms, allowed are {expected.safe_ms:g}")
    if cell.recover_ms is not None and not cell.recover_ms <= expected.recover_ms * cell.slack:
        cell.problems.append(f"Ready after {cell.recover_ms:.0f} ms, allowed are {expected.recover_ms:g}")
    if bench.latch != expected.latch and cell.fault.name != "memory-short":
        cell.problems.append(f"failsafe {bench.latch} latched, expected {expected.latch}")


def _safe_ms(bench: Bench, parts: list[PartTally]) -> float | None:
    """From the fault, or the trigger, until the PLC knew."""
    if bench.hindered_ns:
        return (bench.hindered_ns - bench.began_ns) / 1e6
    answered = [(part.answered_ns - part.trigger_ns) / 1e6 for part in parts if part.answers]
    unanswered = [bench.rig.options.gate_delay_ms for part in parts if part.seq and not part.answers]
    return max([*answered, *unanswered], default=None)


def answer_of(part: PartTally) -> str:
    """What the PLC got for a part, in words."""
    if not part.seq:
        return "UNTRIGGERED"
    if not part.answers:
        return "NONE"
    return f"{VERDICTS.get(part.verdict, part.verdict)}/{REASONS.get(part.reason, part.reason)}"


def _judge_tally(cell: Cell, rig: Rig, before: tuple[object, int]) -> None:
    """The zeros that hold in every cell, over every PLC run of it."""
    figures, past = before
    runs = [*rig.past[past:], rig.plc.tally().figures]
    for name in _ZEROS:
        count = sum(getattr(run, name) for run in runs) - getattr(figures, name)
        if count:
            cell.problems.append(f"{name}: {count}, must be 0")


def _judge_journal(cell: Cell, rig: Rig, parts: list[PartTally], outage: Outage, after: int) -> None:
    """The journal tells the same story, and holds the events that the fault must leave."""
    until = time.monotonic() + _SETTLE_S
    while True:
        with rig.journal() as journal:
            agreement: Agreement = compare(parts, journal, [outage])
            lacking = [kind for kind in cell.expected.events if not journal.events(kind, after)]
        if (agreement.whole and not lacking) or time.monotonic() > until:
            break
        dwell(0.02)
    cell.problems += agreement.complaints
    cell.problems += [f"the journal holds no event {kind!r}" for kind in lacking]


def conditions() -> str:
    """Under which the figures were taken."""
    return f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}"
