"""Curves computed by hand for a few pictures."""

from __future__ import annotations

import numpy as np
import pytest

from models.lifecycle.validate.curves import precision_recall, risk_coverage

SCORES = np.array([0.9, 0.8, 0.8, 0.4, 0.1])
TRUTH = np.array([True, False, True, True, False])


def test_precision_and_recall_at_every_threshold() -> None:
    curve = precision_recall(SCORES, TRUTH)
    assert curve.thresholds == (0.9, 0.8, 0.4, 0.1)
    assert curve.precision == pytest.approx((1, 2 / 3, 3 / 4, 3 / 5))
    assert curve.recall == pytest.approx((1 / 3, 2 / 3, 1, 1))
    assert curve.average == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)
    with pytest.raises(ValueError, match="no recall"):
        precision_recall(SCORES, np.zeros(5, bool))


def test_order_of_pictures_does_not_matter() -> None:
    mixed = np.array([2, 4, 0, 3, 1])
    assert precision_recall(SCORES[mixed], TRUTH[mixed]) == precision_recall(SCORES, TRUTH)


def test_wider_band_leaves_more_over_and_errs_less() -> None:
    found = risk_coverage(SCORES, TRUTH, line=0.5, steps=11)
    assert (found[0].band, found[0].coverage, found[0].risk) == (0, 1, pytest.approx(2 / 5))
    at = {round(decided.band, 1): decided for decided in found}
    assert (at[0.4].coverage, at[0.4].risk) == (pytest.approx(4 / 5), pytest.approx(1 / 4))
    assert (at[0.7].coverage, at[0.7].risk) == (pytest.approx(2 / 5), 0)
    assert 0.9 not in at, "nothing is decided any more, so there is no risk to state"
    assert [decided.coverage for decided in found] == sorted((d.coverage for d in found), reverse=True)
