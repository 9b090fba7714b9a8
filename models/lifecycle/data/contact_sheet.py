"""A catalogue as a page to print and argue over: severity matrix, costs, and its reference images side by side."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path

from models.catalogue import Catalogue, DefectType
from models.lifecycle.data.catalogue_draft import UNITS

LEVELS: Sequence[str] = ("minor", "major", "critical")
TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".bmp": "image/bmp", ".webp": "image/webp"}

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color: #1c2430; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin: 0 0 .3rem; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0 2rem; }
th, td { border-bottom: 1px solid #d5dbe3; padding: .4rem .6rem; text-align: left; vertical-align: top; }
td.NG { background: #fbe3e0; } td.OK { background: #e4f3e6; }
section { break-inside: avoid; border-top: 1px solid #d5dbe3; padding: 1rem 0; }
figure { display: inline-block; margin: .4rem .8rem .4rem 0; }
figure img { height: 160px; max-width: 320px; object-fit: contain; background: #eef1f5; image-rendering: pixelated; }
figcaption, .none { color: #5a6675; font-size: .85rem; }
"""


def matrix(catalogue: Catalogue) -> list[tuple[str, ...]]:
    """Rows of the severity matrix: code, name, measure, then for each level what it takes and what follows."""
    return [
        (
            str(defect.code),
            defect.name,
            f"{defect.measure}, {UNITS[defect.measure]}",
            *(cell(defect, level)[0] for level in LEVELS),
        )
        for defect in catalogue.defects
    ]


def cell(defect: DefectType, level: str) -> tuple[str, str]:
    """What it takes to be of this severity, and the verdict that follows ("" for both where it does not occur)."""
    for limit in defect.severities:
        if limit.severity == level:
            return f"> {limit.above:g}: {limit.verdict}", limit.verdict
    return "", ""


def sheet(catalogue: Catalogue, folder: Path) -> str:
    """The page, with every image in it. folder: the catalogue's."""
    cost = "".join(
        f"<th>{level}<br><small>escaped: {getattr(catalogue.costs, level):g}</small></th>" for level in LEVELS
    )
    rows = "".join(_row(defect) for defect in catalogue.defects)
    sections = "".join(_section(defect, folder) for defect in catalogue.defects)
    title = escape(f"Defect catalogue: {catalogue.product}")
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>{STYLE}</style><h1>{title}</h1>"
        f"<p>Content {catalogue.hash[:12]}. A size within the band of a limit, and a doubtful finding, is UNSURE.</p>"
        f"<table><tr><th>code<th>defect<th>measure{cost}<th>UNSURE</tr>{rows}</table>{sections}"
    )


def _row(defect: DefectType) -> str:
    cells = "".join(f'<td class="{verdict}">{escape(text)}</td>' for text, verdict in (cell(defect, x) for x in LEVELS))
    unsure = f"± {defect.unsure_margin:.0%}; confidence {defect.min_confidence:g} to {defect.sure_confidence:g}"
    unit = UNITS[defect.measure]
    return f"<tr><td>{defect.code}<td>{escape(defect.name)}<td>{defect.measure}, {unit}{cells}<td>{escape(unsure)}</tr>"


def _section(defect: DefectType, folder: Path) -> str:
    figures = "".join(_figure(folder / file, file) for file in defect.reference_images)
    none = '<p class="none">No reference image: add some, or inspectors and labels will drift apart.</p>'
    return f"<section><h2>{defect.code} {escape(defect.name)}</h2>{figures or none}</section>"


def _figure(path: Path, name: str) -> str:
    kind = TYPES.get(path.suffix.lower(), "application/octet-stream")
    content = base64.b64encode(path.read_bytes()).decode()
    return (
        f'<figure><img alt="{escape(name)}" src="data:{kind};base64,{content}">'
        f"<figcaption>{escape(name)}</figcaption></figure>"
    )
