"""From a fitted TileNet to OpenVINO graphs: FP32 as it is, INT8 with the backbone's ranges measured."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import openvino as ov
import torch
from numpy.typing import NDArray
from openvino import opset13 as ops

from models.lifecycle.data.pictures import Grey
from models.lifecycle.tile_fit import normalised
from models.lifecycle.tile_net import TileNet
from models.telemetry import no_telemetry

with no_telemetry():
    import nncf

OUTPUT = "map"


def export(net: TileNet, side: int) -> ov.Model:
    """The net as a graph: normalised (1, 1, side, side) float32 in, `map` (1, 1, side / 8, side / 8) out."""
    example = torch.zeros(1, 1, side, side)
    with no_telemetry():
        graph = ov.convert_model(net.eval(), example_input=example, input=[1, 1, side, side])
    graph.output(0).get_tensor().set_names({OUTPUT})
    return graph


def quantised(graph: ov.Model, pictures: Sequence[Grey]) -> ov.Model:
    """The graph in INT8, its ranges taken from all of these pictures.

    Average pool, interpolation and concatenation stay in float: the CPU plugin corrupts the border of a padded average
    pool behind an asymmetric FakeQuantize, and the logits' own resolution decides where the line lies.
    """
    nncf.set_log_level(logging.ERROR)
    items: list[NDArray[np.float32]] = [normalised(picture[None].astype(np.float32)).numpy() for picture in pictures]
    in_float = nncf.IgnoredScope(types=["AvgPool", "Interpolate", "Concat", "ReduceMean"], validate=False)
    with no_telemetry():
        return nncf.quantize(
            graph,
            nncf.Dataset(items),
            subset_size=len(items),
            preset=nncf.QuantizationPreset.MIXED,
            ignored_scope=in_float,
        )


def scaled(graph: ov.Model, offset: float, scale: float) -> ov.Model:
    """A copy whose output is `(map - offset) * scale`, so that graphs of any precision share one meaning of 0.5."""
    copy = graph.clone()
    (old,) = copy.get_results()
    moved = ops.subtract(old.input_value(0), ops.constant(np.float32(offset)))
    new = ops.result(ops.multiply(moved, ops.constant(np.float32(scale))))
    copy.add_results([new])
    copy.remove_result(old)
    copy.output(0).get_tensor().set_names({OUTPUT})
    return copy


def save(graph: ov.Model, path: Path) -> None:
    """Write `path` (.xml) and its weights beside it; FP32 weights stay FP32."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ov.save_model(graph, str(path), compress_to_fp16=False)
