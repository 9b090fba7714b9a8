"""The validation as one page: opens in any browser, prints without cutting a plot, loads nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from pathlib import Path

from models.catalogue import Catalogue
from models.lifecycle.validate.figures import COLLECT_BELOW, DefectFigures, GraphFigures
from models.lifecycle.validate.gallery import MOST, Mistake, drawn, missed, rejected
from models.lifecycle.validate.intervals import Rate
from models.lifecycle.validate.plots import Line, plot
from models.lifecycle.validate.validation import MODEL, People, Validation

STYLE = """
:root { --ink: #1c2430; --quiet: #55606e; --line: #d5dbe3; --bad: #a52a1f; --good: #2f7d4f; }
body { font: 15px/1.5 system-ui, "Segoe UI", sans-serif; color: var(--ink); margin: 0 auto; max-width: 62rem;
  padding: 1.5rem; }
h1 { font-size: 1.6rem; margin: 0; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; border-top: 2px solid var(--ink);
  padding-top: .5rem; break-after: avoid; } p.quiet, caption, figcaption, small { color: var(--quiet); }
table { border-collapse: collapse; width: 100%; margin: .6rem 0; } caption { text-align: left; caption-side: bottom; }
th, td { border-bottom: 1px solid var(--line); padding: .35rem .5rem; text-align: left; vertical-align: top; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
tr, figure, svg, table.short { break-inside: avoid; } small { white-space: nowrap; }
thead { display: table-header-group; }
.scroll { overflow-x: auto; }
.bad { color: var(--bad); font-weight: 600; } .fine { color: var(--good); font-weight: 600; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: 1rem; }
.plots figure { margin: 0; } svg { width: 100%; height: auto; font: 11px system-ui, sans-serif; }
svg text { fill: var(--ink); } .grid { stroke: #e3e7ec; fill: none; }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); gap: .8rem; }
.gallery figure { margin: 0; } .gallery img { width: 100%; height: 9rem; object-fit: contain; background: #eef1f5; }
figcaption { font-size: .8rem; overflow-wrap: anywhere; } .hit { background: #e4f3e6; } .miss { background: #fbe3e0; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; margin: .6rem 0; }
dt { color: var(--quiet); } dd { margin: 0; overflow-wrap: anywhere; }
@page { size: A4; margin: 14mm; }
@media print { body { font-size: 10.5pt; padding: 0; max-width: none; } .scroll { overflow: visible; }
  .plots { grid-template-columns: 1fr 1fr; } .gallery { grid-template-columns: repeat(4, 1fr); } }
"""

TABLE = "<div class='scroll'><table class='short'><thead><tr>"


def page(found: Validation, catalogue: Catalogue, root: Path) -> str:
    """The whole page. root: of the data set, for the pictures. Raises DatasetError for one that cannot be read."""
    shown = next(graph for graph in found.graphs if graph.graph == found.shown)
    sections = (
        _head(found, shown),
        _defects(shown, found.wanted_recall),
        _confusion(found),
        _curves(shown, found, catalogue),
        _graphs(found),
        _sizes(found),
        _gallery("Missed: defective parts that would pass", missed(found.answers, found.samples, catalogue), root),
        _gallery("Rejected: good parts that would not pass", rejected(found.answers, found.samples, catalogue), root),
        _people(found.people),
        _facts(found),
    )
    title = escape(f"Validation of {found.title}")
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, '
        f'initial-scale=1"><title>{title}</title><style>{STYLE}</style><h1>{title}</h1>'
        + "".join(sections)
        + "</html>\n"
    )


def _head(found: Validation, shown: GraphFigures) -> str:
    looks = sum(use.version == found.test_version for use in found.uses)
    weak = [defect.name for defect in shown.defects if not defect.found.value >= COLLECT_BELOW]
    notes = [
        f'<p class="bad">Collect more pictures before anything else: recall under {COLLECT_BELOW:.0%}, or no picture, '
        f"of {escape(', '.join(weak))}.</p>"
        if weak
        else "",
        f'<p class="bad">INT8 loses more than the gate allows: {escape("; ".join(found.losses()))}.</p>'
        if found.losses()
        else "",
        f'<p class="bad">This test split has been looked at {looks} times. What was chosen by an earlier look makes '
        "these figures too good.</p>"
        if looks > 1
        else "",
    ]
    return (
        f'<p class="quiet">{escape(found.made_at)} · graph {escape(found.shown.upper())} · {len(found.samples)} test '
        f"pictures · look {looks} at this test split</p>"
        + "".join(notes)
        + "<table><tr><th><th class='n'>rate<th>95 % interval, exact"
        f"<tr><td>defective parts caught (NG or UNSURE){_cells(shown.caught)}"
        f"<tr><td>good parts rejected (NG or UNSURE){_cells(shown.rejected)}</table>"
    )


def _defects(shown: GraphFigures, wanted: float) -> str:
    rows = "".join(_defect(defect) for defect in shown.defects)
    return (
        f"<h2>Per defect type</h2>{TABLE}<th>defect<th class='n'>recall<th>95 % interval"
        "<th class='n'>NG alone<th class='n'>precision<th>95 % interval<th class='n'>F1<th>to prove a recall of "
        f"{wanted:.0%}</thead>{rows}<caption>Recall counts NG and UNSURE. To prove: how many more parts with this "
        "defect, if the model goes on as here, until the lower bound lies above it.</caption></table></div>"
    )


def _defect(defect: DefectFigures) -> str:
    if defect.more is None:
        more = '<span class="bad">not at this recall</span>'
    else:
        more = f"{defect.more} more" if defect.more else '<span class="fine">proven</span>'
    return (
        f"<tr><td>{escape(defect.name)}{_cells(defect.found)}<td class='n'>{_share(defect.sure.value)}"
        f"{_cells(defect.precision)}<td class='n'>{_figure(defect.f1)}<td>{more}"
    )


def _confusion(found: Validation) -> str:
    matrix = found.confusion
    head = "".join(f"<th class='n'>{escape(name)}" for name in matrix.columns)
    body = ""
    for row, counts in zip(matrix.rows, matrix.counts, strict=True):
        cells = "".join(
            f"<td class='n{' hit' if column == row else ' miss' if count else ''}'>{count}"
            for column, count in zip(matrix.columns, counts, strict=True)
        )
        body += f"<tr><th>{escape(row)}{cells}"
    return (
        f"<h2>Confusion matrix</h2>{TABLE}<th>is \\ was taken for{head}</thead>{body}"
        "<caption>Parts by what they are (rows). A part with two defects counts in both rows.</caption></table></div>"
    )


def _curves(shown: GraphFigures, found: Validation, catalogue: Catalogue) -> str:
    lines: list[Line] = []
    marks: list[tuple[float, float]] = []
    for defect in shown.defects:
        if defect.curve is not None:
            points = [(0.0, defect.curve.precision[0]), *zip(defect.curve.recall, defect.curve.precision, strict=True)]
            lines.append(Line(f"{defect.name} {defect.curve.average:.2f}", points))
            marks.append((defect.found.value, 1.0 if math.isnan(defect.precision.value) else defect.precision.value))
    risk = [(step.coverage, step.risk) for step in found.band]
    highest = _round_up(max([0.01, *(step.risk for step in found.band)]))
    return (
        "<h2>Curves</h2><div class='plots'><figure>"
        + plot(lines, "recall", "precision", marks=marks)
        + "<figcaption>Precision over recall, with average precision; the ring is where the catalogue's "
        "min_confidence lies.</figcaption></figure><figure>"
        + plot(
            [Line("risk", risk)],
            "share decided without a person",
            "share of those decided wrongly",
            (0, 1),
            (0, highest),
        )
        + "<figcaption>UNSURE band around the line: the wider it is, the fewer parts are decided (to the left), and "
        "the fewer of those wrongly.</figcaption></figure></div>"
    )


def _graphs(found: Validation) -> str:
    names = [defect.name for defect in found.graphs[0].defects]
    rows = [
        ("defective parts caught", [_narrow(graph.caught) for graph in found.graphs]),
        ("good parts rejected", [_narrow(graph.rejected) for graph in found.graphs]),
        *(
            (f"recall {name}", [_narrow(graph.defects[n].found) for graph in found.graphs])
            for n, name in enumerate(names)
        ),
        *(
            (f"latency {share}", [f"<td>{graph.latency_ms[share]:.2f} ms" for graph in found.graphs])
            for share in found.graphs[0].latency_ms
        ),
    ]
    head = "".join(f"<th>{escape(graph.graph.upper())}" for graph in found.graphs)
    body = "".join(f"<tr><td>{escape(name)}" + "".join(cells) for name, cells in rows)
    return f"<h2>Graphs side by side</h2><div class='scroll'><table><thead><tr><th>{head}</thead>{body}</table></div>"


def _sizes(found: Validation) -> str:
    if not found.sizes:
        return ""
    rows = "".join(
        f"<tr><td>{escape(e.name)}<td class='n'>{e.matched} of {e.labelled}<td class='n'>{e.bias:+.3f}"
        f"<td class='n'>{e.median:.3f}<td class='n'>{e.p95:.3f}"
        for e in found.sizes
    )
    return (
        f"<h2>Lengths against labelled outlines, in mm</h2>{TABLE}<th>defect<th class='n'>places matched"
        "<th class='n'>mean of model − label<th class='n'>median error<th class='n'>95 % of errors below</thead>"
        f"{rows}</table></div>"
    )


def _gallery(title: str, mistakes: Sequence[Mistake], root: Path) -> str:
    if not mistakes:
        return f"<h2>{escape(title)}: none</h2>"
    more = f" The {MOST} worst are shown." if len(mistakes) > MOST else ""
    figures = "".join(_mistake(mistake, root) for mistake in mistakes[:MOST])
    return (
        f"<h2>{escape(title)}: {len(mistakes)}</h2>"
        f"<p class='quiet'>Green: the label. Orange: what the model marked.{more}</p>"
        f"<div class='gallery'>{figures}</div>"
    )


def _mistake(mistake: Mistake, root: Path) -> str:
    name, score = max(mistake.said.scores.items(), key=lambda item: item[1])
    is_a = ", ".join(mistake.sample.classes) or "good"
    text = f"{mistake.sample.image.removeprefix('images/')}: is {is_a}; surest {name} {score:.2f}"
    return f'<figure><img alt="" src="{drawn(root, mistake)}"><figcaption>{escape(text)}</figcaption></figure>'


def _people(people: People | None) -> str:
    if people is None:
        return ""
    rows = "".join(
        f"<tr><td>{escape(a.judge)}{_narrow(a.repeatability)}{_narrow(a.effectiveness)}{_narrow(a.misses)}"
        f"{_narrow(a.false_alarms)}<td class='n'>{_figure(a.kappa)}"
        f"<td class='n'>{_figure(people.with_model.get(a.judge, math.nan)) if a.judge != MODEL else ''}<td>{a.grade}"
        for a in people.appraisals
    )
    differ = "".join(
        f"<tr><td>{escape(image)}<td>{_word(truth)}<td>{_word(model)}<td>"
        + escape("; ".join(f"{judge} {looks}" for judge, looks in said.items()))
        for image, truth, model, said in people.disagreements
    )
    table = (
        f"<table><thead><tr><th>part<th>truth<th>model<th>inspectors (G good, B bad, by look)</thead>{differ}</table>"
    )
    return (
        f"<h2>Inspectors and model</h2>{TABLE}<th><th>repeatability<th>effectiveness"
        "<th>miss rate<th>false-alarm rate<th class='n'>κ truth<th class='n'>κ model<th>grade</thead>"
        f"{rows}<caption>Attribute study after AIAG MSA: effectiveness from 90 % (80 %), misses to 2 % (5 %), false "
        f"alarms to 5 % (10 %) are acceptable (marginal). Fleiss' κ between inspectors: {_figure(people.between)}."
        "</caption></table></div>"
        f"<p>{len(people.disagreements)} parts on which somebody disagrees with the model:</p>"
        + (table if people.disagreements else "")
    )


def _facts(found: Validation) -> str:
    facts = "".join(f"<dt>{escape(name)}<dd>{escape(value)}" for name, value in found.facts.items())
    uses = "".join(f"<li>{escape(f'{use.at} {use.by}: {use.purpose} ({use.version[:12]})')}" for use in found.uses)
    looks = f"<p>Every look at a test split of this set:</p><ol>{uses}</ol>"
    return f"<h2>Where these figures come from</h2><dl>{facts}</dl>{looks}"


def _cells(rate: Rate) -> str:
    if not rate.total:
        return "<td class='n'>–<td>none to count"
    counted = f"<small>({rate.hits} of {rate.total})</small>"
    return f"<td class='n'>{rate.value:.1%}<td>{rate.low:.1%} to {rate.high:.1%} {counted}"


def _narrow(rate: Rate) -> str:
    if not rate.total:
        return "<td>–"
    return f"<td>{rate.value:.1%}<br><small>{rate.low:.1%} to {rate.high:.1%}<br>{rate.hits} of {rate.total}</small>"


def _round_up(value: float) -> float:
    """The next of 1, 2, 5 and their tenfolds, so that an axis has round numbers."""
    scale = 10.0 ** math.floor(math.log10(value))
    return next(step * scale for step in (1, 2, 5, 10) if step * scale >= value * (1 - 1e-9))


def _share(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.1%}"


def _figure(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2f}"


def _word(defective: bool) -> str:
    return "bad" if defective else "good"
