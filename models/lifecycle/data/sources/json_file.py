"""JSON as labelling tools write it, with complaints that name file, place and cure."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from models.lifecycle.data.complaint import Complaint, DatasetError


def read_json(path: Path) -> dict[str, Any]:
    """The object in the file. Raises DatasetError."""
    try:
        content = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        cure = f"cannot be read ({error}): copy it again"
        raise DatasetError(Complaint(str(path), "file", path.name, cure)) from error
    return parse_object(content, str(path))


def parse_object(content: str, file: str, line: int = 0) -> dict[str, Any]:
    """The object in a text. line: of the text in its file, where it is one of many. Raises DatasetError."""
    try:
        found: Any = json.loads(content)
    except json.JSONDecodeError as error:
        cure = f"is not whole JSON ({error.msg}, column {error.colno}): export it again, or mend this place"
        raise DatasetError(Complaint(file, f"line {line or error.lineno}", content[:40], cure)) from error
    if not isinstance(found, dict):
        cure = "a JSON object { … } belongs here: this is another format. Name it with --format"
        raise DatasetError(Complaint(file, f"line {line or 1}", content[:40], cure))
    return cast(dict[str, Any], found)


def entry(owner: dict[str, Any], key: str, kind: type | tuple[type, ...], file: str, where: str, cure: str) -> Any:
    """A value that must be there and of this kind. Raises DatasetError."""
    value = owner.get(key)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        missing = "is missing" if key not in owner else "is of the wrong kind"
        raise DatasetError(Complaint(file, f"{where}{key}", value, f"{missing}: {cure}"))
    return value


def numbers(value: Any, count: int | None, file: str, where: str, cure: str) -> Sequence[float]:
    """A list of finite numbers, of this length. Raises DatasetError."""
    items = cast(list[Any], value) if isinstance(value, list) else []
    fit = bool(items) and all(
        isinstance(item, int | float) and not isinstance(item, bool) and math.isfinite(item) for item in items
    )
    if not fit or (count is not None and len(items) != count):
        raise DatasetError(Complaint(file, where, value, cure))
    return [float(item) for item in items]
