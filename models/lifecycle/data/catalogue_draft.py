"""A first catalogue for a product: defect types from a data set or by name, limits that tolerate nothing yet."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from models.catalogue import Costs, DefectType, SeverityLimit
from models.lifecycle.data.labelled_set import LabelledSet
from models.lifecycle.data.pictures import read_unchanged
from models.lifecycle.data.sizes import Measured, measure

UNITS = {"length": "mm", "width": "mm", "area": "mm2", "count": "findings"}
FIRST_CODE = 101
EXAMPLES = 3
"""Reference images of each defect: about the smallest, the middle and the largest."""

AROUND = 0.5
"""Of a defect's larger side: how much of its surroundings an example shows."""


def draft(
    product: str,
    defects: Mapping[str, str],
    notes: Mapping[str, Sequence[str]],
    references: Mapping[str, Sequence[str]],
) -> str:
    """The catalogue's text. defects: measure by name; notes: comments, and references: image files, by defect."""
    costs = Costs()
    lines = [
        f"# What is a defect of {product}, and how large it may be. Set the limits with the drawing in hand.",
        "schema = 1",
        f"product = {_text(product)}",
        "",
        "[costs]                     # money per part that escapes with such a defect: set these too",
        *(f"{name} = {getattr(costs, name):g}" for name in ("minor", "major", "critical")),
    ]
    for code, (name, measured) in enumerate(defects.items(), FIRST_CODE):
        shown = references.get(name, ())
        lines += [
            "",
            "[[defects]]",
            f"name = {_text(name)}",
            f"code = {code}",
            f'measure = "{measured}"'.ljust(28) + f"# in {UNITS[measured]}",
            "min_confidence = 0.3        # below: ignored",
            "sure_confidence = 0.6       # from min to sure: UNSURE instead of NG",
            "unsure_margin = 0.1         # within this share of a limit: UNSURE",
            *([f"reference_images = [{', '.join(_text(file) for file in shown)}]"] if shown else []),
            *(f"# {note}" for note in notes.get(name, ())),
            "",
            '[[defects.severities]]      # add minor (verdict = "OK" tolerates it) and critical where they apply',
            'severity = "major"',
            "above = 0.0                 # tolerates nothing: set what the drawing allows",
        ]
    return "\n".join(lines) + "\n"


def sizes_in(labelled: LabelledSet, name: str, measured: str, mm_per_px: float) -> list[Measured]:
    """Every labelled place of a class, measured as a catalogue of this draft would."""
    limit = SeverityLimit(severity="major", above=0.0)
    defect = DefectType.model_validate(
        {"name": name, "code": 1, "measure": measured, "severities": [limit.model_dump()]}
    )
    return measure(labelled.root, labelled.samples, defect, mm_per_px)


def note_on(sizes: Sequence[Measured], measured: str) -> str:
    """One line about the sizes that occur."""
    if not sizes:
        return "the set says of no picture where this defect is, so nothing is known about sizes"
    values = [found.size for found in sizes]
    low, middle, high = (float(np.quantile(values, share)) for share in (0.05, 0.5, 0.95))
    spread = f"5 % below {low:.3g}, half below {middle:.3g}, 95 % below {high:.3g} {UNITS[measured]}"
    return f"in the set: {len(values)} places, {spread}"


def write_examples(labelled: LabelledSet, name: str, sizes: Sequence[Measured], folder: Path) -> list[str]:
    """Cut example pictures out, from small to large. Returns their names, `reference/…`, relative to the catalogue."""
    if not sizes:
        return []
    # The largest place of each picture: three places of one picture are one example.
    largest = list({found.sample.sha256: found for found in sizes}.values())
    largest.sort(key=lambda found: (found.size, found.sample.image))
    files: list[str] = []
    for number in sorted({round(share * (len(largest) - 1)) for share in np.linspace(0.1, 0.9, EXAMPLES)}):
        found = largest[number]
        picture = read_unchanged(labelled.root / found.sample.image)
        x, y, width, height = found.region
        room = round(AROUND * max(width, height)) + 8
        cut = picture[max(0, y - room) : y + height + room, max(0, x - room) : x + width + room]
        short = hashlib.sha256(f"{name} {found.sample.sha256}".encode()).hexdigest()[:6]
        file = f"reference/{''.join(sign if sign.isalnum() else '_' for sign in name)}_{short}.png"
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(cv2.imencode(".png", cut)[1].tobytes())
        files.append(file)
    return files


def _text(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
