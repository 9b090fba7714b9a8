"""`python -m hil_tests`: the fault matrix on one rig or many, with a report to sign."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from hil_tests.faults.matrix import load_matrix
from hil_tests.report import Report, print_cell, print_report, write_html, write_junit
from hil_tests.rigfile import MODES, Mode, RigFileError, find_rig
from hil_tests.run import conditions, run_matrix

DEFAULT_RIGS = ("opcua-sequence",)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the matrix. Returns 0 when every cell passed or was skipped with its reason, 1 otherwise, 2 for bad input."""
    args = _parser().parse_args(arguments)
    try:
        rigs = [find_rig(name) for name in args.rig or DEFAULT_RIGS]
    except RigFileError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    faults = load_matrix()
    unknown = sorted(set(args.fault) - {fault.name for fault in faults})
    if unknown:
        sys.stderr.write(f"--fault {', '.join(unknown)}: no such row; there are: {', '.join(f.name for f in faults)}\n")
        return 2
    chosen = [fault for fault in faults if not args.fault or fault.name in args.fault]
    modes: list[Mode] = args.mode or list(MODES)
    began, started = datetime.now(UTC), time.monotonic()
    out: Path = args.out
    out.mkdir(parents=True, exist_ok=True)
    cells = run_matrix(rigs, modes, chosen, out / "rigs" / began.strftime("%Y%m%dT%H%M%S"), print_cell, args.slack)
    report = Report(began, time.monotonic() - started, conditions(), cells)
    print_report(report)
    write_html(report, out / "report.html")
    write_junit(report, out / "junit.xml")
    sys.stdout.write(f"report: {out / 'report.html'}   JUnit: {out / 'junit.xml'}\n")
    return 1 if report.failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m hil_tests", description=__doc__)
    parser.add_argument("--rig", action="append", metavar="NAME|FILE", help="rig file; may be given more than once")
    parser.add_argument("--mode", action="append", choices=MODES, help="only in this mode; may be given more than once")
    parser.add_argument("--fault", action="append", default=[], metavar="NAME", help="only this row")
    parser.add_argument("--slack", type=float, default=1.0, help="stretch time limits, on a computer that others use")
    parser.add_argument("--out", type=Path, default=Path("build/hil"), help="folder of the reports")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
