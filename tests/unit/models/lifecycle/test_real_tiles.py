"""The recipe that the simulated line uses for real tiles fits the package that `real_tiles` makes."""

from __future__ import annotations

from pathlib import Path

import pytest

import controller.sim
from controller.config import load_recipe
from controller.sim.source import folder_strip
from models.catalogue import load_catalogue
from models.lifecycle.evaluate import Line
from models.lifecycle.real_tiles import BAND, LEAST_GAP, NAME, NG, SIDE, UNSURE, VERSION, main, scale_of, tile_catalogue

RECIPE = Path(controller.sim.__file__).parent / "real_station" / "recipes" / "tile"


def test_recipe_cuts_out_the_tile_and_names_the_package() -> None:
    view = load_recipe(RECIPE / "recipe.toml").views[0]
    assert view.roi == (0, folder_strip(SIDE), SIDE, SIDE)
    assert view.model == f"{NAME}@{VERSION}"
    image = view.image
    assert (image.darkest, image.brightest, image.flattest) == (BAND.darkest, BAND.brightest, BAND.flattest)
    assert view.mm_per_px == 1.0


def test_catalogue_is_the_one_that_was_measured_with() -> None:
    assert load_catalogue(RECIPE / "catalogue.toml").hash == tile_catalogue().hash


def test_lines_become_a_quarter_and_a_half() -> None:
    offset, scale = scale_of(Line(unsure=-1.0, ng=2.0))
    assert (-1.0 - offset) * scale == pytest.approx(UNSURE)
    assert (2.0 - offset) * scale == pytest.approx(NG)
    offset, scale = scale_of(Line(unsure=0.5, ng=0.5))
    assert (0.5 - offset) * scale == pytest.approx(UNSURE)
    assert (0.5 + LEAST_GAP - offset) * scale == pytest.approx(NG)


def test_missing_folder_is_one_line_and_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch", reason="needs the train extra")
    pytest.importorskip("nncf", reason="needs the train extra")
    assert main(["--data", str(tmp_path / "none"), "--out", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "manifest.csv" in said and "cannot be read" in said
