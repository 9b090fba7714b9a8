"""What the tasks learn from: good places, varied pictures, targets of cells, and the nets that learn them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra")

import torch
from torch import nn

from models.lifecycle import anomaly_fit, classify_fit, detect_fit, mask_fit
from models.lifecycle.augment import Augmentation, vary
from models.lifecycle.average_precision import mean_average_precision
from models.lifecycle.backbone import Backbone, normalised
from models.lifecycle.classify_fit import Draw, FitPlan
from models.lifecycle.data.sample import Box, Sample
from models.lifecycle.detect_fit import DetectPlan, crop, detections, moved_boxes, targets
from models.lifecycle.loop import Tick
from models.lifecycle.mask_fit import cells_of
from models.lifecycle.material import Format, Material
from models.lifecycle.task_nets import ClassifyNet, DetectNet, SegmentNetwork

SIDE, HOLE = 64, 24
PLAN = FitPlan(
    steps=60, batch=8, head_rate=1e-2, body_rate=1e-2, checks=3, threads=1, augment=Augmentation(zoom=(1, 1))
)
pytestmark = pytest.mark.timeout(600)


def toy_backbone() -> Backbone:
    """The shape of the real one and hardly any weights."""

    def layer(inside: int, outside: int, stride: int) -> nn.Module:
        conv = nn.Conv2d(inside, outside, 3, stride, 1)
        nn.init.kaiming_normal_(conv.weight)
        return nn.Sequential(conv, nn.BatchNorm2d(outside), nn.ReLU6())

    torch.manual_seed(1)
    blocks = nn.ModuleList([layer(8, 8, 1), nn.Identity(), layer(8, 8, 2), layer(8, 8, 2), layer(8, 8, 2)])
    return Backbone(layer(1, 8, 2), blocks, (2, 3, 4), channels=24)


def drawn(count: int) -> Material:
    """Grey noise; every second picture has a black square, with a box around it."""
    rng = np.random.default_rng(5)
    samples: list[Sample] = []
    pixels: list[np.ndarray] = []
    for number in range(count):
        picture = rng.normal(140, 6, (SIDE, SIDE)).clip(0, 255).astype(np.uint8)
        boxes: tuple[Box, ...] = ()
        if number % 2:
            x, y = (int(value) for value in rng.integers(4, SIDE - HOLE - 4, 2))
            picture[y : y + HOLE, x : x + HOLE] = 20
            boxes = (Box("hole", x, y, HOLE, HOLE),)
        classes = ("hole",) if boxes else ()
        samples.append(Sample(f"{number}.png", "0" * 64, SIDE, SIDE, f"b{number}", not boxes, classes, boxes))
        pixels.append(picture)
    return Material(Path(), tuple(samples), tuple(pixels), ("hole",), Format(SIDE, SIDE, 1))


def quiet(_: Tick) -> None:
    pass


def test_classifier_learns_drawn_holes() -> None:
    net = ClassifyNet(toy_backbone(), 1, width=16)
    curve = classify_fit.fit(net, drawn(16), drawn(12), PLAN, quiet)
    assert curve.best == 1.0, "every hole ranks above every good part"


def test_segmenter_learns_drawn_holes() -> None:
    net = SegmentNetwork(toy_backbone(), 1, fine=8, width=16)
    curve = mask_fit.fit(net, drawn(16), drawn(12), PLAN, quiet)
    assert curve.best > 1.15, "AUROC 1 and an overlap above 0.6"


def test_detector_learns_drawn_holes() -> None:
    net, kept = DetectNet(toy_backbone(), 1, width=16), drawn(12)
    plan = DetectPlan(replace(PLAN, steps=120), crop=SIDE)
    detect_fit.fit(net, drawn(16), kept, plan, quiet)
    truth = [kept.boxes(i) for i in range(len(kept))]
    assert mean_average_precision(detections(net, kept), truth, ("hole",), 0.5) > 0.8


def test_half_of_a_draw_is_defective_and_rare_types_come_more_often() -> None:
    names = ["a"] * 40 + ["b"] * 4 + [""] * 20
    samples = tuple(Sample(f"{i}", "0" * 64, 8, 8, "", not n, (n,) if n else ()) for i, n in enumerate(names))
    pixels = (np.zeros((8, 8), np.uint8),) * len(names)
    draw = Draw(Material(Path(), samples, pixels, ("a", "b"), Format(8, 8, 1)))
    chosen = np.concatenate([draw(8, np.random.default_rng(seed)) for seed in range(200)])
    share = {name: np.mean([names[i] == name for i in chosen]) for name in ("a", "b", "")}
    assert share[""] == 0.5
    assert 0.08 < share["b"] < 0.18, "4 of 44 defective ones, drawn as sqrt(40 / 4) times as often each"


def test_a_set_without_defects_cannot_be_supervised() -> None:
    kept = drawn(8)
    with pytest.raises(ValueError, match="anomaly"):
        Draw(kept.chosen([0, 2, 4]))


def test_labels_move_with_their_picture() -> None:
    kept, rng = drawn(2), np.random.default_rng(3)
    labels = kept.label_map(1)
    for _ in range(10):
        moved, marked = vary(kept.pixels[1], labels, rng, Augmentation(quarter=True, noise=0))
        assert marked is not None
        dark = moved < moved.mean() - 30
        assert (dark == (marked > 0)).mean() > 0.97


def test_cells_are_marked_from_a_quarter_on() -> None:
    labels = np.zeros((8, 8), np.uint8)
    labels[0, :4] = 1
    labels[4:, 4:] = 2
    labels[4, 0] = 1
    assert cells_of(labels, 4).tolist() == [[1, 0], [0, 2]]


def test_boxes_move_with_their_crop_and_hardly_seen_ones_are_not_asked_for() -> None:
    kept, rng = drawn(2), np.random.default_rng(3)
    for _ in range(10):
        pixels, boxes = crop(
            kept.pixels[1], kept.boxes(1), 48, rng, Augmentation(turn_degrees=0, quarter=True, noise=0)
        )
        for kind, left, top, right, bottom in boxes:
            if kind >= 0 and right - left > 6 and bottom - top > 6:
                inside = pixels[round(top) + 2 : round(bottom) - 2, round(left) + 2 : round(right) - 2]
                assert inside.max() < 60
    shifted = np.array([[1, 0, -20], [0, 1, 0]], np.float32)
    cut = moved_boxes(np.array([[0, 0, 0, 24, 10], [1, 20, 0, 40, 10], [1, 0, 0, 10, 9]], np.float32), shifted, 64)
    assert cut[:, 0].tolist() == [-1.0, 1.0], "a sixth is seen of the first, nothing of the last"


def test_cells_of_a_box() -> None:
    boxes = np.array([[0, 0, 0, 64, 64], [1, 16, 16, 24, 24], [-1, 48, 0, 64, 8]], np.float32)
    kind, wanted, asked = (t.numpy().reshape(8, 8, -1)[..., :4] for t in targets(boxes, 2, 8, 8))
    assert kind[2, 2, 0] == 1 and wanted[2, 2].tolist() == [16, 16, 24, 24], "the smaller box answers first"
    assert kind[4, 4, 0] == 0 and kind[0, 0, 0] == -1
    assert not asked[0, 0, 0], "inside the large box, but far from its middle"
    assert not asked[0, 7, 0], "of a defect that is hardly seen"
    free = np.array([[1, 16, 16, 24, 24]], np.float32)
    _, _, asked = targets(free, 2, 8, 8)
    assert int((~asked).sum()) == 0, "background is asked"


def textured(seed: int, mean: tuple[float, float] = (90, 160)) -> np.ndarray:
    """A part with a dark left half and a bright right one, and the grain of its surface."""
    rng = np.random.default_rng(seed)
    picture = np.repeat(np.array([mean], np.float64), SIDE, 0).repeat(SIDE // 2, 1)
    return (picture + rng.normal(0, 4, picture.shape)).clip(0, 255).astype(np.uint8)


EVERYTHING = anomaly_fit.Look("everything", slice(0, 4), 3)
BLIND = anomaly_fit.Look("nothing", slice(2, 4), 2)


@pytest.mark.parametrize(("defects", "chosen"), [(6, "everything"), (4, "nothing")])
def test_known_defects_choose_what_is_looked_at(defects: int, chosen: str) -> None:
    held = [textured(seed) for seed in range(50, 62)]
    for part in held[:defects]:
        part[16:32, 16:32] = 20
    plan, said = anomaly_fit.AnomalyPlan(pictures=20, looks=(BLIND, EVERYTHING)), list[str]()
    head = fitted_on([textured(seed) for seed in range(20)], plan, held, [n < defects for n in range(12)], said)
    assert f"looks at {chosen}" in said[-1]
    assert head.project.weight.shape[0] == (EVERYTHING if chosen == "everything" else BLIND).axes


def grey_levels(picture: np.ndarray) -> np.ndarray:
    """Features of a cell of 8 pixels: its mean, its spread, and two that say nothing."""
    cells = picture.astype(np.float64).reshape(SIDE // 8, 8, SIDE // 8, 8)
    nothing = np.random.default_rng(int(picture.sum()) % 1000).normal(size=(2, SIDE // 8, SIDE // 8))
    return np.concatenate([np.stack([cells.mean((1, 3)), cells.std((1, 3))]), nothing]).astype(np.float16)


def judged(head: anomaly_fit.AnomalyHead, picture: np.ndarray) -> tuple[np.ndarray, float]:
    with torch.no_grad():
        heat, score = head(torch.from_numpy(grey_levels(picture).astype(np.float32))[None])
    assert heat.shape == (1, 1, SIDE // 8, SIDE // 8) and score.shape == (1, 1)
    return heat[0, 0].numpy(), float(score)


def fitted(**changes: float) -> anomaly_fit.AnomalyHead:
    plan = replace(anomaly_fit.AnomalyPlan(pictures=40, looks=(EVERYTHING,)), **changes)  # type: ignore[arg-type]
    return fitted_on([textured(seed) for seed in range(20)], plan)


def fitted_on(
    good: list[np.ndarray],
    plan: anomaly_fit.AnomalyPlan,
    held: Sequence[np.ndarray] = (),
    defective: Sequence[bool] = (),
    said: list[str] | None = None,
) -> anomaly_fit.AnomalyHead:
    known = np.array(defective, bool)
    say = (said if said is not None else []).append
    head, look = anomaly_fit.fit(grey_levels, good, held, known, plan, say)  # type: ignore[arg-type]
    assert look in plan.looks
    return head


def test_what_is_good_in_one_place_is_an_anomaly_in_another() -> None:
    head = fitted()
    good, part = judged(head, textured(99)), textured(99)
    part[16:32, 16:32] = textured(98)[16:32, 40:56]
    heat, score = judged(head, part)
    assert np.unravel_index(heat.argmax(), heat.shape)[0] in (2, 3)
    assert np.unravel_index(heat.argmax(), heat.shape)[1] in (2, 3)
    assert score > 2 * good[1]


def test_the_distance_is_in_standard_deviations_of_good_parts() -> None:
    head = fitted(pictures=20, common=0.0, floor=0.0)
    scores = np.concatenate([judged(head, textured(seed))[0].ravel() for seed in range(20)])
    assert 0.7 < scores.mean() < 1.3


def test_the_score_is_the_mean_of_the_worst_places() -> None:
    heat, score = judged(fitted(), textured(7))
    worst = np.sort(heat.ravel())[::-1][: round(anomaly_fit.WORST * heat.size)]
    assert score == pytest.approx(float(worst.mean()), rel=1e-5)


def test_two_good_parts_are_enough_and_the_same_plan_gives_the_same_head() -> None:
    plan = anomaly_fit.AnomalyPlan(pictures=12, looks=(EVERYTHING,))
    one, two = (fitted_on([textured(1), textured(2)], plan) for _ in range(2))
    heat, score = judged(one, textured(3))
    assert np.isfinite(heat).all()
    assert judged(two, textured(3))[1] == score


def test_pixels_are_normalised_to_one_channel_or_three() -> None:
    assert normalised(np.full((2, 4, 5), 127, np.uint8)).shape == (2, 1, 4, 5)
    assert normalised(np.full((2, 4, 5, 3), 255, np.uint8)).max() == 1.0
