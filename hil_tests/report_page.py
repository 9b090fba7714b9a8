"""The acceptance report as one HTML page: no script, nothing loaded from elsewhere, made for screen and paper."""

from __future__ import annotations

from collections import defaultdict
from html import escape
from itertools import groupby
from typing import TYPE_CHECKING

from hil_tests.cell import RESULTS, Cell, Result
from hil_tests.faults.matrix import Fault
from hil_tests.rigfile import MODES, Mode

if TYPE_CHECKING:
    from hil_tests.report import Report

_STYLE = """
:root { --ink: #1c2330; --soft: #5b6678; --rule: #d5dae2; --ok: #17693a; --bad: #b3261e; --again: #8a6100; }
* { box-sizing: border-box; }
body { margin: 2rem auto; max-width: 82rem; padding: 0 1.5rem; color: var(--ink);
  font: 14px/1.4 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { font-size: 1.7rem; margin: 0; } h2 { font-size: 1.25rem; margin: 2.4rem 0 .6rem; }
h3 { font-size: 1rem; margin: 1.8rem 0 .1rem; }
.sub { color: var(--soft); margin: .2rem 0 1.4rem; }
.sum { display: flex; gap: 1rem; margin: 1rem 0; }
.sum div { flex: 1; border: 1px solid var(--rule); border-radius: 6px; padding: .7rem 1rem; }
.sum b { display: block; font-size: 1.6rem; line-height: 1.2; }
table { border-collapse: collapse; width: 100%; } caption { text-align: left; color: var(--soft); padding: .2rem 0; }
th, td { text-align: left; vertical-align: top; padding: .25rem .5rem; border-bottom: 1px solid var(--rule); }
th { font-weight: 600; } thead th { border-bottom: 2px solid var(--ink); }
.grid { table-layout: fixed; } .grid th:first-child { width: 30%; font-weight: 400; text-align: left; }
.grid td, .grid thead th { text-align: center; }
.grid .group th { background: #eef1f5; font-weight: 600; text-align: left; }
.grid td { border-left: 1px solid #fff; } .grid .edge { border-left: 2px solid var(--ink); }
.grid thead th { font-size: .8rem; padding: .25rem .1rem; }
.grid thead tr + tr th { font-size: .68rem; font-weight: 400; }
td.passed { background: #dff1e5; } td.failed { background: #f6d0cc; } td.repeated { background: #fbeec2; }
td.skipped { background: #f4f5f7; color: var(--soft); }
.cells { table-layout: fixed; font-size: .86rem; } .cells th:first-child { width: 13rem; }
.expect { margin: .1rem 0 .4rem; color: var(--soft); } .expect b { color: var(--ink); font-weight: 600; }
.id td:last-child { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: .8rem; word-break: break-all; }
b.passed { color: var(--ok); } b.failed { color: var(--bad); } b.repeated { color: var(--again); }
.name { color: var(--soft); font-size: .85rem; font-weight: 400; }
.why { color: var(--bad); } .again { color: var(--again); }
.sign { display: grid; grid-template-columns: 1fr 1fr; gap: 2.5rem 3rem; margin-top: 3rem; }
.sign div { border-top: 1px solid var(--ink); padding-top: .3rem; color: var(--soft); font-size: .85rem; }
.decision { display: flex; gap: 2.5rem; margin-top: .8rem; } .box { border: 1px solid var(--ink); display: inline-block;
  width: .9rem; height: .9rem; margin-right: .5rem; vertical-align: -1px; }
* { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
@media print { body { margin: 0; max-width: none; font-size: 9.5px; padding: 0; }
  h2, h3, .expect { break-after: avoid; } tr, .sign, .sum { break-inside: avoid; }
  @page { size: A4 landscape; margin: 12mm; } }
"""
_SIGN: dict[Result, str] = {"passed": "✓", "repeated": "✓₂", "failed": "✗", "skipped": "–"}
_MEANING: dict[Result, str] = {
    "passed": "passed",
    "repeated": "passed at a later attempt, since those before were late; what they were is said below",
    "failed": "failed",
    "skipped": "not possible there, with its reason below",
}


def page(report: Report) -> str:
    """The whole page."""
    result = "failed" if report.of("failed") else "passed"
    rigs = ", ".join(dict.fromkeys(cell.rig.name for cell in report.cells))
    body = [
        "<h1>Linegate fault matrix: acceptance report</h1>",
        f"<p class='sub'>Rigs {escape(rigs)} · begun {report.began:%Y-%m-%d %H:%M} UTC · took "
        f"{_duration(report.took_s)}</p>",
        _summary(report),
        f"<p>Result of the run: <b class='{result}'>{_SIGN[result]} {result}</b>. Every fault below was provoked on "
        "the rig; the figures are the PLC's own tally of what it asked and what came back, compared part by part "
        "with the station's journal. In no cell may a part be answered twice, for "
        "another part, or be acted on too late: such a cell fails at once. Only what was safe and late is tried "
        "again, and marked.</p>",
        "<p class='name'>Each part's answer is a verdict and its reason. <b>No answer</b>: triggered, and the PLC's "
        "own fallback acted. <b>Not triggered</b>: the PLC knew that it must not. <b>Safe</b>: from the fault until "
        "the PLC knows. The gate's movement for every part follows from mode and answer by the PLC contract.</p>",
        "<h2>What was tested</h2>",
        _identity(report),
        "<h2>Overview</h2>",
        _grid(report),
        *_failures(report),
        "<h2>Every fault</h2>",
        *_details(report),
        _signatures(),
    ]
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>Linegate acceptance report</title>"
        f"<meta name='viewport' content='width=device-width'><style>{_STYLE}</style></head>"
        f"<body>{''.join(body)}</body></html>\n"
    )


def _summary(report: Report) -> str:
    numbers = [("faults", len({cell.fault.name for cell in report.cells}), "")]
    numbers += [(f"cells {_NAMES[result]}", len(report.of(result)), result) for result in RESULTS]
    boxes = (f"<div><b class='{kind if number else ''}'>{number}</b>{name}</div>" for name, number, kind in numbers)
    return f"<div class='sum'>{''.join(boxes)}</div>"


_NAMES: dict[Result, str] = {
    "passed": "passed",
    "repeated": "passed at a later attempt",
    "failed": "failed",
    "skipped": "not possible",
}


def _identity(report: Report) -> str:
    rows = "".join(f"<tr><td>{escape(k)}</td><td>{escape(v)}</td></tr>" for k, v in report.identity().items())
    return f"<table class='id'><caption>Files by SHA-256</caption>{rows}</table>"


def _grid(report: Report) -> str:
    rigs = list(dict.fromkeys(cell.rig.name for cell in report.cells))
    modes = _modes(report)
    by_place = {(cell.fault.name, cell.rig.name, cell.mode): cell for cell in report.cells}
    top = "".join(f"<th class='edge' colspan='{len(modes)}'>{escape(rig)}</th>" for rig in rigs)
    second = "".join(f"<th class='{_edge(i)}'>{_short(mode)}</th>" for _ in rigs for i, mode in enumerate(modes))
    lines: list[str] = []
    for group, faults in groupby(_faults(report), key=lambda fault: fault.group):
        width = 1 + len(rigs) * len(modes)
        lines.append(f"<tr class='group'><th colspan='{width}'>{escape(group)}</th></tr>")
        for fault in faults:
            marks = (
                _mark(by_place.get((fault.name, rig, mode)), _edge(i)) for rig in rigs for i, mode in enumerate(modes)
            )
            lines.append(f"<tr><th>{escape(fault.title)}</th>{''.join(marks)}</tr>")
    legend = " &nbsp; ".join(f"{_SIGN[result]} {_MEANING[result]}" for result in RESULTS)
    return (
        f"<table class='grid'><caption>{legend}</caption><thead>"
        f"<tr><th></th>{top}</tr><tr><th>Fault</th>{second}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
    )


def _mark(cell: Cell | None, edge: str) -> str:
    if cell is None:
        return f"<td class='{edge}'></td>"
    return f"<td class='{cell.result} {edge}' title='{cell.result}'>{_SIGN[cell.result]}</td>"


def _edge(index: int) -> str:
    return "" if index else "edge"


def _failures(report: Report) -> list[str]:
    """First what a reader must see: every cell that failed."""
    failed = report.of("failed")
    if not failed:
        return []
    rows = (
        f"<tr><td>{escape(cell.fault.title)}</td><td>{escape(cell.rig.name)}, {_short(cell.mode)}</td>"
        f"<td class='why'>{'<br>'.join(map(escape, cell.complaints))}</td></tr>"
        for cell in failed
    )
    return [
        "<h2>What failed</h2><table><thead><tr><th>Fault</th><th>Where</th><th>What</th></tr></thead>",
        f"<tbody>{''.join(rows)}</tbody></table>",
    ]


def _details(report: Report) -> list[str]:
    """A block for each fault: what is expected, and what came of it on each rig in each mode."""
    modes = _modes(report)
    cells: dict[str, list[Cell]] = defaultdict(list)
    for cell in report.cells:
        cells[cell.fault.name].append(cell)
    head = "".join(f"<th>{_short(mode)}</th>" for mode in modes)
    parts: list[str] = []
    for fault in _faults(report):
        mine = cells[fault.name]
        rows: list[str] = []
        for rig, its in groupby(mine, key=lambda cell: cell.rig.name):
            rows.append(f"<tr><th>{escape(rig)}</th>{_row({cell.mode: cell for cell in its}, modes)}</tr>")
        parts.append(
            f"<h3>{escape(fault.title)} <span class='name'>{escape(fault.name)}</span></h3>{_expected(mine)}"
            f"<table class='cells'><thead><tr><th></th>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
        )
    return parts


def _expected(cells: list[Cell]) -> str:
    """What is expected, once for all cells that expect the same."""
    places: dict[str, list[Cell]] = defaultdict(list)
    for cell in cells:
        if not cell.skipped:
            places[cell.expected.text()].append(cell)
    lines: list[str] = []
    for text, its in places.items():
        profiles = sorted({cell.rig.plc.profile for cell in its})
        modes: list[Mode] = [mode for mode in MODES if mode in {cell.mode for cell in its}]
        where = "" if len(places) == 1 else f" ({' and '.join(profiles)}; {', '.join(map(_short, modes))})"
        lines.append(f"<div><b>Expected{where}:</b> {escape(text)}</div>")
    return f"<div class='expect'>{''.join(lines)}</div>"


def _row(by_mode: dict[Mode, Cell], modes: list[Mode]) -> str:
    """One rig's cells; one wide one where it is the same reason in every mode for which there is none."""
    reasons = {cell.skipped for cell in by_mode.values()}
    if len(reasons) == 1 and (why := reasons.pop()):
        return f"<td class='skipped' colspan='{len(modes)}'>{escape(why)}</td>"
    return "".join(_detail(by_mode[mode]) if mode in by_mode else "<td></td>" for mode in modes)


def _detail(cell: Cell) -> str:
    from hil_tests.report import measured

    found = f"{_SIGN[cell.result]} {escape(measured(cell))}"
    found += "".join(f"<div class='why'>{escape(complaint)}</div>" for complaint in cell.complaints)
    earlier = enumerate(cell.earlier, start=1)
    found += "".join(f"<div class='again'>attempt {number}: {escape(late)}</div>" for number, late in earlier)
    if not cell.complaints:
        found += "".join(f"<div class='name'>{escape(note)}</div>" for note in cell.notes)
    return f"<td class='{cell.result}'>{found}</td>"


def _modes(report: Report) -> list[Mode]:
    return [mode for mode in MODES if any(cell.mode == mode for cell in report.cells)]


def _faults(report: Report) -> list[Fault]:
    return list({cell.fault.name: cell.fault for cell in report.cells}.values())


def _short(mode: Mode) -> str:
    return mode.replace("_", " ").lower()


def _signatures() -> str:
    fields = ("Supplier: name, date", "Customer: name, date", "Signature", "Signature")
    boxes = "".join(f"<div>{field}</div>" for field in fields)
    choice = "".join(
        f"<span><i class='box'></i>{text}</span>" for text in ("accepted", "accepted with remarks", "not accepted")
    )
    return f"<h2>Acceptance</h2><div class='decision'>{choice}</div><div class='sign'>{boxes}</div>"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
