"""From views to a verdict, from verdict and mode to an action. The whole law of acting is on this page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from statemachines.vocabulary import Action, Assessment, Fallback, Finding, Mode, Policy, Verdict


@dataclass(frozen=True, slots=True)
class Ruling:
    """What to ask of the PLC; alert: ask a person too (AlertRequest)."""

    action: Action
    alert: bool


@dataclass(frozen=True, slots=True)
class Judgement:
    """All views of a part, combined."""

    verdict: Verdict
    findings: tuple[Finding, ...]
    score: float
    why: str


def combine(assessments: Sequence[Assessment]) -> Judgement | None:
    """One verdict for all views: the worst. None when there is nothing to trust: no view, a verdict that is none of
    OK, NG and UNSURE, or a score that is not a finite number."""
    if not assessments:
        return None
    for assessment in assessments:
        if assessment.verdict not in (Verdict.OK, Verdict.NG, Verdict.UNSURE) or not math.isfinite(assessment.score):
            return None
    for verdict in (Verdict.NG, Verdict.UNSURE, Verdict.OK):
        matching = [a for a in assessments if a.verdict is verdict]
        if matching:
            findings = tuple(
                sorted((f for a in assessments for f in a.findings), key=lambda f: (f.severity, f.confidence))
            )[::-1]
            return Judgement(verdict, findings, max(a.score for a in assessments), "; ".join(a.why for a in matching))
    return None


def rule(mode: Mode, verdict: Verdict, policy: Policy, undecided_before: int) -> Ruling:
    """The action for a verdict.

    undecided_before: how many parts in a row before this one were NO_DECISION; turns a fallback of "pass" into STOP.
    """
    match mode:
        case Mode.SHADOW:
            return Ruling(Action.NONE, alert=False)
        case Mode.ALERT:
            return _alert(verdict, policy)
        case Mode.AUTO_REJECT:
            return Ruling(_auto_reject(verdict, policy, undecided_before), alert=False)
        case _:
            assert_never(mode)


def _alert(verdict: Verdict, policy: Policy) -> Ruling:
    if verdict is Verdict.OK:
        return Ruling(Action.PASS, alert=False)
    if verdict is Verdict.NO_DECISION and policy.fallback is Fallback.STOP:
        return Ruling(Action.STOP, alert=True)
    if policy.divert_lane:
        return Ruling(Action.DIVERT, alert=False)
    return Ruling(Action.PASS, alert=True)


def _auto_reject(verdict: Verdict, policy: Policy, undecided_before: int) -> Action:
    match verdict:
        case Verdict.OK:
            return Action.PASS
        case Verdict.UNSURE if policy.divert_lane:
            return Action.DIVERT
        case Verdict.NO_DECISION:
            return _fallback(policy, undecided_before)
        case _:
            return Action.REJECT


def _fallback(policy: Policy, undecided_before: int) -> Action:
    match policy.fallback:
        case Fallback.REJECT:
            return Action.REJECT
        case Fallback.STOP:
            return Action.STOP
        case Fallback.PASS:
            return Action.PASS if undecided_before < policy.stop_after_passes else Action.STOP
        case _:
            assert_never(policy.fallback)
