"""A finding as a decoder reports it, before the catalogue grades it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RawFinding:
    """One suspicious place, measured in pixels of the view's frame.

    region: x, y, width, height. length_px, width_px: long and short side of the smallest rectangle around it, turned
    as it lies. area_px: its area. confidence: 0 to 1.
    """

    defect: str
    confidence: float
    region: tuple[int, int, int, int]
    length_px: float
    width_px: float
    area_px: float
