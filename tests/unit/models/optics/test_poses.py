"""The person at the target is told what to do, and only pictures that help are kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.optics import poses
from models.optics.poses import POSES, PoseCollector
from models.optics.solve import Sighting
from models.optics.target import Target

TARGET = Target(14, 9, 3.4)
EMPTY = np.zeros((400, 640), np.uint8)


def sighting(shift: float = 0.0, scale: float = 40.0) -> Sighting:
    """All corners of a target that lies straight, `scale` pixels a square."""
    xs, ys = np.meshgrid(np.arange(13), np.arange(8))
    corners = np.stack([xs.ravel(), ys.ravel()], axis=1) * scale + shift
    return Sighting(corners.astype(np.float32), np.arange(104, dtype=np.int32), (640, 400))


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[Sighting | None]:
    """What the next pictures show, in this order."""
    coming: list[Sighting | None] = []

    def find_next(_target: object, _pixels: object) -> Sighting | None:
        return coming.pop(0)

    monkeypatch.setattr(poses, "find_target", find_next)
    return coming


def told(collector: PoseCollector, shown: list[Sighting | None], *seen: Sighting | None) -> list[str]:
    shown.extend(seen)
    return [collector.show(EMPTY) for _ in seen]


def test_a_target_that_moves_is_not_kept_and_one_at_rest_is(shown: list[Sighting | None]) -> None:
    collector = PoseCollector(TARGET)
    said = told(collector, shown, None, sighting(0), sighting(5), sighting(5.2))
    assert said[0].endswith("it is not seen")
    assert said[1].endswith("hold it still") and said[2].endswith("hold it still")
    assert said[3] == "kept"
    assert len(collector.kept) == 1


def test_a_target_in_place_must_fill_the_frame(shown: list[Sighting | None]) -> None:
    collector = PoseCollector(TARGET)
    assert "too small" in told(collector, shown, sighting(0, scale=15), sighting(0, scale=15))[-1]
    assert not collector.kept


def test_the_same_pose_counts_once_and_enough_poses_end_it(shown: list[Sighting | None]) -> None:
    collector = PoseCollector(TARGET)
    said = told(collector, shown, *[sighting(0)] * 4)
    assert said[1] == "kept" and said[2].startswith("tilt")
    for number in range(1, POSES):
        said = told(collector, shown, *[sighting(10 * number)] * 2)
    assert said[-1] == "done"
    assert collector.complete and len(collector.kept) == POSES


def test_pictures_without_common_corners_are_far_apart(shown: list[Sighting | None]) -> None:
    collector, whole = PoseCollector(TARGET), sighting(0)
    halves = [
        replace(whole, corners=whole.corners[part], numbers=whole.numbers[part]) for part in (np.s_[:52], np.s_[52:])
    ]
    assert told(collector, shown, *halves)[-1].endswith("hold it still")
