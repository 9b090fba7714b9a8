"""Drawn parts: defects at their true size and place, labels exact, the mark readable, sources repeatable."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from controller.sim import mark
from controller.sim.product import Kind, SimPart, sim_part
from controller.sim.render import KINDS, Renderer
from controller.sim.source import (
    FolderSettings,
    FolderSource,
    RenderedSettings,
    RenderedSource,
    Truth,
    open_source,
)

REAL = Path(__file__).parents[4].parent / "shared" / "data" / "magnetic_tile" / "manifest.csv"


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer(960, 600)


def single(kind: Kind, least_ratio: float = 1.5) -> list[SimPart]:
    """Parts with one defect, of this kind."""
    parts = (sim_part(8, number, defective_share=1.0) for number in range(1, 250))
    return [p for p in parts if len(p.defects) == 1 and p.defects[0].kind is kind and p.defects[0].ratio >= least_ratio]


def test_same_part_gives_the_same_pixels(renderer: Renderer) -> None:
    part = sim_part(1, 2)
    first = renderer.render(part)
    assert first.shape == (600, 960)
    assert first.dtype == np.uint8
    assert first.flags.c_contiguous
    assert (renderer.render(part) == first).all()
    assert (Renderer(960, 600).render(part) == first).all()
    assert (renderer.render(sim_part(1, 3)) != first).any()


def test_frame_carries_the_parts_id(renderer: Renderer) -> None:
    assert mark.read(renderer.render(replace(sim_part(1, 2), part_id=4711))) == 4711
    assert mark.read(renderer.empty_belt()) is None


def test_part_is_bright_on_a_dark_belt(renderer: Renderer) -> None:
    pixels = renderer.render(SimPart(1, 1, (), False))
    assert pixels[300, 480] < 60  # bore
    assert 110 < float(pixels[290:310, 610:620].mean()) < 220  # face, 13.5 mm right of the middle
    assert float(renderer.empty_belt().mean()) < 70


@pytest.mark.parametrize("kind", list(Kind))
def test_defect_changes_its_own_place_and_no_other(renderer: Renderer, kind: Kind) -> None:
    for part in single(kind)[:5]:
        clean = renderer.render(replace(part, defects=()))
        changed = np.abs(renderer.render(part).astype(int) - clean.astype(int)) > 12
        label = renderer.mask(part) > 0
        assert changed[label].mean() > 0.5
        near = cv2.dilate(label.astype(np.uint8), np.ones((15, 15), np.uint8)) > 0
        assert not changed[~near].any()


@pytest.mark.parametrize("kind", list(Kind))
def test_label_has_the_true_size(renderer: Renderer, kind: Kind) -> None:
    for part in single(kind)[:10]:
        defect = part.defects[0]
        cells = np.argwhere(renderer.mask(part) == KINDS.index(kind) + 1)
        mm = renderer.mm_per_px
        rim = cv2.convexHull(cells.astype(np.float32))[:, 0]
        extent = float(np.linalg.norm(rim[:, None] - rim[None], axis=2).max())
        assert (extent + 1) * mm == pytest.approx(defect.length_mm, rel=0.05, abs=0.2)
        if kind in (Kind.STAIN, Kind.DENT):
            assert len(cells) * mm * mm == pytest.approx(defect.area_mm2, rel=0.06, abs=0.1)


@pytest.mark.parametrize("kind", [Kind.CRACK, Kind.SCRATCH])
def test_coarse_label_of_a_thin_line_is_as_long_as_the_line(renderer: Renderer, kind: Kind) -> None:
    errors: list[float] = []
    for part in single(kind):
        cells = np.argwhere(renderer.mask(part, 4)).astype(np.float32)
        corners = np.concatenate([cells + np.array((row, column)) for row in (0, 1) for column in (0, 1)])
        _, sides, _ = cv2.minAreaRect(corners.astype(np.float32))
        errors.append(max(sides) * 4 * renderer.mm_per_px - part.defects[0].length_mm)
    assert len(errors) > 20
    assert abs(float(np.mean(errors))) < 0.15
    assert max(map(abs, errors)) < 0.8  # two cells


def test_washer_and_defects_shift_together(renderer: Renderer) -> None:
    still = SimPart(1, 1, (), False)
    moved = replace(still, x_mm=1.1, y_mm=-0.7)

    def bore(part: SimPart) -> tuple[float, float]:
        dark = renderer.render(part)[200:400, 380:580] < 60
        row, column = np.argwhere(dark).mean(axis=0)
        return float(column), float(row)

    anywhere = single(Kind.STAIN)[0].defects[0]
    here, there = renderer.place_of(still, anywhere), renderer.place_of(moved, anywhere)
    assert (there[0] - here[0], there[1] - here[1]) == (11, -7)
    assert bore(moved)[0] - bore(still)[0] == pytest.approx(11, abs=0.5)
    assert bore(moved)[1] - bore(still)[1] == pytest.approx(-7, abs=0.5)


def test_label_at_a_smaller_scale_lies_in_the_same_place(renderer: Renderer) -> None:
    for part in single(Kind.STAIN)[:5]:
        fine, coarse = renderer.mask(part), renderer.mask(part, 4)
        assert coarse.shape == (150, 240)
        middle = np.argwhere(fine).mean(axis=0)
        assert np.argwhere(coarse).mean(axis=0) * 4 + 1.5 == pytest.approx(middle, abs=1.0)


def test_good_part_has_an_empty_label(renderer: Renderer) -> None:
    assert not renderer.mask(SimPart(1, 1, (), False)).any()


@pytest.mark.parametrize(("width", "height"), [(640, 400), (500, 600)])
def test_other_sizes_work(width: int, height: int) -> None:
    small = Renderer(width, height)
    part = single(Kind.STAIN)[0]
    assert small.render(part).shape == (height, width)
    assert mark.read(small.render(part)) == part.part_id
    assert small.mask(part, 4).shape == (height // 4, width // 4)


def test_rendered_source_tells_the_truth_of_what_it_draws(renderer: Renderer) -> None:
    source = open_source(RenderedSettings(seed=8, width=960, height=600))
    assert isinstance(source, RenderedSource)
    for number in range(1, 30):
        part = sim_part(8, number)
        assert source.truth(number).defective == part.defective
        assert (source.truth(number).label == "good") == (not part.defects)
    assert (source.pixels(3) == renderer.render(sim_part(8, 3))).all()
    assert source.size == (960, 600)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four pictures of one grey each, three of them for the test split."""
    with (tmp_path / "manifest.csv").open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(("file", "split", "label", "is_defect"))
        for index, (split, label) in enumerate(
            (("test", "free"), ("test", "crack"), ("train", "free"), ("test", "fray"))
        ):
            cv2.imwrite(str(tmp_path / f"{index}.png"), np.full((50, 80), 50 * (index + 1), np.uint8))
            out.writerow((f"{index}.png", split, label, int(label != "free")))
    return tmp_path / "manifest.csv"


def test_folder_replays_every_picture_of_its_split_once_per_lap(folder: Path) -> None:
    settings = FolderSettings(str(folder), "test", seed=3, tile_width=200, tile_height=160)
    source = FolderSource(settings)
    assert len(source) == 3
    for lap in (0, 3, 6):
        assert sorted(source.file(lap + place) for place in (1, 2, 3)) == ["0.png", "1.png", "3.png"]
    again = FolderSource(settings)
    assert [source.file(n) for n in range(1, 30)] == [again.file(n) for n in range(1, 30)]
    assert len({tuple(source.file(lap * 3 + n) for n in (1, 2, 3)) for lap in range(12)}) > 1


def test_folder_frame_has_picture_mark_and_truth(folder: Path) -> None:
    source = FolderSource(FolderSettings(str(folder), "test", seed=3, tile_width=200, tile_height=160))
    x, y, width, height = source.tile
    assert source.size == (x + width, y + height)
    for number in (1, 2, 3):
        pixels = source.pixels(number)
        assert pixels.shape == (source.size[1], source.size[0])
        assert mark.read(pixels) == number
        index = int(source.file(number)[0])
        assert (pixels[y:, x:] == 50 * (index + 1)).all()
        label = {0: "free", 1: "crack", 3: "fray"}[index]
        assert source.truth(number) == Truth(number, label != "free", label)


def test_folder_without_usable_rows_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no picture in split 'validation'"):
        FolderSource(FolderSettings(str(folder), "validation", seed=1))
    with pytest.raises(FileNotFoundError):
        FolderSource(FolderSettings(str(tmp_path / "none.csv"), "test", seed=1))
    bad = tmp_path / "bad.csv"
    bad.write_text("file,label\na.png,free\n")
    with pytest.raises(ValueError, match="is_defect"):
        FolderSource(FolderSettings(str(bad), "test", seed=1))


@pytest.mark.skipif(not REAL.is_file(), reason="the real images are not beside this checkout")
def test_real_images_run_along_the_line() -> None:
    source = FolderSource(FolderSettings(str(REAL), "test", seed=1, tile_width=384, tile_height=384))
    truths = [source.truth(number) for number in range(1, len(source) + 1)]
    assert {truth.defective for truth in truths} == {True, False}
    assert all(truth.defective == (truth.label != "free") for truth in truths)
    for number in (1, 2, 3):
        pixels = source.pixels(number)
        assert mark.read(pixels) == number
        x, y, width, height = source.tile
        assert float(pixels[y : y + height, x : x + width].std()) > 2
