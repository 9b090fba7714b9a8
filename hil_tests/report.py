"""The report of a run: a table in the terminal, JUnit XML for machines, and a page that a customer can sign."""

from __future__ import annotations

import hashlib
import platform
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Column, Table

from controller.sim.workspace import PACKAGES, RECIPES
from hil_tests.cell import RESULTS, Cell, Result
from hil_tests.faults.matrix import MATRIX, spoken
from hil_tests.rigfile import MODES, RIGS

console = Console()


@dataclass(frozen=True, slots=True)
class Report:
    """A whole run."""

    began: datetime
    took_s: float
    conditions: str
    cells: list[Cell]

    def of(self, result: Result) -> list[Cell]:
        """Cells with this result."""
        return [cell for cell in self.cells if cell.result == result]

    def identity(self) -> dict[str, str]:
        """What was tested, with the SHA-256 of every file that decides about it."""
        slack = max((cell.slack for cell in self.cells), default=1.0)
        known = {
            "Linegate": version("linegate"),
            "Python": platform.python_version(),
            "Time limits": "as in the matrix" if slack == 1 else f"stretched by {slack:g}: not for acceptance",
            "Computer": f"{platform.node()}, {platform.system()} {platform.release()}, {self.conditions}",
            "Fault matrix": _digest(MATRIX),
        }
        for rig in sorted({cell.rig.name for cell in self.cells}):
            path = RIGS / f"{rig}.toml"
            if path.is_file():
                known[f"Rig {rig}"] = _digest(path)
        if any(cell.rig.line.kind == "simulated" for cell in self.cells):
            known["Recipe washer"] = _digest(RECIPES / "washer" / "recipe.toml")
            known["Catalogue washer"] = _digest(RECIPES / "washer" / "catalogue.toml")
            known["Model sim-washer 1.0.0"] = _digest(PACKAGES / "sim-washer" / "1.0.0" / "manifest.json")
        for path in sorted({c.rig.station.config for c in self.cells if c.rig.station.config is not None}):
            known[str(path)] = _digest(path)
        return known


def measured(cell: Cell) -> str:
    """What came of a cell, for people."""
    if cell.skipped:
        return cell.skipped
    counted = Counter(cell.answers)
    said = [f"{count}× {spoken(answer)}" if count > 1 else spoken(answer) for answer, count in counted.items()]
    if cell.safe_ms is not None:
        said.append(f"safe in {cell.safe_ms:.0f} ms")
    if cell.recover_ms is not None:
        said.append(f"Ready {cell.recover_ms:.0f} ms after the end")
    said.append(f"failsafe {cell.latch} latched" if cell.latch else "no latch")
    if cell.complaints and cell.stood_still_ms:
        said.append(f"the computer stood still for {cell.stood_still_ms:.0f} ms")
    return "; ".join(said)


_COLOURS: dict[Result, str] = {"passed": "green", "repeated": "cyan", "failed": "bold red", "skipped": "dim"}
_MARKS: dict[Result, str] = {"passed": "✓", "repeated": "2", "failed": "✗", "skipped": "·"}


def print_cell(cell: Cell, where: str = "") -> None:
    """One line as soon as a cell is done, and one for each thing that is wrong with it."""
    colour = _COLOURS[cell.result]
    console.print(f"[{colour}]{cell.result:8}[/{colour}] {where}  {cell.took_s:5.1f} s  {cell.fault.name:28} ", end="")
    console.print(f"{cell.rig.name} {cell.mode}: {measured(cell)}", markup=False, highlight=False, soft_wrap=True)
    for problem in (
        *cell.complaints,
        *(f"attempt {number}: {late}" for number, late in enumerate(cell.earlier, start=1)),
    ):
        console.print(f"          {problem}", markup=False, highlight=False, soft_wrap=True)


def print_report(report: Report) -> None:
    """The matrix as a table: a row per fault, a column per rig, a mark per mode."""
    rigs = list(dict.fromkeys(cell.rig.name for cell in report.cells))
    modes = [mode for mode in MODES if any(cell.mode == mode for cell in report.cells)]
    legend = "   ".join(f"{_MARKS[result]} {result}" for result in RESULTS)
    caption = f"{', '.join(modes)} in each column; {legend}"
    table = Table(Column("fault", no_wrap=True), title="Fault matrix", caption=caption)
    for rig in rigs:
        table.add_column(rig.replace("-", "-\n"), overflow="fold", min_width=2 * len(modes) - 1)
    by_place = {(cell.fault.name, cell.rig.name, cell.mode): cell for cell in report.cells}
    for name in dict.fromkeys(cell.fault.name for cell in report.cells):
        marks = (" ".join(_mark(by_place.get((name, rig, mode))) for mode in modes) for rig in rigs)
        table.add_row(name, *marks)
    console.print(table)
    counts = ", ".join(f"{len(report.of(result))} {result}" for result in RESULTS)
    console.print(f"{counts} in {report.took_s / 60:.1f} min ({report.conditions})")


def _mark(cell: Cell | None) -> str:
    return "–" if cell is None else f"[{_COLOURS[cell.result]}]{_MARKS[cell.result]}[/{_COLOURS[cell.result]}]"


def write_junit(report: Report, path: Path) -> None:
    """JUnit XML, one suite per rig and mode."""
    suites = ET.Element("testsuites", name="linegate fault matrix", time=f"{report.took_s:.1f}")
    for rig, mode in dict.fromkeys((cell.rig.name, cell.mode) for cell in report.cells):
        cells = [cell for cell in report.cells if (cell.rig.name, cell.mode) == (rig, mode)]
        suite = ET.SubElement(
            suites,
            "testsuite",
            name=f"{rig}-{mode}",
            tests=str(len(cells)),
            failures=str(sum(cell.result == "failed" for cell in cells)),
            skipped=str(sum(cell.result == "skipped" for cell in cells)),
            timestamp=report.began.isoformat(timespec="seconds"),
        )
        for cell in cells:
            case = ET.SubElement(suite, "testcase", classname=f"{rig}.{mode}", name=cell.fault.name)
            case.set("time", f"{cell.took_s:.2f}")
            if cell.skipped:
                ET.SubElement(case, "skipped", message=cell.skipped)
            elif cell.complaints:
                ET.SubElement(case, "failure", message=cell.complaints[0]).text = "\n".join(
                    cell.complaints + cell.notes
                )
            said = [f"expected: {cell.expected.text()}", f"measured: {measured(cell)}"]
            said += [f"attempt {number}: {late}" for number, late in enumerate(cell.earlier, start=1)]
            ET.SubElement(case, "system-out").text = "\n".join(said)
    ET.indent(suites)
    ET.ElementTree(suites).write(path, encoding="utf-8", xml_declaration=True)


def write_html(report: Report, path: Path) -> None:
    """The page to sign."""
    from hil_tests.report_page import page

    path.write_text(page(report), encoding="utf-8")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "not readable from here"
