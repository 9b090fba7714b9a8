"""A model that answers nothing, or doubts, is never a model that found nothing."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.catalogue import Catalogue
from models.decode import DECODERS
from models.errors import InferenceFailed
from models.package import Manifest
from statemachines.vocabulary import Assessment, Verdict

Outputs = dict[str, NDArray[np.float32]]
TEN = ("good", *(f"defect{i}" for i in range(9)))


def manifest(task: str, classes: tuple[str, ...] = ("scratch", "dent"), **output: Any) -> Manifest:
    return Manifest.model_validate(
        {
            "schema": 1,
            "name": "m",
            "version": "1",
            "task": task,
            "classes": classes,
            "good_class": "good" if task == "classify" else None,
            "input": {"width": 100, "height": 50, "channels": 1, "colour": "grey", "mean": [0], "std": [1]},
            "output": {"box_format": "yolov8" if task == "detect" else None, **output},
            "graphs": {"int8": "int8.xml"},
            "training_data_sha256": "0" * 64,
            "metrics": {},
            "licence": "x",
            "created": "2026",
        }
    )


def judge(about: Manifest, outputs: Outputs, measure: str = "count", above: float = 0.0) -> Assessment:
    """Decode for a frame of 200 × 100 pixels and grade at 0.1 mm per pixel."""
    limits = [{"severity": "major", "above": above}]
    defects = [
        {"name": name, "code": code, "measure": measure, "severities": limits}
        for code, name in enumerate(about.defect_classes, start=1)
    ]
    catalogue = Catalogue.model_validate({"schema": 1, "product": "p", "defects": defects})
    decoded = DECODERS[about.task](outputs, about, 200, 100)
    return catalogue.assess(decoded.findings, 0.1, decoded.score)


def background(height: int = 10, width: int = 20) -> NDArray[np.float32]:
    maps = np.zeros((1, 3, height, width), np.float32)
    maps[0, 0] = 1.0
    return maps


def spoiled(channel: int, value: float) -> NDArray[np.float32]:
    maps = background()
    maps[0, channel, 3, 3] = value
    return maps


@pytest.mark.parametrize(
    ("task", "output"),
    [
        ("segment", np.zeros((1, 3, 10, 20))),
        ("segment", np.full((1, 3, 10, 20), 0.1)),
        ("segment", np.zeros((1, 3, 0, 20))),
        ("segment", spoiled(1, -math.inf)),
        ("segment", spoiled(1, math.nan)),
        ("segment", spoiled(0, 0.0)),
        ("detect", np.zeros((1, 6, 50))),
        ("detect", np.zeros((1, 6, 0))),
        ("classify", np.zeros((1, 3))),
        ("anomaly", np.zeros((1, 1, 0, 20))),
        ("anomaly", np.full((1, 1, 10, 20), -math.inf)),
    ],
    ids=[
        "zeros", "too little", "no pixels", "-inf", "nan", "one dead pixel",
        "zero boxes", "no boxes", "zero classes", "empty map", "-inf map",
    ],
)  # fmt: skip
def test_a_model_that_answers_nothing_has_failed(task: str, output: NDArray[np.float64]) -> None:
    classes = ("good", "scratch", "dent") if task == "classify" else ("scratch", "dent")
    with pytest.raises(InferenceFailed):
        judge(manifest(task, classes), {"only": output.astype(np.float32)}, "length", 1.0)


def test_living_models_that_find_nothing_say_ok() -> None:
    boxes = np.zeros((1, 6, 50), np.float32)
    boxes[0, :4] = 20
    boxes[0, 4:] = 0.01
    assert judge(manifest("segment"), {"only": background()}).verdict is Verdict.OK
    assert judge(manifest("detect"), {"only": boxes}).verdict is Verdict.OK
    assert judge(manifest("anomaly"), {"only": np.full((1, 1, 9, 9), 0.1, np.float32)}).verdict is Verdict.OK
    good = np.array([[0.98, *[0.002] * 9]], np.float32)
    assert judge(manifest("classify", TEN), {"only": good}).verdict is Verdict.OK


@pytest.mark.parametrize("good", [0.0, 0.1, 0.3, 0.49])
def test_a_classifier_that_spreads_its_doubt_over_many_classes_is_not_ok(good: float) -> None:
    spread = np.array([[good, *[(1 - good) / 9] * 9]], np.float32)
    judged = judge(manifest("classify", TEN), {"only": spread})
    assert judged.verdict is Verdict.NG
    assert judged.findings[0].confidence == pytest.approx(1 - good)


def test_a_more_careful_threshold_never_calls_more_frames_good() -> None:
    doubtful = {"only": np.array([[0.4, *[0.6 / 9] * 9]], np.float32)}
    assert judge(manifest("classify", TEN, unsure_from=0.5), doubtful).verdict is Verdict.NG
    assert judge(manifest("classify", TEN, unsure_from=0.2), doubtful).verdict is Verdict.NG


@pytest.mark.parametrize(("measure", "above"), [("length", 4.0), ("width", 4.0), ("area", 4.0), ("count", 0)])
def test_a_bad_score_without_a_place_exceeds_a_limit_of_any_measure(measure: str, above: float) -> None:
    outputs = {"score": np.array([0.99], np.float32)}
    assert judge(manifest("anomaly", ("anomaly",)), outputs, measure, above).verdict is Verdict.NG


@pytest.mark.parametrize("task", ["classify", "detect", "segment"])
def test_only_anomaly_scores_may_be_bad_when_low(task: str) -> None:
    assert manifest("anomaly", score_orientation="low_is_bad")
    with pytest.raises(ValueError, match="high_is_bad"):
        manifest(task, TEN if task == "classify" else ("scratch",), score_orientation="low_is_bad")


def test_sizes_are_true_where_x_and_y_scale_apart() -> None:
    """A map of 20 × 25 for a frame of 200 × 100: 10 px of the frame across, 4 px down, for one of the map."""
    maps = background(25, 20)
    maps[0, :, 5:15, 4:6] = np.array([0, 1, 0], np.float32)[:, None, None]
    (finding,) = judge(manifest("segment"), {"only": maps}, "length", 100.0).findings
    assert (finding.length_mm, finding.width_mm) == (pytest.approx(4.0), pytest.approx(2.0))
    assert finding.area_mm2 == pytest.approx(8.0)
    assert finding.region == (40, 20, 20, 40)


def test_only_the_best_candidates_enter_the_suppression() -> None:
    dice = random.Random(1)
    boxes = np.zeros((1, 6, 400), np.float32)
    for index in range(400):
        boxes[0, :, index] = (index % 20 * 5, index // 20 * 2.5, 1, 1, dice.uniform(0.6, 0.8), 0)
    boxes[0, 4, 77] = 0.99
    decoded = DECODERS["detect"]({"only": boxes}, manifest("detect", max_candidates=10), 200, 100)
    assert len(decoded.findings) == 10
    assert max(f.confidence for f in decoded.findings) == pytest.approx(0.99)
