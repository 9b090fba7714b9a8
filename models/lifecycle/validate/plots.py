"""Plots as SVG text: no library, sharp in print, nothing to load."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 420, 300, 58, 44, 12, 14
COLOURS = ("#1f5fa8", "#c2571a", "#2f7d4f", "#8a3fa0", "#a8892b", "#55606e", "#b0305c", "#2a8f9c")

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Line:
    """Points to join, x and y from the axes' ranges. stepped: level up to the next point."""

    name: str
    points: Sequence[Point]
    stepped: bool = False


def plot(
    lines: Sequence[Line], across: str, up: str, x_range: Point = (0, 1), y_range: Point = (0, 1),
    marks: Sequence[Point] = (),
) -> str:  # fmt: skip
    """A plot with axes, grid, legend and, where marks are given, a ring at each."""
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT + 18 * ((len(lines) + 2) // 3)}" role="img" '
        f'aria-label="{escape(up)} over {escape(across)}">'
    ]
    for step in range(6):
        share = step / 5
        x, y = _x(share), _y(share)
        tick_x = x_range[0] + share * (x_range[1] - x_range[0])
        tick_y = y_range[0] + share * (y_range[1] - y_range[0])
        parts.append(
            f'<path d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}M{LEFT} {y:.1f}H{WIDTH - RIGHT}" class="grid"/>'
            f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{tick_x:.2g}</text>'
            f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tick_y:.2g}</text>'
        )
    parts.append(
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{escape(across)}</text>'
    )
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(f'<text transform="translate(11 {middle}) rotate(-90)" text-anchor="middle">{escape(up)}</text>')
    for number, line in enumerate(lines):
        colour = COLOURS[number % len(COLOURS)]
        placed = [(_place(x, x_range, _x), _place(y, y_range, _y)) for x, y in line.points]
        parts.append(f'<path d="{_path(placed, line.stepped)}" fill="none" stroke="{colour}" stroke-width="2"/>')
        x, y = LEFT + (number % 3) * 124, HEIGHT + 12 + 18 * (number // 3)
        parts.append(f'<rect x="{x}" y="{y - 9}" width="10" height="10" fill="{colour}"/>')
        parts.append(f'<text x="{x + 15}" y="{y}">{escape(line.name)}</text>')
    for number, (x, y) in enumerate(marks):
        at = f'cx="{_place(x, x_range, _x):.1f}" cy="{_place(y, y_range, _y):.1f}"'
        parts.append(f'<circle {at} r="4.5" fill="#fff" stroke="{COLOURS[number % len(COLOURS)]}" stroke-width="2"/>')
    return "".join(parts) + "</svg>"


def _x(share: float) -> float:
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def _y(share: float) -> float:
    return HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP)


def _place(value: float, within: Point, to: Callable[[float], float]) -> float:
    width = within[1] - within[0]
    return to(min(max((value - within[0]) / width if width else 0.0, 0.0), 1.0))


def _path(points: Sequence[Point], stepped: bool) -> str:
    text = ""
    for number, (x, y) in enumerate(points):
        if not number:
            text = f"M{x:.1f} {y:.1f}"
        else:
            text += f"V{y:.1f}H{x:.1f}" if stepped else f"L{x:.1f} {y:.1f}"
    return text
