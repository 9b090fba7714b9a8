"""Brings a foreign graph's outputs to the form that the station's decoders read, inside the graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from models.lifecycle.foreign.exported import Exported
from models.lifecycle.foreign.recognise import Form, Recognised

BEST = 64
"""Candidates whose masks are drawn: more are never on one part, and each costs a whole mask."""


def adapted(model: Exported, found: Recognised) -> ov.Model:
    """The graph with a fixed input (1, C, H, W) and outputs as the task's decoder wants them. Raises ModelRejected."""
    graph = model.graph.clone()
    _fix_input(graph, found)
    values = {name: result.input_value(0) for name, result in zip(model.outputs, graph.get_results(), strict=True)}
    outputs = _FORMS[found.form](model, found, values)
    for name, node in outputs.items():
        node.output(0).get_tensor().set_names({name})
    make: Any = ov.Model
    made = make([ops.result(node) for node in outputs.values()], graph.get_parameters(), found.family)
    made.validate_nodes_and_infer_types()
    return made


def _fix_input(graph: ov.Model, found: Recognised) -> None:
    width, height = found.size
    parameter = graph.get_parameters()[0]
    if len(parameter.get_partial_shape()) == 3:
        # torchvision's detectors take a list of pictures without a batch.
        fresh = ops.parameter([1, 3, height, width], np.float32, name="picture")
        alone = ops.squeeze(fresh, ops.constant(np.array([0], np.int64)))
        for target in list(parameter.output(0).get_target_inputs()):
            target.replace_source_output(alone.output(0))
        graph.add_parameters([fresh])
        graph.remove_parameter(parameter)
        graph.validate_nodes_and_infer_types()
    else:
        graph.reshape([1, 3, height, width])


def _same(name: str) -> Callable[[Exported, Recognised, Mapping[str, Any]], dict[str, Any]]:
    def keep(_model: Exported, _found: Recognised, values: Mapping[str, Any]) -> dict[str, Any]:
        return {name: _as_float(next(iter(values.values())))}

    return keep


def _through(name: str, activate: Callable[[Any], Any]) -> Callable[..., dict[str, Any]]:
    def change(_model: Exported, _found: Recognised, values: Mapping[str, Any]) -> dict[str, Any]:
        return {name: activate(_as_float(next(iter(values.values()))))}

    return change


def _anomaly(model: Exported, _found: Recognised, values: Mapping[str, Any]) -> dict[str, Any]:
    """The map and the score; masks and labels, which the exporter cut at its own threshold, are left out."""
    shapes = model.outputs
    heat = next((v for name, v in values.items() if len(shapes[name]) == 4 and "mask" not in name), None)
    score = next((v for name, v in values.items() if len(shapes[name]) <= 2 and "label" not in name), None)
    if heat is None and score is None:
        raise model.refusal("outputs", ", ".join(shapes), "an anomaly model gives a map or a score")
    found: dict[str, Any] = {}
    if heat is not None:
        found["map"] = _as_float(heat)
    if score is not None:
        found["score"] = _as_float(score)
    return found


def _boxes(model: Exported, found: Recognised, values: Mapping[str, Any]) -> dict[str, Any]:
    """Boxes by corners (n, 4 or 5), labels (n,), scores (n,) become (1, 4 + classes, n + 1).

    The last candidate is one pixel with score 0: where nothing is found there is still a box, as the decoder wants.
    """
    shapes = model.outputs
    boxes = next((v for name, v in values.items() if shapes[name] and shapes[name][-1] in (4, 5)), None)
    labels = next((v for name, v in values.items() if "label" in name.lower()), None)
    if boxes is None or labels is None:
        raise model.refusal("outputs", ", ".join(shapes), "boxes and labels are wanted")
    width = next(shapes[name][-1] for name in shapes if values[name] == boxes)
    flat = ops.reshape(_as_float(boxes), _ints(-1, width), False)
    corners = _columns(flat, 0, 4)
    if width == 5:
        scores = _columns(flat, 4, 5)
    else:
        score = next(v for name, v in values.items() if "score" in name.lower())
        scores = ops.reshape(_as_float(score), _ints(-1, 1), False)
    # torchvision counts classes from 1, 0 is the background; Model API's labels have no background.
    first = 1 if found.family.startswith("torchvision") else 0
    numbers = ops.reshape(_as_float(labels), _ints(-1, 1), False)
    return {"output0": _yolo(corners, scores, numbers, first, len(found.classes))}


def _end_to_end(_model: Exported, found: Recognised, values: Mapping[str, Any]) -> dict[str, Any]:
    """(1, n, 6): left, top, right, bottom, score, class number."""
    rows = ops.reshape(_as_float(next(iter(values.values()))), _ints(-1, 6), False)
    corners, scores, numbers = _columns(rows, 0, 4), _columns(rows, 4, 5), _columns(rows, 5, 6)
    return {"output0": _yolo(corners, scores, numbers, 0, len(found.classes))}


def _yolo(corners: Any, scores: Any, numbers: Any, first: int, classes: int) -> Any:
    low, high = _columns(corners, 0, 2), _columns(corners, 2, 4)
    two = ops.constant(np.float32(2))
    size = ops.maximum(ops.subtract(high, low), ops.constant(np.float32(0)))
    each = ops.constant(np.arange(first, first + classes, dtype=np.float32)[None])
    one_hot = ops.convert(ops.less(ops.absolute(ops.subtract(numbers, each)), ops.constant(np.float32(0.5))), "f32")
    rows = ops.concat([ops.divide(ops.add(low, high), two), size, ops.multiply(one_hot, scores)], 1)
    nothing = ops.constant(np.array([[0.5, 0.5, 1, 1] + [0] * classes], np.float32))
    return ops.unsqueeze(ops.transpose(ops.concat([rows, nothing], 0), _ints(1, 0)), _ints(0))


def _masks(model: Exported, found: Recognised, values: Mapping[str, Any]) -> dict[str, Any]:
    """Candidates with mask coefficients, and prototypes, become one probability map for each class.

    The map of a class is the surest candidate's mask times its score, inside its box.
    """
    rows_value, protos = (_as_float(v) for v in values.values())
    count, high, wide = list(model.outputs.values())[1][1:]
    classes = len(found.classes)
    rows = ops.transpose(ops.squeeze(rows_value, _ints(0)), _ints(1, 0))
    scores = _columns(rows, 4, 4 + classes)
    best = ops.topk(ops.reduce_max(scores, _ints(1), False), ops.constant(np.int64(BEST)), 0, "max", "value")
    rows = ops.gather(rows, best.output(1), ops.constant(np.int64(0)))
    coefficients = _columns(rows, 4 + classes, 4 + classes + count)
    drawn = ops.sigmoid(ops.matmul(coefficients, ops.reshape(protos, _ints(count, high * wide), False), False, False))
    width, height = found.size
    ys, xs = np.mgrid[0:high, 0:wide].astype(np.float32) + np.float32(0.5)
    grid = np.stack([xs.ravel() * width / wide, ys.ravel() * height / high])
    half = ops.multiply(_columns(rows, 2, 4), ops.constant(np.float32(0.5)))
    inside = [
        ops.convert(
            ops.less_equal(
                ops.absolute(ops.subtract(ops.constant(grid[axis][None]), _columns(rows, axis, axis + 1))),
                _columns(half, axis, axis + 1),
            ),
            "f32",
        )
        for axis in (0, 1)
    ]
    shown = ops.multiply(drawn, ops.multiply(inside[0], inside[1]))
    maps = [ops.reduce_max(ops.multiply(shown, _columns(rows, 4 + c, 5 + c)), _ints(0), True) for c in range(classes)]
    stacked = ops.concat(maps, 0)
    total = ops.reduce_sum(stacked, _ints(0), True)
    one = ops.constant(np.float32(1))
    stacked = ops.divide(stacked, ops.maximum(total, one))
    background = ops.subtract(one, ops.minimum(total, one))
    return {
        "probabilities": ops.reshape(ops.concat([background, stacked], 0), _ints(1, 1 + classes, high, wide), False)
    }


_FORMS: Mapping[Form, Callable[[Exported, Recognised, Mapping[str, Any]], dict[str, Any]]] = {
    "yolo": _same("output0"),
    "yolo_end_to_end": _end_to_end,
    "yolo_masks": _masks,
    "probabilities": _same("probabilities"),
    "logits": _through("probabilities", lambda x: ops.softmax(x, 1)),
    "many_logits": _through("probabilities", ops.sigmoid),
    "boxes_labels_scores": _boxes,
    "class_maps": _same("probabilities"),
    "class_map_logits": _through("probabilities", lambda x: ops.softmax(x, 1)),
    "anomaly": _anomaly,
}


def _ints(*values: int) -> Any:
    return ops.constant(np.array(values, np.int64))


def _columns(rows: Any, start: int, stop: int) -> Any:
    return ops.slice(rows, _ints(start), _ints(stop), _ints(1), _ints(1))


def _as_float(value: Any) -> Any:
    return ops.convert(value, "f32")
