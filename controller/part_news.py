"""What the status process is told of each part: begun, acquired, ended. Messages of their own beside the snapshots.

They are queued without waiting; a status process that does not keep up costs messages, counted, and nothing else.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from controller.runtime import Duration, Runtime
from controller.status.feed import StatusFeed
from controller.status.messages import PartAcquired, PartBegan, PartEnded
from statemachines.commands import RecordTrigger
from statemachines.vocabulary import Finding, Outcome, PartKey, Reason

MOST_OPEN = 64
"""Parts whose beginning is remembered; far more than can be in flight."""
MOST_FINDINGS = 20


class PartNews:
    """Notes down what happens to parts, on the deciding loop: a message built and queued, nothing else."""

    def __init__(self, wall_ns: Callable[[], int]) -> None:
        self._wall_ns = wall_ns
        self._runtime: Runtime | None = None
        self._feed: StatusFeed | None = None
        self._open: OrderedDict[PartKey, tuple[int, str, str, str]] = OrderedDict()

    def connect(self, runtime: Runtime, feed: StatusFeed) -> None:
        """From now on there is somebody to tell."""
        self._runtime, self._feed = runtime, feed

    def began(self, fact: RecordTrigger) -> None:
        """A part was taken in."""
        if self._feed is None or self._runtime is None:
            return
        wall_ns = self._wall_ns() - (self._runtime.now() - fact.triggered_at)
        recipe = self._runtime.station.recipe
        product = recipe.product if recipe and recipe.hash == fact.recipe_hash else ""
        self._open[fact.part] = (wall_ns, product, fact.recipe_hash, fact.meas_id)
        if len(self._open) > MOST_OPEN:
            self._open.popitem(last=False)
        self._feed.tell(PartBegan(str(fact.part), str(fact.part_id), wall_ns, self._runtime.station.jobs.series))

    def acquired(self, part: PartKey) -> None:
        """Every view of the part was exposed."""
        if self._feed is not None:
            self._feed.tell(PartAcquired(str(part)))

    def ended(self, outcome: Outcome, duration: Duration) -> None:
        """A part ended; for one that was answered, the answer is out."""
        if self._feed is None or self._runtime is None:
            return
        now, ended_wall_ns = self._runtime.now(), self._wall_ns()
        known = self._open.pop(outcome.part, (ended_wall_ns, "", "", ""))
        began_wall_ns, product, recipe_hash, meas_id = known
        self._feed.tell(
            PartEnded(
                key=str(outcome.part),
                part_id=str(outcome.part_id),
                verdict=outcome.verdict.name,
                reason=outcome.reason.name,
                action=outcome.action.name,
                mode=outcome.mode.name,
                answered=outcome.answered,
                decided=outcome.reason is Reason.DECIDED,
                score=outcome.score,
                why=outcome.why,
                findings=[describe(finding) for finding in outcome.findings[:MOST_FINDINGS]],
                product=product,
                recipe_hash=recipe_hash,
                began_wall_ns=began_wall_ns,
                ended_wall_ns=ended_wall_ns,
                capture_us=duration.capture // 1000,
                processing_us=duration.inference // 1000,
                told_ns=now,
                meas_id=meas_id,
            )
        )


def describe(finding: Finding) -> str:
    """One finding in one line."""
    return (
        f"{finding.defect} {finding.length_mm:.2f} x {finding.width_mm:.2f} mm {finding.severity.name}: {finding.why}"
    )
