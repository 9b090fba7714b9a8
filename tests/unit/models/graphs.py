"""Tiny graphs and packages for tests, built on the spot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13 as ops

from models.package import ModelPackage, open_package, write_package

Build = Callable[[Any], Any]


def identity_map(pixels: Any) -> Any:
    """A "segmentation" of one class whose probability is brightness / 255, background first."""
    grey = ops.divide(pixels, ops.constant(np.float32(255)))
    return ops.concat([ops.subtract(ops.constant(np.float32(1)), grey), grey], axis=1)


def package(
    root: Path,
    build: Build = identity_map,
    *,
    name: str = "tiny",
    task: str = "segment",
    width: int = 64,
    height: int = 32,
    channels: int = 1,
    colour: str = "grey",
    output_name: str = "probabilities",
    **changes: Any,
) -> ModelPackage:
    """Write and open a package around a small graph."""
    folder = root / name / "1.0.0"
    folder.mkdir(parents=True)
    pixels = ops.parameter([1, channels, height, width], np.float32, name="pixels")
    node = build(pixels)
    node.output(0).get_tensor().set_names({output_name})
    make: Any = ov.Model
    ov.save_model(make([node], [pixels], name), folder / "int8.xml", compress_to_fp16=False)
    manifest: dict[str, Any] = {
        "schema": 1,
        "name": name,
        "version": "1.0.0",
        "task": task,
        "classes": ["scratch"],
        "input": {
            "width": width,
            "height": height,
            "channels": channels,
            "colour": colour,
            "mean": [0.0] * channels,
            "std": [1.0] * channels,
        },
        "output": {"score_orientation": "high_is_bad", "pixel_threshold": 0.5},
        "graphs": {"int8": "int8.xml"},
        "preferred": "int8",
        "training_data_sha256": "0" * 64,
        "metrics": {"int8": {}},
        "licence": "test",
        "created": "2026-11-24",
        **changes,
    }
    write_package(folder, manifest)
    return open_package(root, name, "1.0.0")


def constant(values: NDArray[np.float32]) -> Build:
    """A graph that always answers the same."""

    def build(pixels: Any) -> Any:
        zero = ops.reduce_max(ops.multiply(pixels, ops.constant(np.float32(0))), ops.constant([0, 1, 2, 3]), False)
        return ops.add(ops.constant(values), zero)

    return build
