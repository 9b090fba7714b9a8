"""Lines by cost, calibration, the gate and average precision: figures computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from models.catalogue import Catalogue
from models.finding import RawFinding
from models.lifecycle.average_precision import average_precisions, mean_average_precision, overlap
from models.lifecycle.calibrate import calibration_error, platt, reliability
from models.lifecycle.evaluate import Line
from models.lifecycle.gate import Measured, rule
from models.lifecycle.thresholds import Aim, Chosen, Prices, choose, choose_all, with_lines

PRICES = Prices(escaped=20.0, rejected=1.0, second_look=0.2)


def sample(good: list[float], bad: list[float]) -> tuple[np.ndarray, np.ndarray]:
    return np.array(good + bad), np.array([False] * len(good) + [True] * len(bad))


def brute(scores: np.ndarray, bad: np.ndarray, prices: Prices, aim: Aim) -> float:
    """The least cost over every pair of lines, by counting parts one by one."""
    steps = np.unique(scores)
    lines = [steps[0] - 1, *((steps[1:] + steps[:-1]) / 2), steps[-1] + 1]
    best = math.inf
    for low in lines:
        if (scores[bad] > low).mean() < aim.recall - 1e-9:
            continue
        for high in (line for line in lines if line >= low):
            of_bad = [prices.escaped if s <= low else prices.second_look if s <= high else 0 for s in scores[bad]]
            of_good = [0 if s <= low else prices.second_look if s <= high else prices.rejected for s in scores[~bad]]
            cost = aim.defect_share * np.mean(of_bad) + (1 - aim.defect_share) * np.mean(of_good)
            best = min(best, float(cost))
    return best


@pytest.mark.parametrize("seed", range(6))
def test_lines_are_the_cheapest_of_all(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores, bad = sample(list(rng.normal(0.3, 0.2, 30)), list(rng.normal(0.6, 0.25, 12)))
    aim = Aim(recall=float(rng.uniform(0, 1)), defect_share=float(rng.uniform(0.01, 0.5)))
    found = choose(scores, bad, ~bad, PRICES, aim)
    assert found.cost == pytest.approx(brute(scores, bad, PRICES, aim))
    assert found.caught >= aim.recall - 1e-9 and found.line.unsure <= found.line.ng


def test_parted_samples_get_a_line_between_them_and_no_unsure_band_among_good_parts() -> None:
    scores, bad = sample([0.1, 0.2], [0.8, 0.9])
    found = choose(scores, bad, ~bad, PRICES, Aim())
    assert (found.line.unsure, found.line.ng) == (0.5, 0.5)
    assert (found.caught, found.sure, found.rejected_good) == (1.0, 1.0, 0.0)


def test_recall_that_is_wanted_is_reached_however_dear() -> None:
    scores, bad = sample([0.1, 0.5, 0.6, 0.7], [0.2, 0.9])
    cheap = choose(scores, bad, ~bad, Prices(0.1, 5.0, 1.0), Aim(recall=0.5))
    wanted = choose(scores, bad, ~bad, Prices(0.1, 5.0, 1.0), Aim(recall=1.0))
    assert (cheap.caught, wanted.caught) == (0.5, 1.0)
    assert wanted.line.unsure < 0.2


def test_nothing_to_choose_from_is_an_error() -> None:
    scores, bad = sample([], [0.2])
    with pytest.raises(ValueError, match="both are needed"):
        choose(scores, bad, ~bad, PRICES, Aim())


def test_catalogue_gets_the_lines_and_graver_defects_lower_ones() -> None:
    kinds = [
        {"name": n, "code": c, "measure": "count", "severities": [{"severity": s, "above": 0}]}
        for n, c, s in (("crack", 1, "critical"), ("stain", 2, "minor"), ("dent", 3, "minor"))
    ]
    catalogue = Catalogue.model_validate({"schema": 1, "product": "p", "defects": kinds})
    scores, bad = sample([0.1, 0.3, 0.5], [0.2, 0.4, 0.9])
    types = np.stack([bad, bad, np.zeros(6, bool)], 1)
    aim = Aim(recall=0.3, defect_share=0.05)
    chosen = choose_all(np.stack([scores] * 3, 1), types, ["crack", "stain", "dent"], ~bad, catalogue, aim)
    assert set(chosen) == {"crack", "stain"}, "validation shows no dent"
    assert chosen["crack"].line.unsure < chosen["stain"].line.unsure
    changed = with_lines(catalogue, {name: c.line for name, c in chosen.items()})
    assert changed.defects[0].min_confidence == pytest.approx(chosen["crack"].line.unsure)
    assert changed.defects[2] == catalogue.defects[2]


def test_calibration_gives_back_what_was_bent() -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 2, 4000)
    truth = rng.random(4000) < 1 / (1 + np.exp(-(0.5 * logits - 1)))
    slope, shift = platt(logits, truth)
    assert (slope, shift) == (pytest.approx(0.5, abs=0.06), pytest.approx(-1, abs=0.15))
    before = calibration_error(reliability(1 / (1 + np.exp(-logits)), truth))
    after = calibration_error(reliability(1 / (1 + np.exp(-(slope * logits + shift))), truth))
    assert after < 0.03 < before


def test_calibration_stays_finite_on_parted_samples_and_silent_on_too_few() -> None:
    logits = np.array([-4.0, -3, -2, 2, 3, 4])
    slope, shift = platt(logits, logits > 0)
    assert 0 < slope < 20 and math.isfinite(shift)
    assert platt(logits, logits > 3.5) == (1.0, 0.0)


def chosen(caught: float, defects: int) -> Chosen:
    return Chosen(Line(0.1, 0.2), caught, caught, 0.0, 0.0, 0.0, defects, 100)


@pytest.mark.parametrize(
    ("metric", "recall", "passed"),
    [(0.95, 0.99, True), (0.9451, 0.99, True), (0.9449, 0.99, False), (0.95, 0.979, False), (math.nan, 0.99, False)],
)
def test_gate(metric: float, recall: float, passed: bool) -> None:
    before = Measured("fp32", 0.95, {"crack": chosen(0.99, 200)})
    ruling = rule(before, Measured("int8", metric, {"crack": chosen(recall, 200)}))
    assert ruling.passed is passed
    assert bool(ruling.reasons) is not passed


def test_gate_refuses_a_graph_whose_lines_are_missing_and_lets_pass_what_neither_can_measure() -> None:
    before = Measured("fp32", math.nan, {"crack": chosen(1.0, 5)})
    assert not rule(before, Measured("int8", math.nan, {})).passed
    assert rule(before, Measured("int8", math.nan, {"crack": chosen(1.0, 5)})).passed


def box(defect: str, confidence: float, x: int, y: int, w: int, h: int) -> RawFinding:
    return RawFinding(defect, confidence, (x, y, w, h), float(w), float(h), float(w * h))


def test_average_precision_counts_a_second_hit_as_false_and_orders_by_confidence() -> None:
    truth = [np.array([[0, 0, 0, 10, 10], [0, 50, 50, 60, 60]], np.float32), np.zeros((0, 5), np.float32)]
    found = [[box("a", 0.9, 0, 0, 10, 10), box("a", 0.8, 0, 0, 10, 10), box("a", 0.6, 50, 50, 10, 10)], []]
    # Precision 1 at recall 0.5, 2/3 at recall 1.
    assert average_precisions(found, truth, ["a", "b"], 0.5) == {"a": pytest.approx(0.5 + 0.5 * 2 / 3)}
    assert mean_average_precision([[], []], truth, ["a", "b"], 0.5) == 0.0
    worse = [found[0], [box("a", 0.95, 5, 5, 9, 9)]]
    assert mean_average_precision(worse, truth, ["a"], 0.5) < mean_average_precision(found, truth, ["a"], 0.5)


def test_overlap_of_boxes() -> None:
    assert overlap(np.array([0.0, 0, 10, 10]), np.array([[0.0, 0, 10, 5], [20, 20, 30, 30]])).tolist() == [0.5, 0.0]
