"""The PLC's own tally of a run: the truth about the station, never read from the station.

Fed by the simulated PLC alone: when it wrote a TriggerSeq, when a client wrote a ResultSeq, what the gate did. Pure.
"""

from __future__ import annotations

from array import array
from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import ceil

from controller.sim.gate import Passage, Source
from controller.sim.plc_image import MOVES_GATE, PartId, ResultBlock, TriggerBlock

_VERDICTS = {0: "NONE", 1: "OK", 2: "NG", 3: "UNSURE", 4: "NO_DECISION"}
_RECENT = 4096
"""Triggers whose answers are still told apart; an answer to an older number counts as unexpected."""

_LIVE_WINDOW = 500
"""Answers from which the live latency is taken."""

_CLOCK_STEP_NS = 1_000_000
"""The PLC's clock counts milliseconds, so lateness below one is not lateness."""


@dataclass(slots=True)
class PartTally:
    """One part as the PLC saw it. Times are the PLC's monotonic ns, 0 where it never came to that.

    seq 0: never triggered, `untriggered` says why. acknowledged: its
    TriggerAckSeq was seen. answers: different blocks written under the part's number.
    outcome: what the gate did, None while the part is on its way there.
    """

    part_id: PartId
    seq: int
    session_id: int
    plc_epoch: int
    trigger_ns: int
    untriggered: str = ""
    answered_ns: int = 0
    answers: int = 0
    action: int = 0
    verdict: int = 0
    reason: int = 0
    mode: int = 0
    outcome: int | None = None
    source: str = ""
    late: bool = False
    late_acted: bool = False
    acknowledged: bool = False


@dataclass(frozen=True, slots=True)
class LatencyMs:
    """Trigger written by the PLC to ResultSeq written to the PLC, in ms, nearest rank; 0 without answers."""

    p50: float
    p99: float
    p999: float
    max: float


@dataclass(frozen=True, slots=True)
class Truth:
    """What became of good and of defective parts. Diverted, rejected and stopped parts count as rejected."""

    defective_rejected: int
    defective_passed: int
    good_rejected: int
    good_passed: int


@dataclass(frozen=True, slots=True)
class TallySummary:
    """The figures of a run. missing: triggered, past the gate and never answered; waiting: not at the gate yet.

    late: answered after the gate's time (or the answer's limit); late_acted: and the gate followed that answer.
    retries: identical blocks written again (allowed); torn: blocks whose check word did not fit when ResultSeq was
    written; stale: answers of another session or PLC run; unexpected: answers to numbers that were never triggered.
    """

    triggers: int
    answered: int
    missing: int
    waiting: int
    duplicate: int
    wrong_part: int
    late: int
    late_acted: int
    retries: int
    torn: int
    stale: int
    unexpected: int
    unverified: int
    untriggered: dict[str, int]
    verdicts: dict[str, int]
    reasons: dict[int, int]
    outcomes: dict[str, int]
    latency_ms: LatencyMs


@dataclass(slots=True)
class _Open:
    """A part whose number is still known, and the first block that answered it."""

    part: PartTally
    first: ResultBlock | None = None


@dataclass(slots=True)
class _Counts:
    triggers: int = 0
    answered: int = 0
    missing: int = 0
    waiting: int = 0
    duplicate: int = 0
    wrong_part: int = 0
    late: int = 0
    late_acted: int = 0
    retries: int = 0
    torn: int = 0
    stale: int = 0
    unexpected: int = 0
    unverified: int = 0
    untriggered: Counter[str] = field(default_factory=Counter[str])
    verdicts: Counter[str] = field(default_factory=Counter[str])
    reasons: Counter[int] = field(default_factory=Counter[int])
    outcomes: Counter[str] = field(default_factory=Counter[str])


class Tally:
    """Counts as things happen.

    gate_ns: from the trigger to the gate. answer_limit_ns: the promised time from trigger to answer, where the tally
    is to hold the station to one that is shorter than the way to the gate.
    """

    def __init__(self, gate_ns: int, answer_limit_ns: int | None = None) -> None:
        limits = [gate_ns] if answer_limit_ns is None else [gate_ns, answer_limit_ns]
        self._limit_ns = min(limits) + _CLOCK_STEP_NS
        self.parts: list[PartTally] = []
        self._open: OrderedDict[tuple[int, int], _Open] = OrderedDict()
        self._bypassing: dict[PartId, PartTally] = {}
        self._counts = _Counts()
        self._latencies_ns = array("q")
        self._latest_ns: deque[int] = deque(maxlen=_LIVE_WINDOW)

    def triggered(self, block: TriggerBlock, session_id: int, plc_epoch: int, at_ns: int) -> None:
        """The PLC wrote this part's TriggerSeq."""
        part = PartTally(block.part_id, block.seq, session_id, plc_epoch, at_ns)
        self.parts.append(part)
        self._open[(plc_epoch, block.seq)] = _Open(part)
        self._open.move_to_end((plc_epoch, block.seq))
        if len(self._open) > _RECENT:
            self._open.popitem(last=False)
        self._counts.triggers += 1
        self._counts.waiting += 1

    def untriggered(self, part_id: PartId, why: str, at_ns: int) -> None:
        """A part came into view and the PLC could not trigger."""
        part = PartTally(part_id, 0, 0, 0, at_ns, untriggered=why)
        self.parts.append(part)
        self._bypassing[part_id] = part
        self._counts.untriggered[why] += 1

    def acknowledged(self, seq: int, session_id: int, plc_epoch: int) -> None:
        """A client wrote TriggerAckSeq: it promises that this trigger is on record."""
        known = self._open.get((plc_epoch, seq))
        if known is not None and known.part.session_id == session_id:
            known.part.acknowledged = True

    def result_written(self, block: ResultBlock, at_ns: int) -> None:
        """A client wrote ResultSeq; block: the slot as it stood then."""
        if block.result_seq == 0:
            return
        counts = self._counts
        if not block.intact:
            counts.torn += 1
            return
        known = self._open.get((block.epoch_echo, block.result_seq))
        if known is None:
            counts.unexpected += 1
        elif known.first is not None:
            self._answered_again(known, block)
        elif block.session_id != known.part.session_id:
            counts.stale += 1
        elif block.part_id_echo != known.part.part_id:
            counts.wrong_part += 1
        else:
            self._answered(known, block, at_ns)

    def latched(self, block: ResultBlock, at_ns: int) -> None:
        """The program took an answer. One that the tally did not see whole at its ResultSeq was written out of order
        and became whole only afterwards: its time is the scan's."""
        known = self._open.get((block.epoch_echo, block.result_seq))
        if known is not None and known.first is None:
            self._answered(known, block, at_ns)

    def gate_passed(self, passage: Passage, plc_epoch: int) -> None:
        """The gate did this with a part, for certain."""
        counts = self._counts
        if passage.seq:
            known = self._open.get((plc_epoch, passage.seq))
            part = known.part if known else None
        else:
            part = self._bypassing.pop(passage.part_id, None)
        if part is None or part.outcome is not None:
            return
        part.outcome, part.source = int(passage.outcome), passage.source.value
        counts.outcomes[passage.outcome.name] += 1
        counts.unverified += passage.source is Source.UNVERIFIED
        if part.seq and not part.answers:
            counts.waiting -= 1
            counts.missing += 1
        if part.late and passage.source is Source.ANSWER:
            part.late_acted = True
            counts.late_acted += 1

    def take(self, count: int, keep: int) -> list[PartTally]:
        """Hand over and forget the oldest parts, up to the first that is not past the gate; the newest `keep` stay."""
        taken: list[PartTally] = []
        for part in self.parts[: max(min(count, len(self.parts) - keep), 0)]:
            if part.outcome is None:
                break
            taken.append(part)
        del self.parts[: len(taken)]
        return taken

    def add_image_check(self, pairs: Iterable[tuple[PartId, PartId | None]]) -> int:
        """Compare kept images with the parts they are filed under, and add those that differ to wrong_part.

        pairs: the part id that an image is filed under, and the id read from the mark in its pixels (None: no mark
        could be read, which is no proof of another part). Returns how many were of another part.
        """
        wrong = sum(1 for filed, seen in pairs if seen is not None and filed != seen)
        self._counts.wrong_part += wrong
        return wrong

    def summary(self) -> TallySummary:
        """The figures of the whole run up to now."""
        return self._summary(list(self._latencies_ns))

    def live(self) -> TallySummary:
        """As `summary`, with the latency of the last few hundred answers only: cheap enough for a live table."""
        return self._summary(list(self._latest_ns))

    def _answered(self, known: _Open, block: ResultBlock, at_ns: int) -> None:
        part, counts = known.part, self._counts
        known.first = block
        part.answers, part.answered_ns = 1, at_ns
        part.action, part.verdict, part.reason, part.mode = block.action, block.verdict, block.reason, block.mode
        counts.answered += 1
        if part.outcome is None:
            counts.waiting -= 1
        else:
            counts.missing -= 1
        counts.verdicts[_VERDICTS.get(block.verdict, str(block.verdict))] += 1
        counts.reasons[block.reason] += 1
        self._latencies_ns.append(at_ns - part.trigger_ns)
        self._latest_ns.append(at_ns - part.trigger_ns)
        if at_ns - part.trigger_ns > self._limit_ns:
            part.late = True
            counts.late += 1

    def _answered_again(self, known: _Open, block: ResultBlock) -> None:
        if block == known.first:
            self._counts.retries += 1
        else:
            known.part.answers += 1
            self._counts.duplicate += 1

    def _summary(self, latencies: list[int]) -> TallySummary:
        counts = self._counts
        return TallySummary(
            triggers=counts.triggers,
            answered=counts.answered,
            missing=counts.missing,
            waiting=counts.waiting,
            duplicate=counts.duplicate,
            wrong_part=counts.wrong_part,
            late=counts.late,
            late_acted=counts.late_acted,
            retries=counts.retries,
            torn=counts.torn,
            stale=counts.stale,
            unexpected=counts.unexpected,
            unverified=counts.unverified,
            untriggered=dict(counts.untriggered),
            verdicts=dict(counts.verdicts),
            reasons=dict(sorted(counts.reasons.items())),
            outcomes=dict(counts.outcomes),
            latency_ms=percentiles(latencies),
        )


def percentiles(latencies_ns: list[int]) -> LatencyMs:
    """Nearest-rank percentiles of times in ns."""
    ordered = sorted(latencies_ns)
    if not ordered:
        return LatencyMs(0.0, 0.0, 0.0, 0.0)

    def rank(share: float) -> float:
        return ordered[max(ceil(share * len(ordered)), 1) - 1] / 1e6

    return LatencyMs(rank(0.5), rank(0.99), rank(0.999), ordered[-1] / 1e6)


def truth_of(parts: Iterable[PartTally], defective: Mapping[PartId, bool]) -> Truth:
    """What the gate did with parts whose true state is known; parts still on the belt or unknown are left out."""
    table: Counter[tuple[bool, bool]] = Counter()
    for part in parts:
        if part.outcome is not None and part.part_id in defective:
            table[(defective[part.part_id], part.outcome in MOVES_GATE)] += 1
    return Truth(
        defective_rejected=table[(True, True)],
        defective_passed=table[(True, False)],
        good_rejected=table[(False, True)],
        good_passed=table[(False, False)],
    )
