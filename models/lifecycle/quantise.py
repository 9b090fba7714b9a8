"""From a net to OpenVINO graphs: FP32 as it is, INT8 with ranges measured on pictures; and what is built on them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import torch
from numpy.typing import NDArray
from openvino import opset13 as ops
from torch import nn

from models.telemetry import no_telemetry

with no_telemetry():
    import nncf

_CONVOLUTIONS = ("Convolution", "GroupConvolution")

Shape = tuple[int, int, int]
"""Channels, height and width of a net's input."""

IN_FLOAT = ("AvgPool", "Interpolate", "Concat", "ReduceMean")
"""The CPU plugin corrupts the border of a padded average pool behind an asymmetric FakeQuantize; what joins features of
several depths, and what follows, decides where the line lies."""

FIRST, FIRST_CAREFUL = 1, 6
"""Convolutions from the picture on that stay in float: as a rule, and where the gate refused that."""


def export(net: nn.Module, shape: Shape, outputs: Sequence[str]) -> ov.Model:
    """The net as a graph: normalised (1, *shape) float32 in, outputs with these names in their order."""
    example = torch.zeros(1, *shape)
    with no_telemetry():
        graph = ov.convert_model(net.eval(), example_input=example, input=[1, *shape])
    for index, name in enumerate(outputs):
        graph.output(index).get_tensor().set_names({name})
    return graph


def quantised(
    graph: ov.Model,
    pictures: Sequence[NDArray[np.float32]],
    *,
    first: int = FIRST,
    symmetric: bool = True,
) -> ov.Model:
    """The graph in INT8, its ranges taken from all of these pictures, normalised, (1, C, H, W) each.

    first: so many convolutions from the picture on stay as they are, because a defect of low contrast is a few of
    their steps; symmetric: zero lies in the middle of every range (decision 0049). Weights keep a bit free, so that no
    16-bit sum overflows on a CPU without VNNI: the graph gives the same numbers on every computer.
    """
    nncf.set_log_level(logging.ERROR)
    named = _named_by_place(graph)
    near = [node.get_friendly_name() for node in named.get_ordered_ops() if node.get_type_name() in _CONVOLUTIONS]
    careful: Any = nncf.AdvancedQuantizationParameters(overflow_fix=nncf.OverflowFix.ENABLE)
    with no_telemetry():
        quantize: Any = nncf.quantize
        return quantize(
            named,
            nncf.Dataset(list(pictures)),
            subset_size=len(pictures),
            preset=nncf.QuantizationPreset.PERFORMANCE if symmetric else nncf.QuantizationPreset.MIXED,
            fast_bias_correction=True,
            ignored_scope=nncf.IgnoredScope(types=list(IN_FLOAT), names=near[:first], validate=False),
            advanced_parameters=careful,
        )


def joined(first: ov.Model, second: ov.Model) -> ov.Model:
    """One graph: what `first` gives out goes into `second`. Each keeps its precision."""
    front, back = first.clone(), second.clone()
    (parameter,) = back.get_parameters()
    parameter.output(0).replace(front.get_results()[0].input_value(0))
    make: Any = ov.Model
    return make(back.get_results(), front.get_parameters(), "joined")


def scaled(graph: ov.Model, offset: float, scale: float) -> ov.Model:
    """A copy whose every output is `(output - offset) * scale`, so that graphs of any precision share one meaning of
    0.5."""
    copy = graph.clone()
    for index, old in enumerate(copy.get_results()):
        names = copy.output(index).get_names()
        moved = ops.subtract(old.input_value(0), ops.constant(np.float32(offset)))
        new = ops.multiply(moved, ops.constant(np.float32(scale)))
        old.input_value(0).get_tensor().set_names(set())
        old.input(0).replace_source_output(new.output(0))
        new.output(0).get_tensor().set_names(names)
    copy.validate_nodes_and_infer_types()
    return copy


def save(graph: ov.Model, path: Path) -> None:
    """Write `path` (.xml) and its weights beside it; FP32 weights stay FP32."""
    path.parent.mkdir(parents=True, exist_ok=True)
    named = _named_by_place(graph)
    named.set_friendly_name(path.stem)
    ov.save_model(named, str(path), compress_to_fp16=False)


def _named_by_place(graph: ov.Model) -> ov.Model:
    """A copy whose layers are named by their place.

    The names that converters give hold counters of the process: the same build would have another hash in another
    process, and NNCF, which goes by names, would take layers in another order.
    """
    named = graph.clone()
    for place, node in enumerate(named.get_ordered_ops()):
        node.set_friendly_name(f"{node.get_type_name()}_{place:04}")
    return named
