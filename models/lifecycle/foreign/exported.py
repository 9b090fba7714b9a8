"""A model file of another tool as it lies there: its graph, and everything that it says of itself."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import openvino as ov

from models.errors import ModelRejected


@dataclass(frozen=True, slots=True)
class Exported:
    """file: for messages. said: the exporter's metadata (ONNX properties, rt_info, metadata.yaml beside it)."""

    file: str
    graph: ov.Model
    said: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def input_name(self) -> str:
        return _name(self.graph.inputs[0])

    @property
    def outputs(self) -> dict[str, tuple[int, ...]]:
        """Shape of each output by name; -1 for a size that is not fixed."""
        return {
            _name(output): tuple(d.get_length() if d.is_static else -1 for d in output.get_partial_shape())
            if output.get_partial_shape().rank.is_static
            else ()
            for output in self.graph.outputs
        }

    def refusal(self, key: str, value: object, cure: str) -> ModelRejected:
        """An error that names this file."""
        return ModelRejected(self.file, key, value, cure)


def read_exported(path: Path) -> Exported:
    """Read .onnx or .xml with its metadata. Raises ModelRejected."""
    if path.suffix not in (".onnx", ".xml"):
        raise ModelRejected(str(path), "file", path.suffix, "export the model as ONNX or OpenVINO (.onnx, .xml)")
    try:
        graph = ov.Core().read_model(str(path))
    except RuntimeError as error:
        first = next((line for line in str(error).splitlines() if line.strip()), "unknown")
        raise ModelRejected(str(path), "file", path.name, f"OpenVINO cannot read it: {first}") from error
    if len(graph.inputs) != 1:
        raise ModelRejected(str(path), "inputs", len(graph.inputs), "a model of one picture has one input: export that")
    said = _rt_info(graph)
    if path.suffix == ".onnx":
        said |= _onnx_properties(path)
    said |= _yaml_beside(path)
    return Exported(str(path), graph, said)


def names_in(text: str) -> tuple[str, ...]:
    """Class names as exporters write them: a dict of number to name, a list, or words parted by blanks."""
    if text.lstrip().startswith(("{", "[")):
        try:
            value: Any = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            return ()
        items = [value[key] for key in sorted(value)] if isinstance(value, dict) else list(cast(list[Any], value))
        return tuple(str(item) for item in items)
    return tuple(text.split())


def _name(port: Any) -> str:
    names = sorted(port.get_names())
    return names[0] if names else str(port.get_node().get_friendly_name())


def _rt_info(graph: ov.Model) -> dict[str, str]:
    """What Model API and Ultralytics write into an OpenVINO file; keys of `model_info` as `model_info.key`."""
    found: dict[str, str] = {}
    info: Any = graph.get_rt_info()
    for section in ("model_info", "framework"):
        if section in info:
            inner: Any = info[section]
            inner = inner.value if hasattr(inner, "value") else inner
            for key in inner:
                value: Any = inner[key]
                value = value.value if hasattr(value, "value") else value
                found[f"model_info.{key}" if section == "model_info" else str(key)] = str(value)
    return found


def _onnx_properties(path: Path) -> dict[str, str]:
    try:
        import onnx
    except ImportError as error:
        raise ImportError("reading ONNX metadata needs the train extra: pip install 'linegate[train]'") from error
    return {entry.key: entry.value for entry in onnx.load(str(path), load_external_data=False).metadata_props}


def _yaml_beside(path: Path) -> dict[str, str]:
    """metadata.yaml of an Ultralytics export: `key: value` lines, and one block of numbered names."""
    file = path.with_name("metadata.yaml")
    if path.suffix != ".xml" or not file.is_file():
        return {}
    found: dict[str, str] = {}
    block: dict[int, str] = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        if line[:1].isspace() and key.strip().isdigit():
            block[int(key)] = value.strip().strip("'\"")
        elif not line[:1].isspace() and value.strip():
            found[key.strip()] = value.strip().strip("'\"")
    return {**found, "names": str(block)} if block else found
