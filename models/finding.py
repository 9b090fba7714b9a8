"""A finding as a decoder reports it, before the catalogue grades it."""

from __future__ import annotations

from dataclasses import dataclass, replace

Corners = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class RawFinding:
    """One suspicious place, measured in pixels of the view's frame.

    region: x, y, width, height. length_px, width_px: long and short side of the smallest rectangle around it, turned
    as it lies. area_px: its area. confidence: 0 to 1. turned: the four corners of that rectangle, one after the other,
    in pixels from the frame's corner; empty where it does not lie turned.
    """

    defect: str
    confidence: float
    region: tuple[int, int, int, int]
    length_px: float
    width_px: float
    area_px: float
    turned: Corners = ()

    @property
    def corners(self) -> Corners:
        """The four corners of the rectangle around it."""
        if self.turned:
            return self.turned
        x, y, wide, high = self.region
        across, down = (self.length_px, self.width_px) if wide >= high else (self.width_px, self.length_px)
        left, top = x + (wide - across) / 2, y + (high - down) / 2
        return ((left, top), (left + across, top), (left + across, top + down), (left, top + down))

    def moved(self, x: int, y: int) -> RawFinding:
        """The same finding where the frame's corner lies by so much to the left and above."""
        left, top, wide, high = self.region
        turned = tuple((corner_x + x, corner_y + y) for corner_x, corner_y in self.turned)
        return replace(self, region=(left + x, top + y, wide, high), turned=turned)
