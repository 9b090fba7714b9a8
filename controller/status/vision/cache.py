"""The address space with the imported models on disk, so that a start needs no import.

A cache is used only by the very versions of Python, asyncua, nodesets and modules that wrote it, and as it was written:
its SHA-256 is the first thing in it. It is made of pickles: it lies in the station's own data directory, readable and
writable by the station's user alone, like the program itself.

Most of the 8,000 nodes are never asked for. They lie in the file in heaps, and a heap is unpacked when the first of its
nodes is wanted: half a second of a start, and two thirds of the memory.
"""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import sys
from collections.abc import Iterator, MutableMapping
from enum import IntFlag
from importlib import metadata
from pathlib import Path
from typing import Any, cast

from asyncua import ua
from asyncua.common.structures104 import (
    load_basetype_alias_xml_import,
    load_custom_struct_xml_import,
    load_enum_xml_import,
)
from asyncua.server.address_space import NodeData
from asyncua.server.server import Server
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIdNames, ObjectIds
from loguru import logger

from controller.status.vision.nodesets import fingerprint

_STRUCTURE = ua.NodeId(ua.Int32(ObjectIds.Structure))
_PICKLE = pickle.HIGHEST_PROTOCOL
_DIGEST_BYTES = 32
HEAP = 4
"""Nodes in one heap."""
Nodes = MutableMapping[ua.NodeId, NodeData]
Definition = tuple[str, ua.NodeId, ua.NodeId | None, Any, bool]
"""Name, node id, supertype, definition (None: another name for the supertype) and whether it is a set of options."""


def cache_key() -> str:
    """Names everything that the cached nodes follow from."""
    digest = hashlib.sha256(fingerprint().encode())
    digest.update(f"{sys.version_info} {metadata.version('asyncua')}".encode())
    for module in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(module.read_bytes())
    return digest.hexdigest()[:32]


def present(folder: Path) -> bool:
    """There is a cache of this very version."""
    return _path(folder).is_file()


async def load(folder: Path) -> Nodes | None:
    """The cached nodes, with the Python classes of their data types; None where there is no cache of this version."""
    path = _path(folder)
    try:
        if os.name == "posix" and path.stat().st_uid != os.getuid():
            logger.warning("status model cache belongs to another user and is not used", path=str(path))
            return None
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        logger.warning("status model cache cannot be read", path=str(path), why=str(error))
        return None
    if _digest(memoryview(content)[_DIGEST_BYTES:]) != content[:_DIGEST_BYTES]:
        logger.warning("status model cache is damaged and is built anew", path=str(path))
        return None
    stream = io.BytesIO(content)
    stream.seek(_DIGEST_BYTES)
    definitions: list[Definition] = pickle.load(stream)
    for definition in definitions:
        await _register(definition)
    heaps: list[tuple[int, list[ua.NodeId]]] = pickle.load(stream)
    return CachedNodes(memoryview(content)[stream.tell() :], heaps)


def save(folder: Path, server: Server, imported: list[ua.NodeId]) -> None:
    """Keep a server's nodes for the next start; a disk that does not take them costs the next start its time."""
    path = _path(folder)
    half = path.with_suffix(".tmp")
    nodes = server.iserver.aspace._nodes  # pyright: ignore[reportPrivateUsage]
    definitions = [_definition(nodes[n]) for n in imported if _is_data_type(nodes[n])]
    heaps, packed = _packed(nodes)
    rest = pickle.dumps(definitions, _PICKLE) + pickle.dumps(heaps, _PICKLE) + packed
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("status-model-*"):
            old.unlink(missing_ok=True)
        with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(_digest(rest))
            file.write(rest)
        half.replace(path)
    except OSError as error:
        logger.warning("status model cache cannot be written", path=str(path), why=str(error))


class CachedNodes(MutableMapping[ua.NodeId, NodeData]):
    """Nodes by their id. One that was never asked for is still packed, with its heap."""

    def __init__(self, packed: memoryview, heaps: list[tuple[int, list[ua.NodeId]]]) -> None:
        self._nodes: dict[ua.NodeId, NodeData] = {}
        self._packed: dict[ua.NodeId, tuple[memoryview, list[ua.NodeId]]] = {}
        begin = 0
        for size, node_ids in heaps:
            heap = packed[begin : begin + size], node_ids
            self._packed.update(dict.fromkeys(node_ids, heap))
            begin += size

    def __getitem__(self, key: ua.NodeId) -> NodeData:
        node = self._nodes.get(key)
        if node is None:
            self._unpack(key)
            node = self._nodes[key]
        return node

    def __setitem__(self, key: ua.NodeId, node: NodeData) -> None:
        self._packed.pop(key, None)
        self._nodes[key] = node

    def __delitem__(self, key: ua.NodeId) -> None:
        if self._packed.pop(key, None) is None:
            del self._nodes[key]

    def __contains__(self, key: object) -> bool:
        return key in self._nodes or key in self._packed

    def __iter__(self) -> Iterator[ua.NodeId]:
        yield from tuple(self._nodes)
        yield from tuple(self._packed)

    def __len__(self) -> int:
        return len(self._nodes) + len(self._packed)

    def _unpack(self, key: ua.NodeId) -> None:
        heap, node_ids = self._packed[key]
        for node_id, node in zip(node_ids, pickle.loads(heap), strict=True):
            if self._packed.pop(node_id, None) is not None:
                self._nodes[node_id] = node


def _packed(nodes: Nodes) -> tuple[list[tuple[int, list[ua.NodeId]]], bytes]:
    """The heaps' sizes and nodes, and the heaps. Nodes that belong together have numbers that follow each other."""
    _share(nodes)
    order = sorted(nodes, key=lambda n: (n.NamespaceIndex, isinstance(n.Identifier, str), n.Identifier))
    heaps: list[tuple[int, list[ua.NodeId]]] = []
    stream = io.BytesIO()
    for first in range(0, len(order), HEAP):
        node_ids, begin = order[first : first + HEAP], stream.tell()
        heap = [nodes[node_id] for node_id in node_ids]
        calls = [node.call for node in heap]
        for node in heap:
            node.call = None
        _Pickler(stream, _PICKLE).dump(heap)
        for node, call in zip(heap, calls, strict=True):
            node.call = call
        heaps.append((stream.tell() - begin, node_ids))
    return heaps, stream.getvalue()


def _share(nodes: Nodes) -> None:
    """Make equal node ids one object each: every reference names three of them."""
    held: dict[ua.NodeId, ua.NodeId] = {}
    for node in nodes.values():
        for reference in node.references:
            reference.ReferenceTypeId = held.setdefault(reference.ReferenceTypeId, reference.ReferenceTypeId)
            reference.NodeId = held.setdefault(reference.NodeId, reference.NodeId)
            if reference.TypeDefinition is not None:
                reference.TypeDefinition = held.setdefault(reference.TypeDefinition, reference.TypeDefinition)


class _Pickler(pickle.Pickler):
    """Writes the classes that asyncua generated as the node id of their data type: no module holds them."""

    def reducer_override(self, obj: object) -> Any:
        if isinstance(obj, type):
            known: Any = obj
            node_id = ua.uatypes.datatype_by_extension_object.get(known) or ua.uatypes.enums_datatypes.get(known)
            if node_id is not None and node_id.NamespaceIndex:
                return generated_class, (node_id,)
        return NotImplemented


def generated_class(node_id: ua.NodeId) -> type:
    """The class of a data type that was registered before."""
    found = ua.uatypes.extension_objects_by_datatype.get(node_id)
    return found if found is not None else ua.uatypes.enums_by_datatype[node_id]


def _digest(content: bytes | memoryview) -> bytes:
    return hashlib.sha256(content).digest()


def _path(folder: Path) -> Path:
    return folder / f"status-model-{cache_key()}.pickle"


def _is_data_type(node: NodeData) -> bool:
    held = node.attributes[AttributeIds.NodeClass].value
    return held is not None and held.Value is not None and held.Value.Value == ua.NodeClass.DataType


def _definition(node: NodeData) -> Definition:
    name = node.attributes[AttributeIds.BrowseName].value
    held = node.attributes.get(AttributeIds.DataTypeDefinition)
    given = held.value.Value if held is not None and held.value is not None else None
    above = [
        r.NodeId for r in node.references if r.ReferenceTypeId.Identifier == ObjectIds.HasSubtype and not r.IsForward
    ]
    enum = ua.uatypes.enums_by_datatype.get(node.nodeid)
    options = enum is not None and issubclass(enum, IntFlag)
    assert name is not None and name.Value is not None
    definition = given.Value if given is not None else None
    known = node.nodeid in ua.uatypes.extension_objects_by_datatype or enum is not None
    return name.Value.Value.Name, node.nodeid, above[0] if above else None, definition if known else None, options


async def _register(definition: Definition) -> None:
    name, node_id, above, content, options = definition
    attributes = ua.DataTypeAttributes()
    attributes.DisplayName = ua.LocalizedText(name)
    attributes.DataTypeDefinition = content
    if isinstance(content, ua.StructureDefinition):
        await load_custom_struct_xml_import(node_id, attributes)
    elif isinstance(content, ua.EnumDefinition):
        await load_enum_xml_import(node_id, attributes, options)
    elif above not in (None, _STRUCTURE) and not hasattr(ua, name):
        await load_basetype_alias_xml_import(cast(Server, _Names()), name, node_id, above)


class _Names:
    """What the registration of a type's other name asks of a server: the supertype's name."""

    def get_node(self, node_id: ua.NodeId) -> _Named:
        return _Named(node_id)


class _Named:
    def __init__(self, node_id: ua.NodeId) -> None:
        self._node_id = node_id

    async def read_browse_name(self) -> ua.QualifiedName:
        if self._node_id.NamespaceIndex == 0:
            return ua.QualifiedName(ObjectIdNames[int(str(self._node_id.Identifier))])
        return ua.QualifiedName(ua.uatypes.basetype_by_datatype[self._node_id])
