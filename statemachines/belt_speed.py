"""How fast the belt runs, from the encoder positions that the PLC shows. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from statemachines.vocabulary import MS, Ns

SPAN_NS = 200 * MS
"""The speed is taken over at least this time. An error of it moves every exposure: 5 % of a way of five parts is a
quarter of a part."""
GAP_NS = 20 * MS
"""The PLC writes EncoderNow once per scan, so that a position is as old as a scan. When it changed is known as well as
it was looked at; a change that was not seen within this time says nothing."""
STALE_NS = 500 * MS
"""Positions that are older say nothing of the belt now."""

_DINT = 1 << 32


@dataclass(frozen=True, slots=True)
class BeltSpeed:
    """counts_per_ns: 0 while the belt stands or its speed is not known yet. since, position: the change where the span
    began. seen_at, seen_position: the reading before."""

    counts_per_ns: float = 0.0
    measured_at: Ns = Ns(0)
    since: Ns = Ns(0)
    position: int = 0
    seen_at: Ns = Ns(0)
    seen_position: int = 0

    def seen(self, at: Ns, position: int) -> BeltSpeed:
        """One more reading of the encoder, a DINT that wraps."""
        now = replace(self, seen_at=at, seen_position=position)
        if not self.seen_at or at - self.seen_at > STALE_NS:
            return BeltSpeed(seen_at=at, seen_position=position)
        if self.since and at - self.since > STALE_NS:
            now = replace(now, counts_per_ns=0.0, since=Ns(0))
        if position == self.seen_position or at - self.seen_at > GAP_NS:
            return now
        if not now.since:
            return replace(now, since=at, position=position)
        if at - now.since < SPAN_NS:
            return now
        travelled = (position - now.position + _DINT // 2) % _DINT - _DINT // 2
        return replace(
            now, counts_per_ns=abs(travelled) / (at - now.since), measured_at=at, since=at, position=position
        )

    def delay(self, counts: int, at: Ns) -> int | None:
        """How long the belt takes for so many counts, ns; None where its speed is not known."""
        if not self.counts_per_ns > 0 or at - self.measured_at > STALE_NS:
            return None
        return round(counts / self.counts_per_ns)
