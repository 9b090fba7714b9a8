"""Tiny models in the shape of other tools' exports: outputs, names and metadata as theirs, brightness for a brain."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE = 32
NAMES = {0: "crack", 1: "hole"}
BOX = [16.0, 16.0, 8.0, 6.0]


def ultralytics(task: str) -> dict[str, str]:
    """The metadata of an Ultralytics export."""
    said = {"description": "Ultralytics YOLO11n model", "author": "Ultralytics", "version": "8.3.0", "stride": "32"}
    return {**said, "task": task, "batch": "1", "imgsz": f"[{SIDE}, {SIDE}]", "names": str(NAMES)}


def write(
    path: Path,
    nodes: list[Any],
    outputs: Mapping[str, tuple[Any, ...]],
    *,
    constants: Mapping[str, Any] | None = None,
    said: Mapping[str, str] | None = None,
    entry: str = "images",
    shape: tuple[Any, ...] = (1, 3, SIDE, SIDE),
    integer: tuple[str, ...] = (),
) -> Path:
    """An ONNX file whose nodes may use `bright`: the mean of the picture, shape (1, 1)."""
    axes = numpy_helper.from_array(np.array(range(len(shape)), np.int64), "axes")
    held = [numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()]
    flat = numpy_helper.from_array(np.array([1, 1], np.int64), "one_one")
    first = [
        helper.make_node("ReduceMean", [entry, "axes"], ["mean"], keepdims=0),
        helper.make_node("Reshape", ["mean", "one_one"], ["bright"]),
    ]
    kinds = {name: TensorProto.INT64 if name in integer else TensorProto.FLOAT for name in outputs}
    graph = helper.make_graph(
        [*first, *nodes],
        "tiny",
        [helper.make_tensor_value_info(entry, TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, kinds[name], size) for name, size in outputs.items()],
        [axes, flat, *held],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    for key, value in (said or {}).items():
        entry_ = model.metadata_props.add()
        entry_.key, entry_.value = key, value
    onnx.save(model, str(path))
    return path


def detector(path: Path) -> Path:
    """(1, 4 + 2, 3): the first candidate is a crack as sure as the picture is bright."""
    rows = np.zeros((1, 6, 3), np.float32)
    rows[0, :4] = np.array(BOX)[:, None]
    seen = np.zeros((1, 6, 3), np.float32)
    seen[0, 4, 0] = 1
    nodes = [
        helper.make_node("Mul", ["bright", "seen"], ["score"]),
        helper.make_node("Add", ["score", "rows"], ["output0"]),
    ]
    return write(
        path, nodes, {"output0": (1, 6, 3)}, constants={"rows": rows, "seen": seen}, said=ultralytics("detect")
    )


def end_to_end(path: Path) -> Path:
    """(1, 300, 6): corners, score, class."""
    rows = np.zeros((1, 300, 6), np.float32)
    rows[0, 0] = [12, 13, 20, 19, 0, 1]
    seen = np.zeros((1, 300, 6), np.float32)
    seen[0, 0, 4] = 1
    nodes = [
        helper.make_node("Mul", ["bright", "seen"], ["score"]),
        helper.make_node("Add", ["score", "rows"], ["output0"]),
    ]
    said = ultralytics("detect")
    return write(path, nodes, {"output0": (1, 300, 6)}, constants={"rows": rows, "seen": seen}, said=said)


def masks(path: Path) -> Path:
    """(1, 4 + 2 + 4, 70) and prototypes (1, 4, 8, 8): candidate 5 is a hole whose mask fills its box."""
    rows = np.zeros((1, 10, 70), np.float32)
    rows[0, :4] = np.array(BOX)[:, None]
    rows[0, 6:, 5] = 5
    seen = np.zeros((1, 10, 70), np.float32)
    seen[0, 5, 5] = 1
    nodes = [
        helper.make_node("Mul", ["bright", "seen"], ["score"]),
        helper.make_node("Add", ["score", "rows"], ["output0"]),
        helper.make_node("Identity", ["protos"], ["output1"]),
    ]
    constants = {"rows": rows, "seen": seen, "protos": np.ones((1, 4, 8, 8), np.float32)}
    outputs = {"output0": (1, 10, 70), "output1": (1, 4, 8, 8)}
    return write(path, nodes, outputs, constants=constants, said=ultralytics("segment"))


def classifier(path: Path, said: Mapping[str, str] | None = None, entry: str = "images", name: str = "logits") -> Path:
    """(1, 2) logits: the second class is as likely as the picture is bright."""
    nodes = [helper.make_node("Mul", ["bright", "gains"], [name])]
    constants = {"gains": np.array([[-4.0, 4.0]], np.float32)}
    return write(path, nodes, {name: (1, 2)}, constants=constants, said=said, entry=entry)


def faster_rcnn(path: Path) -> Path:
    """boxes (n, 4), labels (n,) from 1, scores (n,); the picture has no batch, as torchvision exports it."""
    nodes = [
        helper.make_node("Identity", ["corners"], ["boxes"]),
        helper.make_node("Identity", ["numbers"], ["labels"]),
        helper.make_node("Reshape", ["bright", "one"], ["scores"]),
    ]
    constants = {
        "corners": np.array([[12, 13, 20, 19]], np.float32),
        "numbers": np.array([2], np.int64),
        "one": np.array([1], np.int64),
    }
    outputs: dict[str, tuple[Any, ...]] = {"boxes": ("n", 4), "labels": ("n",), "scores": ("n",)}
    return write(path, nodes, outputs, constants=constants, shape=(3, SIDE, SIDE), integer=("labels",))


def anomalib(path: Path) -> Path:
    """anomaly_map (1, 1, 8, 8) and pred_score (1, 1), between 0 and 1."""
    nodes = [
        helper.make_node("Mul", ["bright", "ones"], ["anomaly_map"]),
        helper.make_node("Identity", ["bright"], ["pred_score"]),
    ]
    constants = {"ones": np.ones((1, 1, 8, 8), np.float32)}
    return write(path, nodes, {"anomaly_map": (1, 1, 8, 8), "pred_score": (1, 1)}, constants=constants, entry="input")
