"""Runs the cells of one rig: one after the other, on a rig that is kept as long as it is healthy."""

from __future__ import annotations

import signal
import time
import traceback
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

from controller.errors import DeviceError
from controller.sim.standstill import StandstillWatch
from controller.sim.tally import PartTally
from hil_tests.agreement import Outage
from hil_tests.cell import Cell
from hil_tests.faults.bench import Bench, RigTooSlow
from hil_tests.faults.disk import can_mount, small_disk
from hil_tests.faults.real import REAL_SCRIPTS
from hil_tests.faults.scripts import scripts
from hil_tests.faults.wall_clock import can_shift
from hil_tests.judge import judge_answers, judge_journal, judge_tally
from hil_tests.law import gate
from hil_tests.real_rig import RealRig
from hil_tests.rig import Rig, RigBroken, RigOptions, State
from hil_tests.rigfile import RigFile

WHY_NOT = {
    "soft PLC": "only a simulated PLC can be told to do this",
    "simulated line": "only a simulated camera and line can be told to do this",
    "network shaper": "the rig leaves the cable alone (network.shaper = false)",
    "small disk": "needs root and the right to mount a disk of its own",
    "wall clock": "its wall clock is shifted by a library that needs Linux and a C compiler (apt-get install gcc)",
}
ATTEMPTS = 2
"""A computer that others use may be late at any moment; twice in the same cell is no chance. What must never happen,
not even once, is not tried again: only `Cell.late` is, and the report says so."""

DISTURBED_MS = 20.0
MOST_ATTEMPTS = 6
"""An attempt in which the computer stood still for a fifth of the 100 ms that a part has measured the computer: it does
not count as one of the ATTEMPTS. So many in all, then it is a failure all the same."""

Progress = Callable[[Cell], None]


def run_cells(cells: list[Cell], folder: Path, progress: Progress) -> list[Cell]:
    """Cells of one rig and mode, one after the other."""
    if not cells:
        return cells
    rig = cells[0].rig
    with _ended_in_order():
        if rig.plc.kind == "real":
            return run_real_cells(cells, folder, progress)
        with StandstillWatch() as computer, CellRunner(folder, rig, computer.so_far_ms) as runner:
            for cell in cells:
                runner.run(cell)
                progress(cell)
    return cells


@contextmanager
def _ended_in_order() -> Generator[None]:
    """Asked to end (SIGTERM), take down first what was started: a station is a session of its own and would go on."""

    def end(_number: int, _frame: object) -> None:
        raise SystemExit(128 + signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


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
    extra = {name for name, has in (("small disk", can_mount()), ("wall clock", can_shift())) if has}
    return rig.offers | extra


def _why_not(cell: Cell, offers: frozenset[str]) -> str:
    impossible = cell.fault.impossible(cell.rig.plc.protocol, cell.rig.plc.profile, cell.mode)
    if impossible:
        return impossible
    missing = sorted(cell.fault.needs - offers)
    return "; ".join(WHY_NOT.get(need, f"the rig has no {need}") for need in missing)


class CellRunner:
    """Runs the cells of one rig and mode, and keeps the rig alive from one to the next; use it with `with`.

    stood_still_ms: for how long the computer itself did nothing so far.
    """

    def __init__(self, folder: Path, rig: RigFile, stood_still_ms: Callable[[], float] = lambda: 0.0) -> None:
        self._offers, self._stood_still_ms = _offers(rig), stood_still_ms
        self._keeper = _RigKeeper(folder, self._offers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._keeper.drop()

    def run(self, cell: Cell, attempts: int = ATTEMPTS) -> None:
        """Run one cell, or say why it is skipped; what comes of it is in the cell."""
        began = time.monotonic()
        cell.skipped = _why_not(cell, self._offers)
        if not cell.skipped:
            counted = self._attempt(cell)
            while cell.late and not cell.problems and counted < attempts and len(cell.earlier) < MOST_ATTEMPTS - 1:
                disturbed = (
                    f" (the computer stood still for {cell.stood_still_ms:.0f} ms)" if cell.stood_still_ms else ""
                )
                cell.earlier.append("; ".join(cell.late) + disturbed)
                cell.late, cell.notes = [], []
                counted += self._attempt(cell)
        cell.took_s = time.monotonic() - began

    def _attempt(self, cell: Cell) -> int:
        """Run it once; 0 where the computer was disturbed too much for the attempt to count."""
        before = self._stood_still_ms()
        _run_cell(cell, self._keeper)
        cell.stood_still_ms = self._stood_still_ms() - before
        return int(cell.stood_still_ms < DISTURBED_MS)


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
            packages = self._folder.parent / "packages"
            options = RigOptions(mode=cell.mode, data_dir=disk, packages=packages)
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
        before, past = rig.plc.tally().figures, len(rig.past)
        began_ns = time.monotonic_ns()
        scripts()[cell.fault.name](bench)
        recovered = _recover(bench)
        parts = [_seen(rig, part_id) for part_id in bench.brought]
        judge_answers(cell, bench, parts, recovered)
        judge_tally(cell, rig, before, past)
        judge_journal(cell, rig, parts, Outage(cell.fault.name, began_ns, recovered), after)
        if bench.fresh_station:
            rig.stop_station()
    except RigTooSlow as error:
        cell.late.append(str(error))
        keeper.drop()
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
