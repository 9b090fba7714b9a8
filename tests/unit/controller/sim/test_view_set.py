"""The recipes that the demo writes for several cameras are recipes."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.check import check_station
from controller.config import load_recipe, load_station, to_facts
from controller.sim.view_set import ViewSet
from controller.sim.workspace import GENTL_CAMERA, SIM_CAMERA, make_workspace
from statemachines.vocabulary import MS


def written(folder: Path, views: ViewSet, section: str = SIM_CAMERA) -> Path:
    cameras = dict.fromkeys(views.cameras, section)
    address = "opc.tcp://127.0.0.1:4840/plc"
    made = make_workspace(
        folder, name="s", belt="b", plc_address=address, image_budget_mb=10, cameras=cameras, views=views
    )
    return made.station


@pytest.mark.parametrize("views", [ViewSet(1), ViewSet(4), ViewSet(2, redundant=True), ViewSet(4, redundant=True)])
def test_each_set_of_views_is_a_station_that_may_start(tmp_path: Path, views: ViewSet) -> None:
    assert list(check_station(written(tmp_path, views))) == []


def test_the_redundant_camera_stands_in_for_the_first(tmp_path: Path) -> None:
    views = ViewSet(2, redundant=True, width=960)
    section = GENTL_CAMERA.format(producer="x.cti", serial="S", acquisition="hardware")
    station = load_station(written(tmp_path, views, section))
    recipe = load_recipe(tmp_path / "recipes" / "washer" / "recipe.toml")
    facts = to_facts(recipe, "0" * 64, station)
    assert facts.views == views.cameras == ("top", "side", "spare")
    assert facts.joined, "the line triggers every camera"
    assert facts.stand_ins("top") == ("spare",)
    assert facts.rule("top").frame_ns == recipe.capture_window_ms * MS
    assert [(view.frame_px, view.mm_per_px) for view in recipe.views] == [((960, 600), 0.1)] * 3
