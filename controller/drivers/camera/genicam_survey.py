"""What a person asks of GenTL cameras at the bench: which are there, what can be set. Blocks; not for a station."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genicam import genapi, gentl
from harvesters.core import Harvester

from controller.errors import ConfigError, DeviceUnavailable

_FACTS = ("serial_number", "user_defined_name", "vendor", "model", "tl_type")
_SDK = (gentl.GenericException, genapi.GenericException)


@dataclass(frozen=True, slots=True)
class FoundCamera:
    """One camera that a producer shows."""

    producer: str
    serial: str
    user_name: str
    vendor: str
    model: str
    transport: str


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature of a camera as it stands. allowed: its range or its choices."""

    name: str
    value: str
    allowed: str
    writable: bool
    tip: str


def producers() -> list[Path]:
    """The GenTL producers that are installed: the .cti files in the folders of GENICAM_GENTL64_PATH."""
    folders = os.environ.get("GENICAM_GENTL64_PATH", "").split(os.pathsep)
    return sorted(file for folder in folders if folder for file in Path(folder).glob("*.cti"))


def find_cameras(files: list[Path]) -> list[FoundCamera]:
    """Every camera of these producers. Raises ConfigError for a file that is no producer."""
    return [found for file in files for found in _of_producer(file)]


def _of_producer(file: Path) -> Iterator[FoundCamera]:
    harvester = _opened(file)
    try:
        for device in harvester.device_info_list:
            facts = [
                _fact(device, name) for name in ("serial_number", "user_defined_name", "vendor", "model", "tl_type")
            ]
            serial, *others = facts
            yield FoundCamera(str(file), serial or _fact(device, "id_"), *others)
    finally:
        harvester.reset()


def read_features(file: Path, device: str) -> list[Feature]:
    """Every feature that the camera has now. Raises ConfigError or DeviceUnavailable."""
    harvester = _opened(file)
    try:
        infos = harvester.device_info_list
        names = [[_fact(info, name) for name in ("serial_number", "user_defined_name", "id_")] for info in infos]
        index = next((i for i, known in enumerate(names) if device in known or (not device and len(infos) == 1)), None)
        if index is None:
            there = ", ".join(known[0] or known[2] for known in names) or "none"
            raise DeviceUnavailable(device or "camera", f"not at this producer; there are: {there}")
        acquirer = harvester.create(index)
        try:
            nodes: Any = acquirer.remote_device.node_map
            return [found for name in sorted(dir(nodes)) if (found := _feature(nodes, name)) is not None]
        finally:
            acquirer.destroy()
    except _SDK as error:
        raise DeviceUnavailable(device or "camera", str(error)) from error
    finally:
        harvester.reset()


def _opened(file: Path) -> Any:
    harvester: Any = Harvester()
    try:
        harvester.add_file(str(file), check_existence=True, check_validity=True)
        harvester.update()
    except (*_SDK, OSError) as error:
        harvester.reset()
        raise ConfigError(str(file), "producer", file.name, f"cannot be loaded as a GenTL producer: {error}") from error
    return harvester


def _feature(nodes: Any, name: str) -> Feature | None:
    if not name[:1].isupper() or not nodes.has_node(name):
        return None
    with suppress(*_SDK, AttributeError, TypeError, NotImplementedError):
        node = getattr(nodes, name)
        if isinstance(node, genapi.ICommand):
            return Feature(name, "", "command", True, str(node.node.tooltip))
        if isinstance(node, (genapi.ICategory, genapi.IRegister)):
            return None
        writable = bool(genapi.is_writable(node.get_access_mode()))
        return Feature(name, str(node.value), _allowed(node), writable, str(node.node.tooltip))
    return None


def _allowed(node: Any) -> str:
    with suppress(*_SDK, AttributeError):
        if isinstance(node, genapi.IEnumeration):
            return ", ".join(node.symbolics)
        if isinstance(node, (genapi.IInteger, genapi.IFloat)):
            return f"{node.min:g} to {node.max:g}{f' {node.unit}' if getattr(node, 'unit', '') else ''}"
    return ""


def _fact(device: Any, name: str) -> str:
    with suppress(gentl.GenericException, AttributeError):
        return str(getattr(device, name) or "")
    return ""
