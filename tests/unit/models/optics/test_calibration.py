"""The bars of calibration, on rendered pictures of known geometry: scale within 0.2 %, a scratch of 2.00 mm ± 0.05."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from models.catalogue import Catalogue
from models.decode.decoded import regions
from models.errors import CalibrationRefused, ModelRejected
from models.finding import RawFinding
from models.optics import calibration
from models.optics.calibration import Calibration, from_solution
from models.optics.scale import UniformScale
from models.optics.solve import LEAST_TILTED, Sighting, Solution, find_target, solve
from models.optics.target import Target, ruler_mm
from tests.unit.models.optics.scene import Scene, held, printed, scratch

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
SCENES = {
    "leaning": Scene(),
    "wide lens": Scene(
        focal=(900, 902), distance=45, distortion=(-0.28, 0.1, 0.001, 0.0005, -0.01), rotation=(0.1, 0, 0)
    ),
}


@dataclass(frozen=True)
class Calibrated:
    scene: Scene
    in_place: Sighting
    tilted: list[Sighting]
    solution: Solution


@pytest.fixture(scope="module", params=sorted(SCENES))
def calibrated(request: pytest.FixtureRequest) -> Calibrated:
    scene = SCENES[request.param]
    surface = printed(scene.target)
    seen = [find_target(scene.target, pose.picture(surface)) for pose in (scene, *held(scene))]
    first, *others = (sighting for sighting in seen if sighting is not None)
    assert len(others) >= LEAST_TILTED
    return Calibrated(scene, first, others, solve(scene.target, first, others))


def test_mm_per_px_is_within_two_tenths_of_a_percent(calibrated: Calibrated) -> None:
    true, found = calibrated.scene.mm_per_px(), calibrated.solution.mm_per_px
    assert found == pytest.approx(true, rel=0.002)
    assert abs(found / true - 1) <= calibrated.solution.uncertainty < 0.002
    assert calibrated.solution.rms_px < 0.2


def test_every_place_of_the_plane_is_where_it_is(calibrated: Calibrated) -> None:
    """Distances between places all over what the target covered."""
    scene, corners = calibrated.scene, calibrated.in_place.corners
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    xs, ys = np.meshgrid(np.linspace(left, right, 9), np.linspace(top, bottom, 7))
    true = np.stack(scene.to_plane(xs.ravel() - 0.5, ys.ravel() - 0.5), axis=1)
    found = calibrated.solution.scale.to_plane(np.stack([xs.ravel(), ys.ravel()], axis=1))
    apart = [np.linalg.norm(places[:, None] - places[None], axis=2) for places in (true, found)]
    far = apart[0] > 5
    assert np.abs(apart[1] / np.where(far, apart[0], 1) - 1)[far].max() < 0.002


def test_a_scratch_of_two_millimetres_measures_two_at_any_place_and_angle(calibrated: Calibrated) -> None:
    scene, scale, rng = calibrated.scene, calibrated.solution.scale, np.random.default_rng(7)
    by_number, by_plane = list[float](), list[float]()
    for _ in range(60):
        x, y, angle = rng.uniform(60, scene.width - 60), rng.uniform(60, scene.height - 60), rng.uniform(0, math.pi)
        found = seen_scratch(scene, float(x), float(y), float(angle))
        by_plane.append(scale.size(found)[0])
        by_number.append(UniformScale(calibrated.solution.mm_per_px).size(found)[0])
    assert np.abs(np.array(by_plane) - 2.0).max() <= 0.05
    if scene.distance < 50:
        # What the calibration is for: one number for the whole frame would be wrong here.
        assert np.abs(np.array(by_number) - 2.0).max() > 0.1


def seen_scratch(scene: Scene, x: float, y: float, angle: float) -> RawFinding:
    """The scratch as a map that a perfect model would give of a picture of it, decoded as every map is."""
    mm_x, mm_y = scene.to_plane(np.array([x]), np.array([y]))
    region = (int(x) - 50, int(y) - 50, 100, 100)
    picture = scene.picture(scratch(float(mm_x[0]), float(mm_y[0]), angle), region).astype(np.float32)
    heat = np.clip((180 - picture) / (180 - picture.min()), 0, 1)
    found = max(regions(heat, 0.5, 4, "scratch", (1, 1)), key=lambda one: one.length_px)
    return found.moved(region[0], region[1])


@pytest.mark.parametrize("calibrated", ["leaning"], indirect=True)
def test_the_stated_uncertainty_covers_what_pictures_with_noise_do(calibrated: Calibrated) -> None:
    """Corners shifted at random by a fifth of a pixel: 95 % of the scales must lie within the uncertainty stated. One
    lens is enough."""
    scene, rng = calibrated.scene, np.random.default_rng(11)
    inside, runs = 0, 6
    for _ in range(runs):
        shaken = [
            replace(seen, corners=(seen.corners + rng.normal(0, 0.2, seen.corners.shape)).astype(np.float32))
            for seen in (calibrated.in_place, *calibrated.tilted)
        ]
        found = solve(scene.target, shaken[0], shaken[1:])
        inside += abs(found.mm_per_px / scene.mm_per_px() - 1) <= found.uncertainty
    assert inside >= runs - 1


def test_the_catalogue_grades_by_the_plane(calibrated: Calibrated) -> None:
    limits = [{"severity": "major", "above": 1.9}, {"severity": "critical", "above": 2.1}]
    kind = {"name": "scratch", "code": 1, "measure": "length", "severities": limits}
    catalogue = Catalogue.model_validate({"schema": 1, "product": "p", "defects": [kind]})
    for x, y in ((80.0, 70.0), (480.0, 300.0), (890.0, 520.0)):
        assessment = catalogue.assess([seen_scratch(calibrated.scene, x, y, 0.7)], calibrated.solution.scale, 0.9)
        assert assessment.findings[0].severity.name == "MAJOR", assessment.why


def test_too_few_or_parallel_poses_are_refused(calibrated: Calibrated) -> None:
    target, first, others = calibrated.scene.target, calibrated.in_place, calibrated.tilted
    with pytest.raises(CalibrationRefused, match="show it at more angles"):
        solve(target, first, others[: LEAST_TILTED - 1])
    with pytest.raises(CalibrationRefused, match="tilt the target more"):
        solve(target, first, [first] * LEAST_TILTED)


def test_a_small_target_or_another_frame_size_is_refused(calibrated: Calibrated) -> None:
    target, first, others = calibrated.scene.target, calibrated.in_place, calibrated.tilted
    near = first.corners[:, 0] < first.corners[:, 0].mean()
    small = replace(first, corners=first.corners[near], numbers=first.numbers[near])
    with pytest.raises(CalibrationRefused, match="larger one"):
        solve(target, small, others)
    with pytest.raises(CalibrationRefused, match="different sizes"):
        solve(target, first, [*others, replace(others[0], frame_px=(100, 100))])


def test_a_crumpled_print_is_refused(calibrated: Calibrated) -> None:
    rng = np.random.default_rng(2)
    crumpled = [
        replace(seen, corners=(seen.corners + rng.normal(0, 2, seen.corners.shape)).astype(np.float32))
        for seen in calibrated.tilted
    ]
    with pytest.raises(CalibrationRefused, match="flat on a stiff"):
        solve(calibrated.scene.target, calibrated.in_place, crumpled)


def test_no_target_is_no_sighting() -> None:
    rng = np.random.default_rng(1)
    assert find_target(Target(14, 9, 3.4), rng.integers(0, 255, (300, 400), np.uint8)) is None


# --- on disk --------------------------------------------------------------------------------------------------


def made(calibrated: Calibrated, measured_mm: float | None = None) -> Calibration:
    return from_solution(calibrated.solution, calibrated.scene.target, "4711", NOW, measured_mm=measured_mm)


def test_it_comes_back_from_disk_and_expires_after_a_quarter(calibrated: Calibrated, tmp_path: Path) -> None:
    first = made(calibrated)
    calibration.save(first, tmp_path / "top.json")
    again = calibration.load(tmp_path / "top.json")
    assert again == first
    assert again.expires - NOW == timedelta(days=91)
    corner = np.array([[3.0, 5.0]])
    assert np.allclose(again.scale().to_plane(corner), calibrated.solution.scale.to_plane(corner))
    low, high = again.range_mm_per_px()
    assert low <= again.mm_per_px <= high


def test_a_print_that_was_measured_is_corrected_and_more_certain(calibrated: Calibrated) -> None:
    nominal = ruler_mm(calibrated.scene.target)
    as_printed, measured = made(calibrated), made(calibrated, nominal * 1.01)
    assert measured.mm_per_px == pytest.approx(as_printed.mm_per_px * 1.01)
    assert measured.uncertainty < as_printed.uncertainty
    assert as_printed.uncertainty > 0.005 > measured.uncertainty


@pytest.mark.parametrize(
    ("key", "value"),
    [("mm_per_px", 0.06), ("plane", [[0, 0, 0]] * 3), ("made", "yesterday"), ("more", 1)],
)
def test_a_file_that_was_changed_by_hand_is_refused(
    calibrated: Calibrated, tmp_path: Path, key: str, value: object
) -> None:
    path = tmp_path / "top.json"
    calibration.save(made(calibrated), path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(ModelRejected, match="linegate camera calibrate"):
        calibration.load(path)
    path.write_text("{")
    with pytest.raises(ModelRejected, match="cannot be read"):
        calibration.load(path)
