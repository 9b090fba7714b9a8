"""What is told of a stage's durations: figures alone, without the histograms that they come from."""

from __future__ import annotations

import msgspec


class StageLatency(msgspec.Struct, frozen=True):
    """Durations of one stage: microseconds, each within 0.1 % of the true one."""

    count: int
    p50_us: int
    p99_us: int
    p999_us: int
    max_us: int
