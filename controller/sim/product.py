"""The simulated product: a turned washer with six holes, and the defects that a given part really has.

Pure. Whoever knows the line's seed and a part's number knows everything about the part: the renderer draws it, the
tally judges the station's answer by it, and neither needs to ask the other. Lengths are in mm; positions are measured
from the middle of the washer, x to the right, y down, as in an image.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from enum import Enum

Point = tuple[float, float]

OUTER_RADIUS_MM = 27.0
BORE_RADIUS_MM = 9.0
HOLE_RADIUS_MM = 2.0
HOLE_CIRCLE_MM = 18.5
HOLES = 6
TURNS_DEG = (0, 10, 20, 30, 40, 50)
"""How far the washer may lie turned; after 60 degrees it looks as before."""

EDGE_MARGIN_MM = 0.9
"""Every defect keeps this far from the washer's edges, where it would be a different defect (a burr, a nick)."""


class Kind(Enum):
    """A defect's type, by the name that the demo catalogue gives it."""

    SCRATCH = "scratch"
    DENT = "dent"
    STAIN = "stain"
    CRACK = "crack"


LIMITS = {Kind.SCRATCH: 2.0, Kind.DENT: 1.5, Kind.STAIN: 4.0, Kind.CRACK: 1.5}
"""What the demo catalogue tolerates: length in mm, for a stain area in mm²."""

DEFECTIVE_SHARE = 0.12
BLEMISH_SHARE = 0.10
"""Share of the good parts that carry a defect well within its tolerance."""

DEFECTIVE_RATIO = (1.5, 4.0)
BLEMISH_RATIO = (0.2, 0.5)
BORDERLINE_RATIO = (0.5, 1.5)
"""Defect size over its limit: parts near the limit are drawn only where they are asked for."""


@dataclass(frozen=True, slots=True)
class SimDefect:
    """One true defect.

    length_mm: largest extent; width_mm: extent across it; area_mm2: what it covers. x_mm, y_mm: its middle.
    outline: points in mm from its middle, already turned by angle_deg; the path of a scratch or crack (its ends lie
    half a width inside the length), else the closed rim. strength: 0 (faint) to 1 (plain).
    """

    kind: Kind
    length_mm: float
    width_mm: float
    area_mm2: float
    x_mm: float
    y_mm: float
    angle_deg: float
    outline: tuple[Point, ...]
    strength: float

    @property
    def size(self) -> float:
        """The measure that the catalogue limits: mm², for a stain, else mm of length."""
        return self.area_mm2 if self.kind is Kind.STAIN else self.length_mm

    @property
    def ratio(self) -> float:
        """Size over its limit; above 1 the part is defective."""
        return self.size / LIMITS[self.kind]


@dataclass(frozen=True, slots=True)
class SimPart:
    """One part as it really is.

    defective: at least one defect is beyond its limit. x_mm, y_mm: how far it lies off the middle of the view.
    turn_deg: one of TURNS_DEG. gain: brightness of the light, about 1. grain: picks the noise.
    """

    number: int
    part_id: int
    defects: tuple[SimDefect, ...]
    defective: bool
    x_mm: float = 0.0
    y_mm: float = 0.0
    turn_deg: int = 0
    gain: float = 1.0
    grain: int = 0


def sim_part(
    seed: int,
    number: int,
    *,
    defective_share: float = DEFECTIVE_SHARE,
    blemish_share: float = BLEMISH_SHARE,
    draw_borderline: bool = False,
) -> SimPart:
    """The part with this number on the line with this seed; the same in every process and on every machine.

    draw_borderline: blemishes and defects are sized from half to one and a half times their limit instead of well clear
    of it on either side.
    """
    chance = random.Random(f"linegate part {seed} {number}")
    turn = chance.choice(TURNS_DEG)
    defects: list[SimDefect] = []
    draw = chance.random()
    blemished = draw < defective_share + (1 - defective_share) * blemish_share
    if draw < defective_share or blemished:
        ratios = DEFECTIVE_RATIO if draw < defective_share else BLEMISH_RATIO
        if draw_borderline:
            ratios = BORDERLINE_RATIO
        for _ in range(2 if chance.random() < 0.15 else 1):
            kind = chance.choice(tuple(Kind))
            defects.append(_placed(chance, kind, LIMITS[kind] * chance.uniform(*ratios), turn, defects))
    return SimPart(
        number=number,
        part_id=number,
        defects=tuple(defects),
        defective=any(defect.ratio > 1 for defect in defects),
        x_mm=chance.uniform(-1.2, 1.2),
        y_mm=chance.uniform(-0.8, 0.8),
        turn_deg=turn,
        gain=chance.uniform(0.93, 1.07),
        grain=chance.getrandbits(30),
    )


def on_face(x_mm: float, y_mm: float, turn_deg: float, margin_mm: float = EDGE_MARGIN_MM) -> bool:
    """Whether a point lies on the washer's face, at least `margin_mm` from every edge."""
    radius = math.hypot(x_mm, y_mm)
    if not BORE_RADIUS_MM + margin_mm <= radius <= OUTER_RADIUS_MM - margin_mm:
        return False
    return all(math.hypot(x_mm - x, y_mm - y) >= HOLE_RADIUS_MM + margin_mm for x, y in hole_centres(turn_deg))


def hole_centres(turn_deg: float) -> tuple[Point, ...]:
    """Where the holes are on a washer that lies turned by this much."""
    angles = (math.radians(turn_deg + hole * 360 / HOLES) for hole in range(HOLES))
    return tuple((HOLE_CIRCLE_MM * math.cos(angle), HOLE_CIRCLE_MM * math.sin(angle)) for angle in angles)


def _placed(chance: random.Random, kind: Kind, size: float, turn: int, others: list[SimDefect]) -> SimDefect:
    """A defect of this size somewhere on the face, clear of the edges and of the part's other defects."""
    for _ in range(10_000):
        defect = _shaped(chance, kind, size)
        rim_clear = all(on_face(defect.x_mm + x, defect.y_mm + y, turn) for x, y in defect.outline)
        apart = all(
            math.hypot(defect.x_mm - other.x_mm, defect.y_mm - other.y_mm)
            > (defect.length_mm + other.length_mm) / 2 + 2.0
            for other in others
        )
        if rim_clear and apart:
            return defect
    raise ValueError(f"no room on the washer for a {kind.value} of size {size}")


def _shaped(chance: random.Random, kind: Kind, size: float) -> SimDefect:
    """A defect of this size (see SimDefect.size) at a random place that may still be off the face."""
    angle = chance.uniform(0, 180)
    radius = math.sqrt(chance.uniform(BORE_RADIUS_MM**2, OUTER_RADIUS_MM**2))
    bearing = chance.uniform(0, 2 * math.pi)
    match kind:
        case Kind.SCRATCH | Kind.CRACK:
            width = chance.uniform(0.15, 0.3) if kind is Kind.SCRATCH else chance.uniform(0.16, 0.26)
            width = min(width, size / 2)
            length, area = size, size * width
            path = _path(chance, size - width, jagged=kind is Kind.CRACK)
        case Kind.DENT:
            path = _rim(chance, chance.uniform(0.8, 1.0), roughness=0.03)
            length = size
            path = _scaled(path, length / _extent(path))
            width, area = _across(path), _area(path)
        case Kind.STAIN:
            path = _rim(chance, chance.uniform(0.6, 1.0), roughness=0.12)
            path = _scaled(path, math.sqrt(size / _area(path)))
            length, width, area = _extent(path), _across(path), size
    return SimDefect(
        kind=kind,
        length_mm=length,
        width_mm=width,
        area_mm2=area,
        x_mm=radius * math.cos(bearing),
        y_mm=radius * math.sin(bearing),
        angle_deg=angle,
        outline=_turned(path, math.radians(angle)),
        strength=chance.random(),
    )


def _path(chance: random.Random, chord: float, *, jagged: bool) -> list[Point]:
    """A line of this length from end to end along x: gently bent, or jagged as a crack."""
    steps = max(4, round(chord / 0.25)) if jagged else 12
    bend = chance.uniform(-0.05, 0.05) * chord
    sway = min(0.08, 0.06 * chord) if jagged else 0.0
    points: list[Point] = []
    for step in range(steps + 1):
        along = step / steps
        inner = 0 < step < steps
        off = bend * math.sin(math.pi * along) + (chance.uniform(-sway, sway) if inner else 0.0)
        points.append(((along - 0.5) * chord, off))
    return points


def _rim(chance: random.Random, flatness: float, roughness: float) -> list[Point]:
    """A closed rim about 2 mm long: an ellipse with smooth bumps."""
    bumps = [(chance.uniform(0, roughness), chance.uniform(0, 2 * math.pi)) for _ in range(3)]
    points: list[Point] = []
    for step in range(36):
        angle = step * math.pi / 18
        radius = 1 + sum(size * math.cos((wave + 2) * angle + phase) for wave, (size, phase) in enumerate(bumps))
        points.append((radius * math.cos(angle), flatness * radius * math.sin(angle)))
    return points


def _scaled(points: list[Point], factor: float) -> list[Point]:
    return [(x * factor, y * factor) for x, y in points]


def _turned(points: list[Point], angle: float) -> tuple[Point, ...]:
    cos, sin = math.cos(angle), math.sin(angle)
    return tuple((x * cos - y * sin, x * sin + y * cos) for x, y in points)


def _extent(points: list[Point]) -> float:
    """Largest distance between two points of the outline."""
    return max(math.dist(a, b) for a in points for b in points)


def _across(points: list[Point]) -> float:
    """Extent across x, the direction along which the outlines are made."""
    return max(y for _, y in points) - min(y for _, y in points)


def _area(points: list[Point]) -> float:
    """Area inside the rim, by the shoelace formula."""
    ring = [*points[1:], points[0]]
    return abs(sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(points, ring, strict=True))) / 2
