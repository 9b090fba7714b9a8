"""The law of acting, spelled out case by case."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statemachines.decision import combine, rule
from statemachines.vocabulary import Action, Assessment, Fallback, Finding, Mode, Policy, Severity, Verdict

LANE, NO_LANE = True, False


def policy(fallback: Fallback = Fallback.REJECT, lane: bool = NO_LANE, stop_after: int = 3) -> Policy:
    return Policy(fallback, lane, stop_after)


@pytest.mark.parametrize("verdict", list(Verdict))
@pytest.mark.parametrize("fallback", list(Fallback))
@pytest.mark.parametrize("lane", [LANE, NO_LANE])
def test_shadow_never_acts(verdict: Verdict, fallback: Fallback, lane: bool) -> None:
    ruling = rule(Mode.SHADOW, verdict, policy(fallback, lane), undecided_before=99)
    assert (ruling.action, ruling.alert) == (Action.NONE, False)


@pytest.mark.parametrize(
    ("verdict", "fallback", "lane", "action", "alert"),
    [
        (Verdict.OK, Fallback.REJECT, NO_LANE, Action.PASS, False),
        (Verdict.NG, Fallback.REJECT, LANE, Action.DIVERT, False),
        (Verdict.NG, Fallback.REJECT, NO_LANE, Action.PASS, True),
        (Verdict.UNSURE, Fallback.PASS, LANE, Action.DIVERT, False),
        (Verdict.UNSURE, Fallback.PASS, NO_LANE, Action.PASS, True),
        (Verdict.NO_DECISION, Fallback.REJECT, LANE, Action.DIVERT, False),
        (Verdict.NO_DECISION, Fallback.PASS, NO_LANE, Action.PASS, True),
        (Verdict.NO_DECISION, Fallback.STOP, LANE, Action.STOP, True),
        (Verdict.NO_DECISION, Fallback.STOP, NO_LANE, Action.STOP, True),
    ],
)
def test_alert_asks_a_person(verdict: Verdict, fallback: Fallback, lane: bool, action: Action, alert: bool) -> None:
    ruling = rule(Mode.ALERT, verdict, policy(fallback, lane), undecided_before=0)
    assert (ruling.action, ruling.alert) == (action, alert)


@pytest.mark.parametrize(
    ("verdict", "fallback", "lane", "action"),
    [
        (Verdict.OK, Fallback.STOP, LANE, Action.PASS),
        (Verdict.NG, Fallback.PASS, LANE, Action.REJECT),
        (Verdict.UNSURE, Fallback.PASS, LANE, Action.DIVERT),
        (Verdict.UNSURE, Fallback.PASS, NO_LANE, Action.REJECT),
        (Verdict.NO_DECISION, Fallback.REJECT, LANE, Action.REJECT),
        (Verdict.NO_DECISION, Fallback.PASS, LANE, Action.PASS),
        (Verdict.NO_DECISION, Fallback.STOP, LANE, Action.STOP),
        (Verdict.NONE, Fallback.PASS, LANE, Action.REJECT),
    ],
)
def test_auto_reject_acts(verdict: Verdict, fallback: Fallback, lane: bool, action: Action) -> None:
    assert rule(Mode.AUTO_REJECT, verdict, policy(fallback, lane), undecided_before=0).action is action


@pytest.mark.parametrize(("before", "action"), [(0, Action.PASS), (2, Action.PASS), (3, Action.STOP), (9, Action.STOP)])
def test_fallback_pass_becomes_stop(before: int, action: Action) -> None:
    ruling = rule(Mode.AUTO_REJECT, Verdict.NO_DECISION, policy(Fallback.PASS, stop_after=3), before)
    assert ruling.action is action


def finding(severity: Severity, confidence: float) -> Finding:
    return Finding("scratch", 1, severity, confidence, (0, 0, 1, 1), 1.0, 1.0, 1.0, "why")


def test_the_worst_view_decides_and_the_worst_finding_leads() -> None:
    ok = Assessment(Verdict.OK, (finding(Severity.MINOR, 0.9),), 0.1, "fine")
    ng = Assessment(Verdict.NG, (finding(Severity.CRITICAL, 0.6), finding(Severity.MAJOR, 0.9)), 0.9, "crack")
    judged = combine([ok, ng])
    assert judged is not None
    assert (judged.verdict, judged.score, judged.why) == (Verdict.NG, 0.9, "crack")
    assert [f.severity for f in judged.findings] == [Severity.CRITICAL, Severity.MAJOR, Severity.MINOR]


@given(
    st.lists(st.sampled_from([Verdict.OK, Verdict.NG, Verdict.UNSURE]), max_size=4),
    st.sampled_from([math.nan, math.inf, -math.inf]),
    st.sampled_from([Verdict.NONE, Verdict.NO_DECISION]),
)
def test_nothing_unusable_is_ever_ok(verdicts: list[Verdict], bad_score: float, bad_verdict: Verdict) -> None:
    good = [Assessment(v, (), 0.5, "") for v in verdicts]
    assert combine([*good, Assessment(Verdict.OK, (), bad_score, "")]) is None
    assert combine([Assessment(bad_verdict, (), 0.5, ""), *good]) is None
    assert combine([]) is None
