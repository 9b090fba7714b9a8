"""The acceptance report as one HTML page: no script, nothing loaded from elsewhere, made for screen and paper."""

from __future__ import annotations

from html import escape
from itertools import groupby
from typing import TYPE_CHECKING

from hil_tests.rigfile import MODES

if TYPE_CHECKING:
    from hil_tests.report import Report
    from hil_tests.run import Cell

_STYLE = """
:root { --ink: #1c2330; --soft: #5b6678; --rule: #d5dae2; --ok: #17693a; --bad: #b3261e; --off: #8a6100; }
* { box-sizing: border-box; }
body { margin: 2rem auto; max-width: 74rem; padding: 0 1.5rem; color: var(--ink);
  font: 15px/1.45 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { font-size: 1.7rem; margin: 0; } h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem; }
h3 { font-size: 1rem; margin: 1.6rem 0 .4rem; }
.sub { color: var(--soft); margin: .2rem 0 1.4rem; }
.sum { display: flex; gap: 1rem; margin: 1rem 0; }
.sum div { flex: 1; border: 1px solid var(--rule); border-radius: 6px; padding: .7rem 1rem; }
.sum b { display: block; font-size: 1.6rem; line-height: 1.2; }
table { border-collapse: collapse; width: 100%; } caption { text-align: left; color: var(--soft); padding: .2rem 0; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem; border-bottom: 1px solid var(--rule); }
th { font-weight: 600; } thead th { border-bottom: 2px solid var(--ink); }
.detail th:nth-child(1), .detail td:nth-child(1) { width: 27%; } .detail td:nth-child(2) { width: 32%; }
.detail td:nth-child(4) { width: 5.5rem; white-space: nowrap; font-weight: 600; }
.grid td, .grid th { text-align: center; } .grid td:first-child, .grid th:first-child { text-align: left; }
.id td:last-child { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: .8rem; word-break: break-all; }
.passed { color: var(--ok); } .failed { color: var(--bad); } .skipped { color: var(--off); }
.name { color: var(--soft); font-size: .85rem; } .why { color: var(--bad); }
.sign { display: grid; grid-template-columns: 1fr 1fr; gap: 2.5rem 3rem; margin-top: 3rem; }
.sign div { border-top: 1px solid var(--ink); padding-top: .3rem; color: var(--soft); font-size: .85rem; }
.decision { display: flex; gap: 2.5rem; margin-top: .8rem; } .box { border: 1px solid var(--ink); display: inline-block;
  width: .9rem; height: .9rem; margin-right: .5rem; vertical-align: -1px; }
@media print { body { margin: 0; max-width: none; font-size: 10.5px; padding: 0; }
  h2, h3 { break-after: avoid; } tr, .sign, .sum { break-inside: avoid; } @page { margin: 14mm; } }
"""
_SIGN = {"passed": "✓", "failed": "✗", "skipped": "○"}


def page(report: Report) -> str:
    """The whole page."""
    verdict = "passed" if not report.failed else "failed"
    rigs = ", ".join(dict.fromkeys(cell.rig.name for cell in report.cells))
    body = [
        "<h1>Linegate fault matrix: acceptance report</h1>",
        f"<p class='sub'>Rig {escape(rigs)} · begun {report.began:%Y-%m-%d %H:%M} UTC · took {_duration(report.took_s)}"
        "</p>",
        _summary(report),
        f"<p>Result of the run: <b class='{verdict}'>{_SIGN[verdict]} {verdict}</b>. Every fault below was provoked on "
        "the rig; the figures are the PLC's own tally of what it asked and what came back, compared part by part "
        "with the station's journal. In no cell may a part be answered twice, for "
        "another part, or be acted on too late.</p>",
        "<p class='name'>Each part's answer is a verdict and its reason. <b>No answer</b>: triggered, and the PLC's "
        "own fallback acted. <b>Not triggered</b>: the PLC knew that it must not. <b>Safe</b>: from the fault until "
        "the PLC knows. The gate's movement for every part follows from mode and answer by the PLC contract.</p>",
        "<h2>What was tested</h2>",
        _identity(report),
        "<h2>Overview</h2>",
        _grid(report),
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
    faults = len({cell.fault.name for cell in report.cells})
    numbers = (
        ("faults", faults, ""),
        ("cells passed", len(report.passed), "passed"),
        ("cells failed", len(report.failed), "failed" if report.failed else ""),
        ("cells skipped", len(report.skipped), "skipped" if report.skipped else ""),
    )
    boxes = "".join(f"<div><b class='{kind}'>{number}</b>{name}</div>" for name, number, kind in numbers)
    return f"<div class='sum'>{boxes}</div>"


def _identity(report: Report) -> str:
    rows = "".join(f"<tr><td>{escape(k)}</td><td>{escape(v)}</td></tr>" for k, v in report.identity().items())
    return f"<table class='id'><caption>Files by SHA-256</caption>{rows}</table>"


def _grid(report: Report) -> str:
    from hil_tests.report import result_of

    rigs = list(dict.fromkeys(cell.rig.name for cell in report.cells))
    modes = [mode for mode in MODES if any(cell.mode == mode for cell in report.cells)]
    by_place = {(cell.fault.name, cell.rig.name, cell.mode): cell for cell in report.cells}
    top = "".join(f"<th colspan='{len(modes)}'>{escape(rig)}</th>" for rig in rigs)
    second = "".join(f"<th>{mode.replace('_', ' ').lower()}</th>" for _ in rigs for mode in modes)
    lines: list[str] = []
    for fault in {cell.fault.name: cell.fault for cell in report.cells}.values():
        marks: list[str] = []
        for rig in rigs:
            for mode in modes:
                cell = by_place.get((fault.name, rig, mode))
                result = result_of(cell) if cell else ""
                marks.append(f"<td class='{result}' title='{result}'>{_SIGN.get(result, '')}</td>")
        lines.append(f"<tr><td>{escape(fault.title)}</td>{''.join(marks)}</tr>")
    return (
        "<table class='grid'><caption>✓ passed &nbsp; ✗ failed &nbsp; ○ skipped, with its reason below</caption><thead>"
        f"<tr><th></th>{top}</tr><tr><th>Fault</th>{second}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
    )


def _details(report: Report) -> list[str]:
    parts: list[str] = []
    for (rig, mode), cells in groupby(report.cells, key=lambda cell: (cell.rig.name, cell.mode)):
        parts.append(f"<h3>{escape(rig)}, {mode.replace('_', ' ')}</h3>")
        rows = "".join(_detail(cell) for cell in cells)
        parts.append(
            "<table class='detail'><thead><tr><th>Fault</th><th>Expected</th><th>Measured</th><th>Result</th></tr>"
            f"</thead><tbody>{rows}</tbody></table>"
        )
    return parts


def _detail(cell: Cell) -> str:
    from hil_tests.report import measured, result_of

    result = result_of(cell)
    found = escape(measured(cell))
    found += "".join(f"<div class='why'>{escape(problem)}</div>" for problem in cell.problems)
    if not cell.problems:
        found += "".join(f"<div class='name'>{escape(note)}</div>" for note in cell.notes)
    return (
        f"<tr><td>{escape(cell.fault.title)}<div class='name'>{escape(cell.fault.name)}</div></td>"
        f"<td>{escape(cell.expected.text())}</td><td>{found}</td>"
        f"<td class='{result}'>{_SIGN[result]} {result}</td></tr>"
    )


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
