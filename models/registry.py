"""The packages in a folder: what is there, what one says of itself, and what differs between two."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.errors import ModelRejected
from models.package import MANIFEST, ModelPackage, open_package


@dataclass(frozen=True, slots=True)
class Entry:
    """One package folder. package: None where it was refused, with why."""

    name: str
    version: str
    package: ModelPackage | None
    why: str = ""


def packages(root: Path, trusted_keys: Sequence[bytes] = ()) -> Iterator[Entry]:
    """Every `<name>/<version>` below a folder, in order of name and version; each byte of it is checked."""
    for path in sorted(root.glob(f"*/*/{MANIFEST}"), key=lambda p: (p.parent.parent.name, order_of(p.parent.name))):
        name, version = path.parent.parent.name, path.parent.name
        try:
            yield Entry(name, version, open_package(root, name, version, trusted_keys=trusted_keys))
        except ModelRejected as error:
            yield Entry(name, version, None, str(error))


def order_of(version: str) -> tuple[tuple[int, int | str], ...]:
    """1.10.0 comes after 1.9.0."""
    parts = version.replace("-", ".").split(".")
    return tuple((0, int(part)) if part.isdigit() else (1, part) for part in parts)


def differences(one: ModelPackage, two: ModelPackage) -> list[tuple[str, Any, Any]]:
    """Field, value in the first, value in the second, of all that differs; files by their hashes' first digits."""
    first, second = (_flat(package.manifest.model_dump(mode="json", by_alias=True)) for package in (one, two))
    return [
        (key, first.get(key), second.get(key))
        for key in sorted(first.keys() | second.keys())
        if first.get(key) != second.get(key)
    ]


def _flat(value: Any, key: str = "") -> dict[str, Any]:
    if isinstance(value, dict):
        found: dict[str, Any] = {}
        for name, inner in value.items():
            found |= _flat(inner, f"{key}.{name}" if key else str(name))
        return found
    if key.startswith("files."):
        return {key: str(value)[:12]}
    return {key: value}
