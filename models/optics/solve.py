"""From pictures of the target to a calibration: lens and sensor from tilted poses, the scale from the one in place.

Method: Zhang, A flexible new technique for camera calibration, PAMI 22 (2000), as OpenCV implements it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.errors import CalibrationRefused
from models.optics.scale import PlaneScale
from models.optics.target import Target

Grey = NDArray[np.uint8]
Floats = NDArray[np.float64]

LEAST_TILTED = 8
"""Poses besides the one in place; with fewer, focal length and distortion explain each other."""

LEAST_CORNERS = 0.3
"""Share of the target's corners that a picture must show."""

LEAST_SPREAD = 0.5
"""The target in place must span so much of the frame's width and of its height: the scale is not known outside."""

LEAST_TILT_DEG = 12.0
"""Half of the poses must lean so much against the one in place."""

WORST_RMS_PX = 0.8
"""A worse fit is no print on a flat plate, or a picture out of focus."""

WORST_FOCAL = 0.02
"""Relative standard deviation of the focal length; above, the poses were all but parallel."""

_MODEL = cv2.CALIB_FIX_K3
"""k3 is left out: with the poses that a person shows it takes over what k1 and k2 explain."""

_RESAMPLED = 24
_COVERAGE = 2.0
"""Standard deviations in a stated uncertainty: 95 %."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """The target in one picture. corners: (n, 2) pixels, as OpenCV counts them; numbers: (n,) of the corners."""

    corners: NDArray[np.float32]
    numbers: NDArray[np.int32]
    frame_px: tuple[int, int]

    @property
    def spread(self) -> tuple[float, float]:
        """Share of the frame's width and height that the corners span."""
        low, high = self.corners.min(axis=0), self.corners.max(axis=0)
        return float(high[0] - low[0]) / self.frame_px[0], float(high[1] - low[1]) / self.frame_px[1]


@dataclass(frozen=True, slots=True)
class Solution:
    """What the pictures say. uncertainty: of mm per pixel in the frame's middle, relative, 95 %, by the pictures alone.

    rms_px: how far corners lie from where the model puts them.
    """

    scale: PlaneScale
    frame_px: tuple[int, int]
    mm_per_px: float
    uncertainty: float
    rms_px: float
    pictures: int


def find_target(target: Target, pixels: Grey) -> Sighting | None:
    """The target in a grey picture; None where too few of its corners are seen."""
    corners, numbers, _, _ = cv2.aruco.CharucoDetector(target.board()).detectBoard(pixels)
    if numbers is None or len(numbers) < max(8, LEAST_CORNERS * target.corners):  # pyright: ignore[reportUnnecessaryComparison]
        return None
    found = np.asarray(corners, np.float32).reshape(-1, 2)
    return Sighting(found, np.asarray(numbers, np.int32).ravel(), (pixels.shape[1], pixels.shape[0]))


def solve(target: Target, in_place: Sighting, tilted: Sequence[Sighting]) -> Solution:
    """Calibrate from the target flat on the inspection plane, and held at angles. Raises CalibrationRefused."""
    _refuse_poor(in_place, tilted)
    sightings = [in_place, *tilted]
    grid = np.asarray(target.board().getChessboardCorners(), np.float32)
    objects = [np.ascontiguousarray(grid[sighting.numbers]) for sighting in sightings]
    rms, camera, distortion, turns, shifts, deviations, _, _ = cv2.calibrateCameraExtended(
        objects,
        [sighting.corners for sighting in sightings],
        in_place.frame_px,
        np.eye(3),
        np.zeros(5),
        flags=_MODEL,
    )
    camera, distortion = _floats(camera), _floats(distortion).ravel()
    focal_doubt = float(max(deviations[0, 0] / camera[0, 0], deviations[1, 0] / camera[1, 1]))
    if not rms <= WORST_RMS_PX:
        raise CalibrationRefused(
            f"corners lie {rms:.2f} px from where they should (at most {WORST_RMS_PX}): is the print flat on a stiff "
            "plate, sharp, and still while the picture is taken?"
        )
    tilts = [_between(turns[0], turn) for turn in turns[1:]]
    if sum(tilt >= LEAST_TILT_DEG for tilt in tilts) < LEAST_TILTED // 2:
        shown = ", ".join(f"{tilt:.0f}" for tilt in sorted(tilts))
        raise CalibrationRefused(
            f"the target was tilted by {shown} degrees: tilt the target more, some 20 to 40 degrees, to all four sides"
        )
    if not focal_doubt <= WORST_FOCAL:
        raise CalibrationRefused(
            f"the focal length is known to {focal_doubt:.1%} only (at most {WORST_FOCAL:.0%}): tilt the target more, "
            "some 20 to 40 degrees, to all four sides"
        )
    scale = _plane(camera, distortion, _floats(turns[0]), _floats(shifts[0]))
    mm_per_px = scale.mm_per_px(in_place.frame_px[0] / 2, in_place.frame_px[1] / 2)
    doubt = math.hypot(_resampled(objects, sightings, camera, distortion), _in_common(in_place, float(rms)))
    return Solution(scale, in_place.frame_px, mm_per_px, _COVERAGE * doubt, float(rms), len(sightings))


def _refuse_poor(in_place: Sighting, tilted: Sequence[Sighting]) -> None:
    if len(tilted) < LEAST_TILTED:
        raise CalibrationRefused(
            f"{len(tilted)} pictures show the tilted target, {LEAST_TILTED} are needed: show it at more angles"
        )
    if min(in_place.spread) < LEAST_SPREAD:
        shown = " x ".join(f"{share:.0%}" for share in in_place.spread)
        raise CalibrationRefused(
            f"the target on the inspection plane spans {shown} of the frame, at least {LEAST_SPREAD:.0%} each way are "
            "needed: print a larger one (--view-mm)"
        )
    for sighting in tilted:
        if sighting.frame_px != in_place.frame_px:
            raise CalibrationRefused(f"pictures have different sizes: {sighting.frame_px} and {in_place.frame_px}")


def _plane(camera: Floats, distortion: Floats, turn: Floats, shift: Floats) -> PlaneScale:
    """The plane of the board in this pose. It is 0 in z there, so two columns of the rotation and the shift map it."""
    axes = _floats(cv2.Rodrigues(turn)[0])
    onto_image = np.column_stack([axes[:, 0], axes[:, 1], shift.ravel()])
    return PlaneScale(camera, distortion, np.linalg.inv(onto_image).astype(np.float64))


def _resampled(
    objects: Sequence[NDArray[np.float32]], seen: Sequence[Sighting], camera: Floats, distortion: Floats
) -> float:
    """Relative standard deviation of mm per pixel over calibrations from corners drawn anew with replacement."""
    rng, found = np.random.default_rng(1), list[float]()
    width, height = seen[0].frame_px
    for _ in range(_RESAMPLED):
        drawn = [rng.integers(0, len(grid), len(grid)) for grid in objects]
        _, matrix, lens, turns, shifts = cv2.calibrateCamera(
            [grid[chosen] for grid, chosen in zip(objects, drawn, strict=True)],
            [sighting.corners[chosen] for sighting, chosen in zip(seen, drawn, strict=True)],
            (width, height),
            camera.copy(),
            distortion.copy(),
            flags=_MODEL | cv2.CALIB_USE_INTRINSIC_GUESS,
            criteria=(cv2.TERM_CRITERIA_COUNT, 8, 0),
        )
        plane = _plane(_floats(matrix), _floats(lens).ravel(), _floats(turns[0]), _floats(shifts[0]))
        found.append(plane.mm_per_px(width / 2, height / 2))
    return float(np.std(found) / np.mean(found))


def _in_common(in_place: Sighting, rms_px: float) -> float:
    """Relative error of the scale that no resampling shows, since all corners share it: what the lens model leaves,
    and corners that are found a little further out or in. It hides in what corners lie off, over the target's span."""
    return rms_px / float(min(in_place.corners.max(axis=0) - in_place.corners.min(axis=0)))


def _between(turn: ArrayLike, other: ArrayLike) -> float:
    """Degrees between the normals of two poses."""
    normals = [cv2.Rodrigues(_floats(pose))[0][:, 2] for pose in (turn, other)]
    return float(np.degrees(np.arccos(np.clip(np.dot(*normals), -1, 1))))


def _floats(values: ArrayLike) -> Floats:
    return np.asarray(values, np.float64)
