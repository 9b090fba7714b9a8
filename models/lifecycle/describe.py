"""What a package says of itself: the manifest's fields, from what a task made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from models.lifecycle.backbone import MEAN, STD
from models.lifecycle.material import Format
from models.package import Manifest, Task

GOOD = "good"
"""The good class of a classifying package, unless a defect type has this name."""


def describe(
    name: str,
    version: str,
    task: Task,
    classes: Sequence[str],
    wanted: Format,
    *,
    training_hash: str = "0" * 64,
    graphs: Mapping[str, str] | None = None,
    output: Mapping[str, Any] | None = None,
    licence: str = "unpublished",
    created: str | None = None,
    notes: str = "",
) -> dict[str, Any]:
    """All fields of a manifest but the files and the metrics, ready for write_package."""
    shipped = [good_name(classes), *classes] if task == "classify" else list(classes)
    extra = {"box_format": "yolov8"} if task == "detect" else {}
    return {
        "schema": 1,
        "name": name,
        "version": version,
        "task": task,
        "classes": shipped,
        **({"good_class": shipped[0]} if task == "classify" else {}),
        "input": {
            "width": wanted.width,
            "height": wanted.height,
            "channels": wanted.channels,
            "colour": "grey" if wanted.channels == 1 else "rgb",
            "mean": [MEAN] * wanted.channels,
            "std": [STD] * wanted.channels,
        },
        "output": {**extra, **(output or {})},
        "graphs": dict(graphs or {"int8": "int8.xml", "fp32": "fp32.xml"}),
        "preferred": "int8",
        "training_data_sha256": training_hash,
        "metrics": {},
        "licence": licence,
        "created": created or datetime.now(UTC).isoformat(timespec="seconds"),
        "notes": notes,
    }


def draft(task: Task, classes: Sequence[str], wanted: Format, **output: Any) -> Manifest:
    """A manifest for decoding what a net gives before there is a package."""
    return Manifest.model_validate(describe("draft", "0", task, classes, wanted, output=output))


def good_name(classes: Sequence[str]) -> str:
    """A name for the good class that no defect type has."""
    return GOOD if GOOD not in classes else "good_part"
