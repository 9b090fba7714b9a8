"""How long each stage takes: histograms with three digits over the station's whole life, cheap to feed."""

from __future__ import annotations

from typing import Any

import numpy as np
from hdrh.histogram import HdrHistogram

from controller.stage_latency import StageLatency

LONGEST_US = 60_000_000
"""Longer durations count as this: one minute."""
LIMIT = 4096
"""Durations per stage that wait for the next summary; more are counted, not kept."""


class LatencyBook:
    """Durations per stage. `record` may be called from any thread, `summary` from one at a time."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._fresh: dict[str, list[int]] = {}
        self._histograms: dict[str, Any] = {}
        self._summary: dict[str, StageLatency] = {}
        self._skipped = 0

    @property
    def skipped(self) -> int:
        """Durations that are in no histogram, because nobody asked for a summary in time."""
        return self._skipped

    def record(self, stage: str, ns: int) -> None:
        """Keep one duration. An append and no more: under a microsecond."""
        fresh = self._fresh.get(stage)
        if fresh is None:
            fresh = self._fresh.setdefault(stage, [])
        if len(fresh) < self._limit:
            fresh.append(ns)
        else:
            self._skipped += 1

    def summary(self) -> dict[str, StageLatency]:
        """The figures of every stage that was ever recorded. 2 us a fresh duration, 30 us a stage that has some."""
        for stage, fresh in list(self._fresh.items()):
            # Taken by its length of this moment: another thread may append behind it meanwhile.
            batch = fresh[:]
            del fresh[: len(batch)]
            if batch:
                self._summary[stage] = _figures(self._fill(stage, batch))
        return dict(self._summary)

    def _fill(self, stage: str, batch: list[int]) -> Any:
        histogram = self._histograms.get(stage)
        if histogram is None:
            histogram = self._histograms[stage] = HdrHistogram(1, LONGEST_US, 3)
        for ns in batch:
            histogram.record_value(min(max((ns + 500) // 1000, 1), LONGEST_US))
        return histogram


def _figures(histogram: Any) -> StageLatency:
    # The library's own search walks the counts in Python: 0.6 ms a time, which the deciding loop has not got.
    total = int(histogram.total_count)
    reached = np.cumsum(np.ctypeslib.as_array(histogram.counts), dtype=np.int64)
    needed = [max(1, -(-total * permille // 1000)) for permille in (500, 990, 999)]
    p50, p99, p999 = (
        int(histogram.get_highest_equivalent_value(histogram.get_value_from_index(int(index))))
        for index in np.searchsorted(reached, needed)
    )
    return StageLatency(total, p50, p99, p999, int(histogram.get_max_value()))
