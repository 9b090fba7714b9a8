"""Expired calibrations and drifting images become health reports, and go with their recipe."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from controller.check import check_station
from controller.config import load_station
from controller.recipe_book import FolderRecipeBook
from controller.recipes import LoadedView
from controller.sim.workspace import Workspace, make_workspace
from controller.view_watch import ViewWatch, reports
from models.errors import ImageUnfit
from models.frame import Frame
from models.optics import bands, calibration
from models.optics.calibration import Calibration
from models.optics.figures import measure
from statemachines.events import HealthReported
from statemachines.vocabulary import Health, Ns

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def view(until: datetime | None = None, drift: str = "") -> LoadedView:
    watch: Any = SimpleNamespace(drift=drift)
    return LoadedView("cam", cast(Any, None), until, watch)


class Loop:
    """The runtime as the duty needs it."""

    def __init__(self, **views: LoadedView) -> None:
        self.recipe: Any = SimpleNamespace(views=views)
        self.posted: list[HealthReported] = []

    def now(self) -> Ns:
        return Ns(1)

    def post(self, event: HealthReported) -> None:
        self.posted.append(event)


def test_a_calibration_expires_on_its_day_and_not_before() -> None:
    views = {"top": view(NOW)}
    assert reports(views, NOW - timedelta(seconds=1)) == {}
    found = reports(views, NOW)
    assert found["calibration:top"][0] is Health.MAINTENANCE
    assert "expired on 2026-11-25: run linegate camera calibrate" in found["calibration:top"][1]


def test_a_report_is_posted_once_and_taken_back() -> None:
    loop = Loop(top=view(drift="brightness 70, since 2026-11-25 12:00"))
    watch = ViewWatch(cast(Any, loop), lambda: NOW)
    watch.look()
    watch.look()
    assert [(e.source, e.health) for e in loop.posted] == [("image:top", Health.OUT_OF_SPEC)]
    loop.recipe = SimpleNamespace(views={"side": view(NOW)})
    watch.look()
    assert {(e.source, e.health) for e in loop.posted[1:]} == {
        ("image:top", Health.NORMAL),
        ("calibration:side", Health.MAINTENANCE),
    }


# --- from the recipe to the inspector ------------------------------------------------------------------------


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path / "s", name="s", belt="b", plc_address="opc.tcp://127.0.0.1:1/x", image_budget_mb=10)


def flat(mm_per_px: float, width: int = 640, height: int = 400) -> Calibration:
    """A camera straight above a plane, 100 mm away."""
    focal = 100 / mm_per_px
    return Calibration.model_validate(
        {
            "schema": 1, "camera": "top", "frame_px": (width, height), "mm_per_px": mm_per_px, "uncertainty": 0.001,
            "rms_px": 0.1, "pictures": 10, "target": "14x9x3", "made": NOW, "expires": NOW + timedelta(days=91),
            "matrix": [[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]], "distortion": [0] * 5,
            "plane": [[100, 0, 0], [0, 100, 0], [0, 0, 1]],
        }
    )  # fmt: skip


def picture(seed: int, light: float = 1.0) -> np.ndarray[Any, np.dtype[np.uint8]]:
    rng = np.random.default_rng(seed)
    return np.clip(rng.normal(95, 60, (400, 640)) * light, 0, 255).astype(np.uint8)


def with_optics(workspace: Workspace) -> Path:
    """Give the view a calibration and learned bands in place of its number; the recipe's folder."""
    folder = workspace.folder / "recipes" / "washer"
    calibration.save(flat(0.15), folder / "top.calibration.json")
    bands.save(bands.learn("top", [measure(picture(seed)) for seed in range(40)]), folder / "top.bands.json")
    text = (folder / "recipe.toml").read_text()
    text = text.replace("mm_per_px = 0.05", 'calibration = "top.calibration.json"').replace("frame_px", "# frame_px")
    (folder / "recipe.toml").write_text(text.replace("[views.image]", '[views.image]\nbands = "top.bands.json"'))
    return folder


def test_a_recipe_loads_both_files_and_refuses_unfit_images(workspace: Workspace) -> None:
    with_optics(workspace)
    assert list(check_station(workspace.station)) == []
    recipe = FolderRecipeBook(load_station(workspace.station)).load(0, "washer")
    loaded = recipe.views["top"]
    assert loaded.calibrated_until == NOW + timedelta(days=91)

    def frame(pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> Frame:
        return Frame("top", pixels, 0, 1, "top")

    loaded.inspector.inspect(frame(picture(100)))
    with pytest.raises(ImageUnfit, match="too dark"):
        loaded.inspector.inspect(frame(picture(101, light=0.5)))
    with pytest.raises(ImageUnfit, match="stuck"):
        loaded.inspector.inspect(frame(picture(101, light=0.5)))
    with pytest.raises(ImageUnfit, match="made for 640x400"):
        loaded.inspector.inspect(frame(picture(102)[:200]))


def test_the_recipes_hash_covers_both_files(workspace: Workspace) -> None:
    folder = with_optics(workspace)
    book = FolderRecipeBook(load_station(workspace.station))
    hashes = {book.load(0, "washer").facts.hash}
    calibration.save(flat(0.16), folder / "top.calibration.json")
    hashes.add(book.load(0, "washer").facts.hash)
    text = json.loads((folder / "top.bands.json").read_text())
    text["noise"]["high"] += 1
    (folder / "top.bands.json").write_text(json.dumps(text))
    hashes.add(book.load(0, "washer").facts.hash)
    assert len(hashes) == 3


def test_check_names_a_file_that_is_not_there(workspace: Workspace) -> None:
    folder = with_optics(workspace)
    (folder / "top.bands.json").unlink()
    (folder / "top.calibration.json").write_text("{}")
    cures = [problem.cure for problem in check_station(workspace.station)]
    assert any("linegate camera learn" in cure for cure in cures)
    assert any("linegate camera calibrate" in cure for cure in cures)
