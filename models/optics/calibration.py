"""A calibration on disk, beside the recipe whose view it belongs to: how pixels become mm, how sure that is, how long
it holds."""

from __future__ import annotations

import hashlib
import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from models.errors import ModelRejected
from models.optics.scale import PlaneScale
from models.optics.solve import Solution
from models.optics.target import Target, ruler_mm

QUARTER_DAYS = 91

UNMEASURED = 0.005
"""Relative uncertainty of a print that nobody has measured: printers are off by as much."""

CALIPER_MM = 0.1
"""Uncertainty of a length that a person took on the print."""

Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Row = tuple[Finite, Finite, Finite]
Pixels = Annotated[int, Field(ge=8)]


class Calibration(BaseModel):
    """Everything that a calibration found.

    uncertainty: of mm_per_px, relative, 95 %: pictures and print together. matrix, distortion: OpenCV's pinhole model.
    plane: from normalised image coordinates without distortion to mm.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_: Literal[1] = Field(1, alias="schema")
    camera: str
    frame_px: tuple[Pixels, Pixels]
    mm_per_px: Positive
    uncertainty: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
    rms_px: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    pictures: Annotated[int, Field(ge=1)]
    target: str
    made: AwareDatetime
    expires: AwareDatetime
    matrix: tuple[Row, Row, Row]
    distortion: tuple[Finite, Finite, Finite, Finite, Finite]
    plane: tuple[Row, Row, Row]

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        middle = self.scale().mm_per_px(self.frame_px[0] / 2, self.frame_px[1] / 2)
        if not math.isclose(middle, self.mm_per_px, rel_tol=1e-3):
            raise ValueError(f"the plane has {middle:.6g} mm per pixel in the middle: the file was changed by hand")
        return self

    def scale(self) -> PlaneScale:
        """Measures findings on the plane."""
        return PlaneScale(np.array(self.matrix), np.array(self.distortion), np.array(self.plane))

    def range_mm_per_px(self) -> tuple[float, float]:
        """Smallest and largest mm per pixel over the frame: how much tilt and lens would spoil a single number."""
        scale, (width, height) = self.scale(), self.frame_px
        found = [scale.mm_per_px(x, y) for x in (0, width / 2, width) for y in (0, height / 2, height)]
        return min(found), max(found)


def from_solution(
    solution: Solution,
    target: Target,
    camera: str,
    now: datetime,
    *,
    measured_mm: float | None = None,
    days: int = QUARTER_DAYS,
) -> Calibration:
    """The calibration of a camera. measured_mm: what a person measured of the line below the print."""
    nominal = ruler_mm(target)
    stretch = 1.0 if measured_mm is None else measured_mm / nominal
    of_print = UNMEASURED if measured_mm is None else CALIPER_MM / measured_mm
    scale = solution.scale
    plane = np.diag([stretch, stretch, 1.0]) @ scale.plane
    return Calibration.model_validate(
        {
            "schema": 1,
            "camera": camera,
            "frame_px": solution.frame_px,
            "mm_per_px": solution.mm_per_px * stretch,
            "uncertainty": math.hypot(solution.uncertainty, of_print),
            "rms_px": solution.rms_px,
            "pictures": solution.pictures,
            "target": str(target),
            "made": now.astimezone(UTC),
            "expires": now.astimezone(UTC) + timedelta(days=days),
            "matrix": scale.camera.tolist(),
            "distortion": scale.distortion.tolist(),
            "plane": plane.tolist(),
        }
    )


def save(calibration: Calibration, path: Path) -> None:
    """Write it, in one step. Raises OSError."""
    half = path.with_name(path.name + ".tmp")
    half.write_text(calibration.model_dump_json(indent=2, by_alias=True) + "\n", encoding="utf-8")
    half.replace(path)


def load(path: Path) -> Calibration:
    """Read and check. Raises ModelRejected naming file, key, value and cure."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        cure = f"cannot be read: {error}: make it with linegate camera calibrate"
        raise ModelRejected(str(path), "file", path.name, cure) from error
    try:
        return Calibration.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(step) for step in first["loc"]) or "file"
        value = first.get("input") if first["loc"] else path.name
        cure = first["msg"].removeprefix("Value error, ")
        raise ModelRejected(str(path), key, value, f"{cure}: make it anew with linegate camera calibrate") from error


def content_hash(path: Path) -> str:
    """SHA-256 of a file that can change a verdict."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
