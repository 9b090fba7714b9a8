"""Quantising: what stays in float, and that names which converters give change nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openvino as ov
import pytest

pytest.importorskip("torch", reason="the train extra is not installed")
pytest.importorskip("nncf", reason="the train extra is not installed")

import torch
from torch import nn

from models.lifecycle import quantise

# torch and its converter warn of their own future.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(300)]

SIDE = 16


def graph(prefix: str) -> ov.Model:
    """Three convolutions, always the same; prefix: of its layers' names, as a process's counters make them."""
    torch.manual_seed(1)
    net = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3))
    made = quantise.export(net, (1, SIDE, SIDE), ["seen"])
    for place, node in enumerate(made.get_ordered_ops()):
        node.set_friendly_name(f"{prefix}_{place}")
    return made


def pictures() -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [rng.normal(size=(1, 1, SIDE, SIDE)).astype(np.float32) for _ in range(4)]


def in_float(made: ov.Model) -> list[bool]:
    """Of each convolution from the picture on: does its input come as it is?"""
    convolutions = [node for node in made.get_ordered_ops() if node.get_type_name() == "Convolution"]
    return [node.input_value(0).get_node().get_type_name() != "FakeQuantize" for node in convolutions]


@pytest.mark.parametrize("first", [0, 1, 2])
def test_the_first_convolutions_stay_in_float(first: int) -> None:
    made = quantise.quantised(graph("layer"), pictures(), first=first)
    assert in_float(made) == [place < first for place in range(3)]


def test_names_of_layers_change_nothing(tmp_path: Path) -> None:
    for prefix in ("Multiply_99", "Multiply_1001"):
        quantise.save(quantise.quantised(graph(prefix), pictures()), tmp_path / prefix / "int8.xml")
    one, two = (tmp_path / prefix for prefix in ("Multiply_99", "Multiply_1001"))
    for file in ("int8.xml", "int8.bin"):
        assert (one / file).read_bytes() == (two / file).read_bytes()
