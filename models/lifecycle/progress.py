"""How a long run is shown: a curve that fits in one line of a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

_BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], width: int = 20) -> str:
    """The curve of the values, at most `width` characters wide; neighbours are averaged."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return ""
    step = max(1.0, len(finite) / width)
    means: list[float] = []
    for place in range(min(width, len(finite))):
        part = finite[int(place * step) : max(int(place * step) + 1, int((place + 1) * step))]
        means.append(sum(part) / len(part))
    low, high = min(means), max(means)
    scale = (len(_BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BARS[round((value - low) * scale)] for value in means)
