"""The tile net: a small fit on drawn pictures, both graphs, and the package that the station's own path runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("nncf", reason="needs the train extra")

import openvino as ov
import torch
from torch import nn

from models.lifecycle import quantise
from models.lifecycle.backbone import STRIDE, Backbone, normalised
from models.lifecycle.data.pictures import Grey, Pictures
from models.lifecycle.data.sample import Sample
from models.lifecycle.real_tiles import (
    NAME,
    OUTPUT,
    SIDE,
    UNSURE,
    VERSION,
    Precision,
    draw_line,
    evaluate,
    manifest,
    pack,
    tile_catalogue,
)
from models.lifecycle.tile_fit import TilePlan, augment, batches, cells_of, fit
from models.lifecycle.tile_net import TileNet
from models.package import open_package

PLAN = TilePlan(steps=150, batch=8, head_rate=1e-2, body_rate=1e-2, seed=3)
HOLE = 24


def toy_net() -> TileNet:
    """A net with the shape of the real one and hardly any weights."""

    def layer(inside: int, outside: int, stride: int) -> nn.Module:
        conv = nn.Conv2d(inside, outside, 3, stride, 1)
        nn.init.kaiming_normal_(conv.weight)
        return nn.Sequential(conv, nn.BatchNorm2d(outside), nn.ReLU6())

    torch.manual_seed(1)
    blocks = nn.ModuleList([layer(8, 8, 1), nn.Identity(), layer(8, 8, 2), layer(8, 8, 2), layer(8, 8, 2)])
    return TileNet(Backbone(layer(1, 8, 2), blocks, (2, 3, 4), channels=24), width=8)


def drawn(count: int, side: int) -> Pictures:
    """Grey noise; every second picture has a black square on it."""
    rng = np.random.default_rng(5)
    samples: list[Sample] = []
    pixels: list[Grey] = []
    masks: list[Grey] = []
    for number in range(count):
        bad = number % 2 == 1
        picture = rng.normal(140, 6, (side, side)).clip(0, 255).astype(np.uint8)
        mask = np.zeros((side, side), np.uint8)
        if bad:
            x, y = (int(value) for value in rng.integers(4, side - HOLE - 4, 2))
            mask[y : y + HOLE, x : x + HOLE] = 255
            picture[mask > 0] = 20
        classes = ("hole",) if bad else ()
        samples.append(Sample(f"{number}.png", "0" * 64, side, side, f"tile_{number}", not bad, classes))
        pixels.append(picture)
        masks.append(mask)
    return Pictures(tuple(samples), tuple(pixels), tuple(masks))


def test_map_has_a_cell_for_every_stride() -> None:
    with torch.no_grad():
        assert toy_net().eval()(torch.zeros(2, 1, 64, 96)).shape == (2, 1, 64 // STRIDE, 96 // STRIDE)


def test_frozen_layers_stay_and_the_others_learn() -> None:
    net = toy_net()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    fit(net, drawn(8, 64), TilePlan(steps=2, batch=4), lambda _: None)
    changed = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    assert not {n for n in changed if n.startswith(("backbone.stem", "backbone.blocks.0", "backbone.blocks.2"))}
    assert {"backbone.blocks.3.0.weight", "backbone.blocks.4.0.weight", "spot.weight", "whole.weight"} <= changed
    assert not {n for n in changed if "running" in n}
    assert not net.training
    assert all(p.grad is None for p in net.backbone.stem.parameters()), "frozen layers cost a backward pass"


def test_half_of_a_batch_is_good_and_masks_move_with_their_pictures() -> None:
    pixels, cells = next(batches(drawn(10, 64), PLAN))
    assert pixels.shape == (8, 64, 64) and cells.shape == (8, 8, 8)
    assert [bool(c.max() > 0.5) for c in cells] == [True] * 4 + [False] * 4
    shown = drawn(2, 96)
    rng = np.random.default_rng(1)
    for _ in range(10):
        moved, covered = augment(shown.pixels[1], shown.masks[1], rng)
        dark = cells_of(np.where(moved < moved.mean() - 40, 255, 0).astype(np.uint8))
        assert float(np.abs(dark - covered).mean()) < 0.02


def test_needs_good_and_defective_pictures() -> None:
    shown = drawn(4, 64)
    good = Pictures(shown.samples[::2], shown.pixels[::2], shown.masks[::2])
    with pytest.raises(ValueError, match="both are needed"):
        fit(toy_net(), good, PLAN, lambda _: None)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.timeout(120)
def test_from_fit_to_the_stations_own_path(tmp_path: Path) -> None:
    """Drawn holes are found by both graphs, and the package says so; converters warn, which is not ours to mend."""
    learnt, kept = drawn(12, SIDE), drawn(10, SIDE)
    net = toy_net()
    assert fit(net, drawn(24, 96), PLAN, lambda _: None) < 0.5
    graph = quantise.export(net, (1, SIDE, SIDE), [OUTPUT])
    inputs = [normalised(picture[None]).numpy() for picture in learnt.pixels]
    graphs: dict[Precision, ov.Model] = {"fp32": graph, "int8": quantise.quantised(graph, inputs)}
    folder = tmp_path / NAME / VERSION
    pack(graphs, kept, folder, manifest("0" * 64, {}, 1))
    assert b"FakeQuantize" in (folder / "int8.xml").read_bytes()
    package = open_package(tmp_path, NAME, VERSION)
    for precision in graphs:
        found = evaluate(package, precision, kept, tile_catalogue())
        assert found.auroc == 1.0
        assert found.caught.value == 1.0
        assert found.false_reject.hits == 0
        assert draw_line(package, precision, kept).unsure == pytest.approx(UNSURE, abs=1e-3)


@pytest.mark.filterwarnings("ignore")
def test_exported_graph_gives_what_the_net_gives() -> None:
    net, picture = toy_net().eval(), drawn(2, 64).pixels[1]
    inputs = normalised(picture[None].astype(np.float32))
    compiled = ov.Core().compile_model(
        quantise.export(net, (1, 64, 64), [OUTPUT]), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    with torch.no_grad():
        expected = net(inputs).numpy()
    np.testing.assert_allclose(compiled(inputs.numpy())[OUTPUT], expected, atol=1e-4)
