"""How large labelled defects are in mm, by the rule that the station measures with; and which are borderline."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.catalogue import Catalogue, DefectType
from models.decode.decoded import regions
from models.lifecycle.data.complaint import Complaint
from models.lifecycle.data.pictures import defect_mask
from models.lifecycle.data.sample import Sample

BORDER = 0.25
"""So near to a limit, as a share of it, an example is borderline (or nearer than the UNSURE band, if that is wider)."""

WANTED = 5
"""Borderline examples of each limit, from which on people and models can be told apart at it."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One labelled defect: region in pixels (x, y, width, height) and its size in the catalogue's measure."""

    sample: Sample
    region: tuple[int, int, int, int]
    size: float


def measure(root: Path, samples: Iterable[Sample], defect: DefectType, mm_per_px: float) -> list[Measured]:
    """Every labelled place of one defect type, smallest first. A type that is counted has one entry for each picture.

    Pictures whose label says no place are left out. Raises DatasetError for masks that cannot be read.
    """
    found: list[Measured] = []
    for sample in samples:
        if not any(shape.defect == defect.name for shape in sample.shapes):
            continue
        weights = np.array(defect_mask(root, sample, defect.name) > 0, np.float32)
        places = regions(weights, 0.5, 1, defect.name, (1.0, 1.0))
        if defect.measure == "count":
            found += [Measured(sample, place.region, len(places)) for place in places[:1]]
            continue
        for place in places:
            size = {
                "length": place.length_px * mm_per_px,
                "width": place.width_px * mm_per_px,
                "area": place.area_px * mm_per_px**2,
            }[defect.measure]
            found.append(Measured(sample, place.region, size))
    return sorted(found, key=lambda measured: (measured.size, measured.sample.image))


def borderline(sizes: Sequence[Measured], limit: float, margin: float) -> tuple[int, int]:
    """How many lie just below and just above a limit."""
    band = max(BORDER, margin) * limit
    near = [measured.size for measured in sizes if abs(measured.size - limit) <= band]
    above = sum(not size <= limit for size in near)
    return len(near) - above, above


def check_borderline(
    file: str, root: Path, samples: Sequence[Sample], catalogue: Catalogue, mm_per_px: float
) -> list[Complaint]:
    """Warnings for limits at which the set has hardly an example on either side. file: the catalogue's name."""
    complaints: list[Complaint] = []
    for defect in catalogue.defects:
        sizes = measure(root, samples, defect, mm_per_px)
        for limit in defect.severities:
            if limit.above <= 0:
                continue
            below, above = borderline(sizes, limit.above, defect.unsure_margin)
            if below < WANTED or above < WANTED:
                cure = (
                    f"{below} examples just below and {above} just above it, {WANTED} of each wanted: collect parts "
                    "that people argue about, and label where the defect is"
                )
                where = f"defects.{defect.name}.{limit.severity}, above"
                complaints.append(Complaint(file, where, limit.above, cure, grave=False))
    return complaints
