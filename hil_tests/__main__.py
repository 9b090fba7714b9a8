"""`python -m hil_tests`: the fault matrix on one rig or many, with a report to sign."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from hil_tests.cell import Cell
from hil_tests.faults.matrix import load_matrix
from hil_tests.report import Report, print_cell, print_report, write_html, write_junit
from hil_tests.rigfile import MODES, Mode, RigFileError, find_rig, known_rigs
from hil_tests.schedule import Batch, plan, run_matrix

SECONDS_PER_CELL = 2.5
"""One rig at a time on two processors, a share of its start included. An estimate from single rigs: most cells take one
to two seconds, those that need a station or PLC started anew some more. Progress corrects it as cells are done."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the matrix. Returns 0 when every cell passed or was skipped with its reason, 1 otherwise, 2 for bad input."""
    args = _parser().parse_args(arguments)
    try:
        rigs = [find_rig(name) for name in args.rig or simulated_rigs()]
    except RigFileError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    faults = load_matrix()
    unknown = sorted(set(args.fault) - {fault.name for fault in faults})
    if unknown:
        sys.stderr.write(f"--fault {', '.join(unknown)}: no such row; there are: {', '.join(f.name for f in faults)}\n")
        return 2
    modes: list[Mode] = args.mode or list(MODES)
    batches = plan(rigs, modes, [fault for fault in faults if not args.fault or fault.name in args.fault], args.slack)
    began, started = datetime.now(UTC), time.monotonic()
    out: Path = args.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    progress = Progress(batches, args.jobs)
    cells = run_matrix(batches, out / "rigs" / began.strftime("%Y%m%dT%H%M%S"), progress.done, args.jobs)
    report = Report(began, time.monotonic() - started, conditions(args.jobs), cells)
    print_report(report)
    write_html(report, out / "report.html")
    write_junit(report, out / "junit.xml")
    sys.stdout.write(f"report: {out / 'report.html'}   JUnit: {out / 'junit.xml'}\n")
    return 1 if report.of("failed") else 0


class Progress:
    """Says at the start how long it will take, and with each cell how long it still takes."""

    def __init__(self, batches: list[Batch], jobs: int) -> None:
        possible = [_possible(cell) for batch in batches for cell in batch]
        self._left, self._done, self._started = sum(possible), 0, time.monotonic()
        minutes = self._left * SECONDS_PER_CELL / jobs / 60
        sys.stdout.write(
            f"{self._left} cells ({len(possible) - self._left} more are not possible, the report says why) "
            f"on {len(batches)} rigs and modes, {jobs} at a time: about {max(minutes, 1):.0f} minutes\n"
        )

    def done(self, cell: Cell) -> None:
        """Print a cell that is done."""
        if not _possible(cell):
            return
        self._left, self._done = self._left - 1, self._done + 1
        left_s = (time.monotonic() - self._started) / self._done * self._left
        print_cell(cell, f"{self._left:4} left, {left_s / 60:3.0f} min")


def _possible(cell: Cell) -> bool:
    return not cell.fault.impossible(cell.rig.plc.protocol, cell.rig.plc.profile, cell.mode)


def simulated_rigs() -> list[str]:
    """Every protocol and profile, none of which needs equipment."""
    return [name for name in known_rigs() if find_rig(name).plc.kind == "soft"]


def conditions(jobs: int) -> str:
    """Under which the figures were taken."""
    rigs = "one rig" if jobs == 1 else f"{jobs} rigs"
    return f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} at the end, {rigs} at a time"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m hil_tests", description=__doc__)
    parser.add_argument("--rig", action="append", metavar="NAME|FILE", help="rig file; default: every simulated rig")
    parser.add_argument("--mode", action="append", choices=MODES, help="only in this mode; may be given more than once")
    parser.add_argument("--fault", action="append", default=[], metavar="NAME", help="only this row")
    parser.add_argument("--jobs", type=int, choices=range(1, 9), default=1, help="rigs that run at the same time")
    parser.add_argument("--slack", type=float, default=1.0, help="stretch time limits, on a computer that others use")
    parser.add_argument("--out", type=Path, default=Path("build/hil"), help="folder of the reports")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
