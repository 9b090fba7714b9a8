"""Faults injected into real pictures are caught, good pictures are not, and a drift says since when.

The magnetic tiles were each taken at six exposures: an exposure is a view here. What is learned comes from the training
split, what is judged from the test split, which shares no tile with it.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from models.errors import ImagesRefused, ModelRejected
from models.frame import Frame
from models.optics import bands
from models.optics.bands import LEAST_FRAMES, ImageBands, learn
from models.optics.figures import measure
from models.optics.watch import WINDOW, ImageWatch

Grey = NDArray[np.uint8]
TILES = Path(__file__).resolve().parents[5] / "shared" / "data" / "magnetic_tile"
real = pytest.mark.skipif(not (TILES / "manifest.csv").is_file(), reason="no pictures at ../shared/data/magnetic_tile")
WELL_EXPOSED = ("1", "2", "3", "4")
NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


@cache
def tiles(exposure: str, split: str) -> list[Grey]:
    with (TILES / "manifest.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if (row["exposure"], row["split"]) == (exposure, split)]
    return [np.asarray(cv2.imread(str(TILES / row["file"]), cv2.IMREAD_GRAYSCALE), np.uint8) for row in rows]


@cache
def learned(exposure: str) -> ImageBands:
    return learn("tile", [measure(tile) for tile in tiles(exposure, "train")])


# --- faults, each with the noise that the sensor would add again ---------------------------------------------


def sensed(light: NDArray[Any], rng: np.random.Generator) -> Grey:
    """Noise of 0.6 grey levels: as in the calmest places of these pictures."""
    return np.clip(light + rng.normal(0, 0.6, light.shape), 0, 255).round().astype(np.uint8)


def out_of_focus(tile: Grey, rng: np.random.Generator) -> Grey:
    return sensed(cv2.GaussianBlur(tile.astype(np.float64), (0, 0), rng.uniform(1.5, 3.0)), rng)


def half_light(tile: Grey, rng: np.random.Generator) -> Grey:
    return sensed(tile * 0.5, rng)


def glare(tile: Grey, rng: np.random.Generator) -> Grey:
    height, width = tile.shape
    reach = rng.uniform(0.15, 0.25) * np.hypot(height, width) / 2
    down, along = np.mgrid[:height, :width]
    away = np.hypot(along - rng.uniform(0.2, 0.8) * width, down - rng.uniform(0.2, 0.8) * height)
    return sensed(tile + 230 * np.exp(-0.5 * (away / reach) ** 2), rng)


FAULTS: dict[str, tuple[Callable[[Grey, np.random.Generator], Grey], str]] = {
    "blur": (out_of_focus, "out of focus"),
    "half light": (half_light, "too dark"),
    "glare": (glare, "glare"),
}


@real
@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_an_injected_fault_is_caught_and_named(fault: str) -> None:
    spoil, word = FAULTS[fault]
    rng = np.random.default_rng(5)
    said = [
        learned(exposure).complaint(measure(spoil(tile, rng)))
        for exposure in WELL_EXPOSED
        for tile in tiles(exposure, "test")
    ]
    caught = sum(word in (complaint or "") for complaint in said)
    assert caught / len(said) >= 0.95, f"{caught} of {len(said)}"


@real
def test_good_pictures_are_not_complained_about() -> None:
    said = [learned(exposure).complaint(measure(tile)) for exposure in WELL_EXPOSED for tile in tiles(exposure, "test")]
    assert len(said) > 100
    assert sum(complaint is not None for complaint in said) <= 0.005 * len(said), [one for one in said if one]


@real
@pytest.mark.parametrize("exposure", ["5", "6"])
def test_overexposed_pictures_are_no_good_ones(exposure: str) -> None:
    with pytest.raises(ImagesRefused, match="shorten the exposure"):
        learned(exposure)


# --- over time -------------------------------------------------------------------------------------------------


class Clock:
    """Each look is a second later."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


def shown(watch: ImageWatch, clock: Clock, pictures: list[Grey]) -> list[str | None]:
    said = list[str | None]()
    for number, pixels in enumerate(pictures):
        clock.now += timedelta(minutes=1)
        said.append(watch.complaint(Frame("top", pixels, number, number, "cam")))
    return said


def series(exposure: str, seed: int, count: int) -> list[Grey]:
    """Test pictures in random order, with the sensor's noise, so that no two are the same."""
    rng = np.random.default_rng(seed)
    pictures = tiles(exposure, "test")
    order = [pictures[index] for _ in range(3) for index in rng.permutation(len(pictures))]
    return [sensed(picture.astype(np.float64), rng) for picture in order[:count]]


def specks(rng: np.random.Generator) -> NDArray[np.float32]:
    """Two to four soft specks of dust on a window of 400 x 400: how much light is left."""
    left, side = np.ones((400, 400), np.float32), 400
    down, along = np.mgrid[:side, :side]
    for _ in range(rng.integers(2, 5)):
        radius, dark = rng.uniform(0.04, 0.07) * side, rng.uniform(0.5, 0.8)
        away = np.hypot(along - rng.uniform(0.1, 0.9) * side, down - rng.uniform(0.1, 0.9) * side)
        left *= (1 - dark / (1 + np.exp((away - radius) / (0.15 * radius)))).astype(np.float32)
    return left


@real
def test_dust_is_seen_within_a_window_of_parts() -> None:
    found, runs = 0, 0
    for exposure in WELL_EXPOSED:
        for seed in range(3):
            dust, clock = specks(np.random.default_rng(seed)), Clock()
            watch = ImageWatch(learned(exposure), clock)
            dusty = [
                np.clip(tile * cv2.resize(dust, tile.shape[::-1]), 0, 255).astype(np.uint8)
                for tile in series(exposure, seed, WINDOW)
            ]
            shown(watch, clock, dusty)
            found, runs = found + ("covers the view" in watch.drift), runs + 1
    assert found / runs >= 0.95, f"{found} of {runs}"


@real
@pytest.mark.parametrize("exposure", WELL_EXPOSED)
def test_good_pictures_never_drift(exposure: str) -> None:
    clock = Clock()
    watch = ImageWatch(learned(exposure), clock)
    for seed in range(2):
        for picture in series(exposure, seed, 2 * WINDOW):
            shown(watch, clock, [picture])
            assert not watch.drift


@real
def test_a_stuck_frame_is_caught_every_time_and_a_new_one_is_none() -> None:
    clock = Clock()
    watch = ImageWatch(learned("3"), clock)
    pictures = series("3", 1, 30)
    said = shown(watch, clock, [picture for picture in pictures for _ in range(2)])
    assert all((complaint or "").startswith("stuck") for complaint in said[1::2])
    assert not any(said[::2])


# --- a view of one's own making --------------------------------------------------------------------------------


def scene(rng: np.random.Generator, light: float = 1.0) -> Grey:
    """A part that moves a little over a fixture with a mark in the corner."""
    picture = np.full((240, 320), 90.0)
    x, y = rng.integers(-4, 5, 2)
    cv2.circle(picture, (160 + int(x), 120 + int(y)), 70, 150.0, -1)
    cv2.rectangle(picture, (8, 8), (40, 40), 200.0, -1)
    cv2.line(picture, (8, 8), (40, 40), 30.0, 4)
    picture = cv2.GaussianBlur(picture, (0, 0), 0.8) * light + rng.normal(0, 2, picture.shape)
    return np.clip(picture, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def fixture_bands() -> ImageBands:
    rng = np.random.default_rng(3)
    pictures = [scene(rng) for _ in range(60)]
    return learn("top", [measure(picture) for picture in pictures], ((4, 4, 40, 40), pictures))


def test_a_covered_mark_is_no_usable_image(fixture_bands: ImageBands) -> None:
    rng, clock = np.random.default_rng(4), Clock()
    watch = ImageWatch(fixture_bands, clock)
    assert shown(watch, clock, [scene(rng) for _ in range(50)]) == [None] * 50
    covered = scene(rng)
    covered[:60, :60] = rng.normal(100, 2, (60, 60)).astype(np.uint8)
    (said,) = shown(watch, clock, [covered])
    assert said is not None and said.startswith("covered")


def test_a_drift_says_since_when_and_ends(fixture_bands: ImageBands) -> None:
    rng, clock = np.random.default_rng(4), Clock()
    watch = ImageWatch(fixture_bands, clock)
    shown(watch, clock, [scene(rng) for _ in range(WINDOW)])
    assert watch.drift == ""
    before = clock.now
    shown(watch, clock, [scene(rng, light=0.94) for _ in range(2 * WINDOW)])
    assert "brightness" in watch.drift
    since = watch.drift.split("brightness")[1].split("since ")[1][:16]
    assert (
        before
        <= datetime.strptime(since, "%Y-%m-%d %H:%M").replace(tzinfo=UTC)
        <= before + timedelta(minutes=WINDOW + 1)
    )
    told = watch.drift
    shown(watch, clock, [scene(rng, light=0.94) for _ in range(5)])
    assert watch.drift == told
    shown(watch, clock, [scene(rng) for _ in range(2 * WINDOW)])
    assert watch.drift == ""


def test_a_black_frame_and_one_that_is_no_number_are_outside(fixture_bands: ImageBands) -> None:
    assert "too dark" in (fixture_bands.complaint(measure(np.zeros((240, 320), np.uint8))) or "")
    figures = measure(scene(np.random.default_rng(1)))
    assert fixture_bands.complaint(figures) is None
    assert fixture_bands.complaint(replace(figures, focus=float("nan"))) is not None


def test_colour_is_measured_by_its_green() -> None:
    grey = scene(np.random.default_rng(1))
    colour = np.stack([np.zeros_like(grey), grey, np.zeros_like(grey)], axis=2)
    assert measure(colour).brightness == measure(grey).brightness
    assert measure(colour).focus == measure(grey).focus


def test_a_patch_that_changes_and_too_few_images_are_refused() -> None:
    rng = np.random.default_rng(1)
    pictures = [scene(rng) for _ in range(LEAST_FRAMES)]
    seen = [measure(picture) for picture in pictures]
    with pytest.raises(ImagesRefused, match="at least"):
        learn("top", seen[1:])
    with pytest.raises(ImagesRefused, match="does not look the same"):
        learn("top", seen, ((280, 200, 30, 30), pictures))
    with pytest.raises(ImagesRefused, match="leaves the image"):
        learn("top", seen, ((300, 200, 30, 30), pictures))


def test_bands_come_back_from_disk_and_a_spoilt_file_is_named(fixture_bands: ImageBands, tmp_path: Path) -> None:
    path = tmp_path / "top.json"
    bands.save(fixture_bands, path)
    assert bands.load(path) == fixture_bands
    path.write_text(json.dumps(json.loads(path.read_text()) | {"cells": [1.0]}))
    with pytest.raises(ModelRejected, match="cells"):
        bands.load(path)
    path.unlink()
    with pytest.raises(ModelRejected, match="linegate camera learn"):
        bands.load(path)
