"""Whether the journal agrees with the PLC, part by part, and whether what the PLC misses is explained.

The PLC's tally is the truth about what was asked and what came back; the journal must tell the same story. A part may
be unanswered only in an outage that the rig itself made. Memory is bounded: parts come in as a stream.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from controller.sim.tally import PartTally
from hil_tests.journal import UNANSWERED_REASONS, Journal, JournalRow

_KEPT_COMPLAINTS = 50


@dataclass(frozen=True, slots=True)
class Outage:
    """A time in which the rig itself kept station and PLC apart, monotonic ns: from the fault until Ready again.

    forgets: the PLC's program began anew. An answer that was written, and confirmed, on this very moment stands in its
    tags, and nobody there remembers having asked.
    """

    what: str
    from_ns: int
    until_ns: int
    forgets: bool = False

    def covers(self, at_ns: int) -> bool:
        return self.from_ns <= at_ns <= self.until_ns


@dataclass(slots=True)
class Agreement:
    """What the comparison found. missing_explained: by the outage in which they fell."""

    compared: int = 0
    untriggered: int = 0
    answered: int = 0
    missing_unexplained: int = 0
    in_journal: int = 0
    missing_explained: Counter[str] = field(default_factory=Counter[str])
    complaints: list[str] = field(default_factory=list[str])
    complained: int = 0

    @property
    def whole(self) -> bool:
        return not self.complained and not self.missing_unexplained

    def complain(self, text: str) -> None:
        """Count a disagreement; the first few are kept word by word."""
        self.complained += 1
        if len(self.complaints) < _KEPT_COMPLAINTS:
            self.complaints.append(text)


def compare(
    parts: Iterable[PartTally], journal: Journal, outages: list[Outage], agreement: Agreement | None = None
) -> Agreement:
    """Compare parts that are past the gate with their rows. Adds to `agreement` where one is given."""
    result = agreement or Agreement()
    for part in parts:
        result.compared += 1
        if not part.seq:
            result.untriggered += 1
            continue
        # By its name too: under a number that a faulty PLC used twice lies another part.
        numbered = journal.rows(part.session_id, part.seq)
        rows = [row for row in numbered if str(row.part_id) == str(part.part_id)]
        result.in_journal += len(rows)
        name = f"part {part.part_id} ({part.session_id}/{part.seq})"
        outage = next((outage for outage in outages if outage.covers(part.trigger_ns)), None)
        if len(rows) > 1:
            result.complain(f"{name} has {len(rows)} rows in the journal")
        if part.answers > 1:
            result.complain(f"{name} was answered {part.answers} times")
        if part.answers:
            result.answered += 1
            _check_answered(result, name, part, rows, outage)
        else:
            _check_missing(result, name, part, rows, outage)
            if part.acknowledged and not numbered:
                result.complain(f"{name} was acknowledged, the journal does not know it")
    return result


def _check_answered(
    result: Agreement, name: str, part: PartTally, rows: list[JournalRow], outage: Outage | None
) -> None:
    if not rows:
        # Answered a moment before a kill: the trigger's row was not on disk yet, and never acknowledged to the PLC.
        if part.acknowledged or outage is None:
            result.complain(f"{name} was answered, the journal does not know it")
        return
    row = rows[0]
    if row.verdict is None:
        result.complain(f"{name} never ended in the journal")
    elif not row.answered:
        # The answer reached the PLC, its confirmation did not reach the station: it may not claim it.
        if outage is None or row.reason not in UNANSWERED_REASONS:
            result.complain(f"{name} was answered, the journal says it was not: {row.why}")
    elif (row.verdict, row.reason, row.action, row.mode) != (part.verdict, part.reason, part.action, part.mode):
        told = (part.verdict, part.reason, part.action, part.mode)
        written = (row.verdict, row.reason, row.action, row.mode)
        result.complain(f"{name}: the PLC was told {told} (verdict, reason, action, mode), the journal says {written}")


def _check_missing(
    result: Agreement, name: str, part: PartTally, rows: list[JournalRow], outage: Outage | None
) -> None:
    if rows and rows[0].answered and not (outage is not None and outage.forgets):
        result.complain(f"{name} was never answered, the journal says it was")
    if rows and rows[0].verdict is None:
        result.complain(f"{name} never ended in the journal")
    if outage is None:
        result.missing_unexplained += 1
        why = rows[0].why if rows else "the journal does not know it"
        result.complain(f"{name} was never answered, and no outage explains it: {why}")
    else:
        result.missing_explained[outage.what] += 1
