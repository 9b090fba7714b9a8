"""NAMUR NE 107 health from the duties' reports, and the failsafe latch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from statemachines.vocabulary import FaultCode, Health, Ns

_RANK = (Health.NORMAL, Health.MAINTENANCE, Health.OUT_OF_SPEC, Health.CHECK_FUNCTION, Health.FAILURE)
"""NE 107 signals from harmless to grave; their numbers are not in this order."""

_ENDS_WITH_PROCESS = frozenset(
    {FaultCode.INFERENCE_HUNG, FaultCode.TASK_DIED, FaultCode.ILLEGAL_EVENT, FaultCode.LOOP_HUNG, FaultCode.OPERATOR}
)


def worst(reports: Mapping[str, tuple[Health, str]]) -> tuple[Health, str]:
    """The gravest report, as (health, "source: why")."""
    health, text = Health.NORMAL, ""
    for source, (reported, why) in reports.items():
        if _RANK.index(reported) > _RANK.index(health):
            health, text = reported, f"{source}: {why}"
    return health, text


@dataclass(frozen=True, slots=True)
class FailsafeLatch:
    """Latched state in which no verdict is trusted.

    Left only when three things came together: the cause is gone, somebody with a name asked for the reset, and after
    that the PLC took Enable from 0 to 1.
    """

    code: FaultCode = FaultCode.NONE
    why: str = ""
    cause_gone: bool = False
    reset_by: str = ""
    since: Ns = Ns(0)

    @property
    def latched(self) -> bool:
        return self.code is not FaultCode.NONE


def restored(code: FaultCode, why: str, at: Ns) -> FailsafeLatch:
    """The latch as found on disk at start. What ended with the old process is gone, the latch is not."""
    if code is FaultCode.NONE:
        return FailsafeLatch()
    return FailsafeLatch(code, why, cause_gone=code in _ENDS_WITH_PROCESS, since=at)


def trip(latch: FailsafeLatch, code: FaultCode, why: str, at: Ns) -> FailsafeLatch:
    """Latch; the first cause stays named, a further one takes back a reset that was under way."""
    if latch.latched:
        return replace(latch, cause_gone=False, reset_by="")
    return FailsafeLatch(code, why, since=at)


def clear_cause(latch: FailsafeLatch) -> FailsafeLatch:
    """What tripped it is mended."""
    return replace(latch, cause_gone=True) if latch.latched else latch


def request_reset(latch: FailsafeLatch, who: str) -> FailsafeLatch:
    """An operator asks; granted at the next Enable 0→1, if the cause is gone."""
    return replace(latch, reset_by=who) if latch.latched and latch.cause_gone else latch


def enable_rose(latch: FailsafeLatch) -> FailsafeLatch:
    """The PLC took Enable from 0 to 1: the last condition of a granted reset."""
    return FailsafeLatch() if latch.latched and latch.cause_gone and latch.reset_by else latch
