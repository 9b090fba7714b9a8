"""How fast the belt runs, from the encoder positions that the PLC shows. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from statemachines.vocabulary import MS, Ns

SPAN_NS = 50 * MS
"""The speed is taken over at least this time: the PLC writes EncoderNow once per scan."""
STALE_NS = 500 * MS
"""Positions that are older say nothing of the belt now."""

_DINT = 1 << 32


@dataclass(frozen=True, slots=True)
class BeltSpeed:
    """counts_per_ns: 0 while the belt stands or its speed is not known yet. since, position: where the span began."""

    counts_per_ns: float = 0.0
    measured_at: Ns = Ns(0)
    since: Ns = Ns(0)
    position: int = 0

    def seen(self, at: Ns, position: int) -> BeltSpeed:
        """One more reading of the encoder, a DINT that wraps."""
        if not self.since or at - self.since > STALE_NS:
            return BeltSpeed(since=at, position=position)
        if at - self.since < SPAN_NS:
            return self
        travelled = (position - self.position + _DINT // 2) % _DINT - _DINT // 2
        return BeltSpeed(abs(travelled) / (at - self.since), at, at, position)

    def delay(self, counts: int, at: Ns) -> int | None:
        """How long the belt takes for so many counts, ns; None where its speed is not known."""
        if not self.counts_per_ns > 0 or at - self.measured_at > STALE_NS:
            return None
        return round(counts / self.counts_per_ns)
