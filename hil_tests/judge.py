"""What a cell's measurements are worth: by the PLC's tally, the PLC contract and the journal, never by the station."""

from __future__ import annotations

import time

from controller.sim.tally import PartTally, TallySummary
from hil_tests.agreement import Outage, compare
from hil_tests.cell import Cell
from hil_tests.faults.bench import Bench, dwell
from hil_tests.journal import REASONS, VERDICTS
from hil_tests.law import OUTCOMES, gate
from hil_tests.rig import Rig

ZEROS = ("duplicate", "wrong_part", "late_acted", "stale", "unexpected", "torn")
"""Figures of the PLC's tally that stay 0 whatever happens."""

SAFE_BUT_LATE = frozenset({"NO_DECISION/LATE_TRIGGER", "NO_DECISION/DEADLINE", "NO_DECISION/CAMERA"})
"""What a part may get on a computer that was busy a moment too long;
a part that must get no answer at all must not get one of these either."""

MUST_BE_0 = "must be 0"
"""What a complaint about one of the ZEROS says."""

_SETTLE_S = 5.0


def judge_answers(cell: Cell, bench: Bench, parts: list[PartTally], recovered_ns: int) -> None:
    """Each part's answer and what the gate did with it, the times, the latch."""
    expected = cell.expected
    cell.answers = [answer_of(part) for part in parts]
    cell.latch = bench.latch
    cell.notes += bench.notes
    cell.safe_ms = _safe_ms(bench, parts)
    cell.recover_ms = max(recovered_ns - bench.ended_ns, 0) / 1e6 if bench.ended_ns else None
    for index, (part, answer) in enumerate(zip(parts, cell.answers, strict=True)):
        allowed = expected.allowed(index, len(parts))
        if answer not in allowed:
            decided = any("/" in other for other in allowed)
            wrong = cell.late if decided and answer in SAFE_BUT_LATE else cell.problems
            wrong.append(f"part {part.part_id} got {answer}, expected {' or '.join(sorted(allowed))}")
        # An answer that came when the part was at the gate already is none.
        in_time = "NONE" if part.late else answer.split("/")[0]
        wanted = expected.gate if expected.gate is not None else gate(cell.mode, in_time)
        if part.outcome != wanted:
            met = OUTCOMES.get(part.outcome if part.outcome is not None else -1, str(part.outcome))
            cell.problems.append(f"part {part.part_id} ({answer}): gate {met}, expected {OUTCOMES[wanted]}")
    if cell.safe_ms is not None and not cell.safe_ms <= expected.safe_ms * cell.slack:
        cell.late.append(f"safe after {cell.safe_ms:.0f} ms, allowed are {expected.safe_ms:g}")
    if cell.recover_ms is not None and not cell.recover_ms <= expected.recover_ms * cell.slack:
        cell.late.append(f"Ready after {cell.recover_ms:.0f} ms, allowed are {expected.recover_ms:g}")
    if bench.latch != expected.latch and not bench.may_latch:
        cell.problems.append(f"failsafe {bench.latch} latched, expected {expected.latch}")


def _safe_ms(bench: Bench, parts: list[PartTally]) -> float | None:
    """From the fault, or the trigger, until the PLC knew. At the gate it knows in any case: its fallback acts."""
    if bench.hindered_ns:
        return (bench.hindered_ns - bench.began_ns) / 1e6
    at_gate = bench.rig.options.gate_delay_ms
    times = [
        min((part.answered_ns - part.trigger_ns) / 1e6, at_gate) if part.answers else at_gate
        for part in parts
        if part.seq
    ]
    return max(times, default=None)


def answer_of(part: PartTally) -> str:
    """What the PLC got for a part, in words."""
    if not part.seq:
        return "UNTRIGGERED"
    if not part.answers:
        return "NONE"
    return f"{VERDICTS.get(part.verdict, part.verdict)}/{REASONS.get(part.reason, part.reason)}"


def judge_tally(cell: Cell, rig: Rig, before: TallySummary, past: int) -> None:
    """The zeros that hold in every cell, over every PLC run since `before`; past: how many runs had ended then."""
    runs = [*rig.past[past:], rig.plc.tally().figures]
    for name in ZEROS:
        count = sum(getattr(run, name) for run in runs) - getattr(before, name)
        if count:
            cell.problems.append(f"{name}: {count}, {MUST_BE_0}")


def judge_journal(cell: Cell, rig: Rig, parts: list[PartTally], outage: Outage, after: int) -> None:
    """The journal tells the same story, and holds the events that the fault must leave."""
    until = time.monotonic() + _SETTLE_S
    while True:
        with rig.journal() as journal:
            agreement = compare(parts, journal, [outage])
            lacking = [f"no event {kind!r}" for kind in cell.expected.events if not journal.events(kind, after)]
            missed = sum(int(event.detail["count"]) for event in journal.events("missed", after))
        if cell.expected.missed not in (None, missed):
            lacking.append(f"{missed} missed triggers, not {cell.expected.missed}")
        if (agreement.whole and not lacking) or time.monotonic() > until:
            break
        dwell(0.02)
    cell.problems += agreement.complaints
    cell.problems += [f"the journal holds {what}" for what in lacking]
