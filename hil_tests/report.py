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
from rich.table import Table

from controller.sim.workspace import PACKAGES, RECIPES
from hil_tests.faults.matrix import MATRIX, spoken
from hil_tests.rigfile import RIGS
from hil_tests.run import Cell

console = Console()


@dataclass(frozen=True, slots=True)
class Report:
    """A whole run."""

    began: datetime
    took_s: float
    conditions: str
    cells: list[Cell]

    @property
    def failed(self) -> list[Cell]:
        return [cell for cell in self.cells if cell.problems]

    @property
    def skipped(self) -> list[Cell]:
        return [cell for cell in self.cells if cell.skipped]

    @property
    def passed(self) -> list[Cell]:
        return [cell for cell in self.cells if cell.passed]

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


def result_of(cell: Cell) -> str:
    """passed, failed or skipped."""
    return "skipped" if cell.skipped else "failed" if cell.problems else "passed"


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
    return "; ".join(said)


_COLOURS = {"passed": "green", "failed": "bold red", "skipped": "yellow"}


def print_cell(cell: Cell) -> None:
    """One line as soon as a cell is done."""
    result = result_of(cell)
    colour = _COLOURS[result]
    console.print(f"[{colour}]{result:7}[/{colour}] {cell.took_s:5.1f} s  {cell.fault.name:28} ", end="")
    console.print(f"{cell.rig.name} {cell.mode}: {measured(cell)}", markup=False, highlight=False, soft_wrap=True)
    for problem in cell.problems:
        console.print(f"          {problem}", markup=False, highlight=False)


def print_report(report: Report) -> None:
    """The matrix as a table: a row per fault, a column per rig and mode."""
    columns = list(dict.fromkeys((cell.rig.name, cell.mode) for cell in report.cells))
    table = Table("fault", *(f"{rig}\n{mode}" for rig, mode in columns), title="Fault matrix")
    by_place = {(cell.fault.name, cell.rig.name, cell.mode): cell for cell in report.cells}
    for name in dict.fromkeys(cell.fault.name for cell in report.cells):
        marks = [_mark(by_place.get((name, rig, mode))) for rig, mode in columns]
        table.add_row(name, *marks)
    console.print(table)
    console.print(
        f"{len(report.passed)} passed, {len(report.failed)} failed, {len(report.skipped)} skipped "
        f"in {report.took_s:.0f} s ({report.conditions})"
    )


def _mark(cell: Cell | None) -> str:
    if cell is None:
        return "–"
    result = result_of(cell)
    return f"[{_COLOURS[result]}]{result}[/{_COLOURS[result]}]"


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
            failures=str(sum(bool(cell.problems) for cell in cells)),
            skipped=str(sum(bool(cell.skipped) for cell in cells)),
            timestamp=report.began.isoformat(timespec="seconds"),
        )
        for cell in cells:
            case = ET.SubElement(suite, "testcase", classname=f"{rig}.{mode}", name=cell.fault.name)
            case.set("time", f"{cell.took_s:.2f}")
            if cell.skipped:
                ET.SubElement(case, "skipped", message=cell.skipped)
            elif cell.problems:
                ET.SubElement(case, "failure", message=cell.problems[0]).text = "\n".join(cell.problems + cell.notes)
            ET.SubElement(case, "system-out").text = f"expected: {cell.expected.text()}\nmeasured: {measured(cell)}"
    ET.indent(suites)
    ET.ElementTree(suites).write(path, encoding="utf-8", xml_declaration=True)


def write_html(report: Report, path: Path) -> None:
    """The page to sign."""
    from hil_tests.report_page import page

    path.write_text(page(report), encoding="utf-8")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "not readable from here"
