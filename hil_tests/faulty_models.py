"""Model packages that do wrong what a model can do wrong, and one that does nothing but answer fast.

They behave at their warm-up, on its even grey, and misbehave on a picture with contrast: a model that fails at once is
refused when it is loaded, and would prove nothing about parts.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from openvino import opset13 as ops

CLASSES = ("scratch", "dent", "stain", "crack")
WIDTH, HEIGHT = 96, 64
VERSION = "1.0.0"
SLOW_MS = 250.0
"""Beyond any rig's deadline, below its hard limit for an inference."""

HUNG_MS = 30_000.0
_SIDE = 256
_CONTRAST = 20.0

Build = Callable[[Any], Any]
"""From the input to one number that is 0 when all is well; what it does on the way is the fault."""


def make_packages(root: Path) -> None:
    """Write `nan`, `slow`, `hung` and `quick` under a folder of packages."""
    per_trip_ms = _measured_trip_ms()
    write(root, "quick", lambda pixels: _nothing(pixels))
    write(root, "nan", _not_a_number)
    write(root, "slow", _loop(round(SLOW_MS / per_trip_ms)))
    write(root, "hung", _loop(round(HUNG_MS / per_trip_ms)))


def write(root: Path, name: str, fault: Build) -> None:
    """Write one segmenting package: nothing but background, plus the fault's number."""
    folder = root / name / VERSION
    folder.mkdir(parents=True, exist_ok=True)
    make: Any = ov.save_model
    make(_graph(fault), folder / "int8.xml", compress_to_fp16=False)
    files = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.glob("int8.*"))}
    manifest: dict[str, Any] = {
        "schema": 1,
        "name": name,
        "version": VERSION,
        "task": "segment",
        "classes": list(CLASSES),
        "input": {"width": WIDTH, "height": HEIGHT, "channels": 1, "colour": "grey", "mean": [0.0], "std": [1.0]},
        "output": {"pixel_threshold": 0.5},
        "graphs": {"int8": "int8.xml"},
        "preferred": "int8",
        "training_data_sha256": "0" * 64,
        "metrics": {"int8": {}},
        "licence": "Apache-2.0",
        "created": "2026-11-25",
        "notes": "For rigs only: knows nothing about any part.",
        "files": files,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2), encoding="utf-8")


def _graph(fault: Build) -> Any:
    pixels: Any = ops.parameter([1, 1, HEIGHT, WIDTH], np.float32, name="pixels")
    grey = ops.add(ops.multiply(pixels, _number(0.0)), fault(pixels))
    one = ops.add(grey, _number(1.0))
    node: Any = ops.concat([one, *([grey] * len(CLASSES))], axis=1)
    node.output(0).get_tensor().set_names({"probabilities"})
    make: Any = ov.Model
    return make([node], [pixels], "rig")


def _nothing(_pixels: Any) -> Any:
    return _number(0.0)


def _not_a_number(pixels: Any) -> Any:
    """0 / 1 on even grey, 0 / 0 on a picture."""
    calm = ops.subtract(_number(1.0), _excited(pixels))
    return ops.divide(_number(0.0), calm)


def _loop(trips: int) -> Build:
    """So many matrix products on a picture, one on even grey; a loop inside the graph cannot be cancelled."""

    def build(pixels: Any) -> Any:
        more = ops.convert(ops.multiply(_excited(pixels), _number(float(trips))), "i64")
        matrix: Any = ops.parameter([_SIDE, _SIDE], np.float32)
        half = ops.constant(np.eye(_SIDE, dtype=np.float32) * np.float32(0.5))
        go_on, product = ops.result(ops.constant(np.array(True))), ops.result(ops.matmul(matrix, half, False, False))
        make: Any = ov.Model
        loop: Any = ops.loop(ops.add(more, ops.constant(np.int64(1))), ops.constant(np.array(True)))
        loop.set_function(make([go_on, product], [matrix], "body"))
        loop.set_special_body_ports([-1, 0])
        start: Any = ops.constant(np.zeros((_SIDE, _SIDE), np.float32))
        loop.set_merged_input(matrix, start.output(0), product.output(0))
        total = ops.reduce_sum(loop.get_iter_value(product.output(0), -1), ops.constant([0, 1]), False)
        return ops.multiply(total, _number(0.0))

    return build


def _excited(pixels: Any) -> Any:
    """1.0 for a picture with contrast, else 0.0."""
    axes = ops.constant([0, 1, 2, 3])
    contrast = ops.subtract(ops.reduce_max(pixels, axes, False), ops.reduce_min(pixels, axes, False))
    return ops.convert(ops.greater(contrast, _number(_CONTRAST)), "f32")


def _number(value: float) -> Any:
    return ops.constant(np.float32(value))


def _measured_trip_ms(trips: int = 40, runs: int = 9) -> float:
    """What one trip of the loop takes on this computer when nothing else is in the way: the fastest run counts, since
    a slow model that was measured on a busy computer would not be slow afterwards."""
    compiled: Any = ov.Core().compile_model(_graph(_loop(trips)), "CPU", {"INFERENCE_NUM_THREADS": 1})
    picture = np.zeros((1, 1, HEIGHT, WIDTH), np.float32)
    picture[0, 0, 0, 0] = 255.0
    compiled([picture])
    times: list[float] = []
    for _ in range(runs):
        began = time.perf_counter()
        compiled([picture])
        times.append((time.perf_counter() - began) * 1000)
    return min(times) / trips
