"""The address space with the imported models on disk, so that a start needs no import.

A cache is used only by the very versions of Python, asyncua, nodesets and modules that wrote it. It is a pickle: it
lies in the station's own data directory, readable and writable by the station's user alone, like the program itself.
"""

from __future__ import annotations

import gc
import hashlib
import io
import os
import pickle
import sys
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
Nodes = dict[ua.NodeId, NodeData]
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
    try:
        stream = io.BytesIO(content)
        definitions: list[Definition] = pickle.load(stream)
        for definition in definitions:
            await _register(definition)
        # Half a million objects that all stay: to look for garbage among them takes as long as to make them.
        gc.disable()
        try:
            return pickle.load(stream)
        finally:
            gc.enable()
            gc.freeze()
    except (pickle.UnpicklingError, EOFError, AttributeError, KeyError, ImportError, IndexError) as error:
        logger.warning("status model cache is damaged and is built anew", path=str(path), why=str(error))
        return None


def save(folder: Path, server: Server, imported: list[ua.NodeId]) -> None:
    """Keep a server's nodes for the next start; a disk that does not take them costs the next start its time."""
    path = _path(folder)
    half = path.with_suffix(".tmp")
    nodes: Nodes = server.iserver.aspace._nodes  # pyright: ignore[reportPrivateUsage]
    stream = io.BytesIO()
    pickle.dump([_definition(nodes[n]) for n in imported if _is_data_type(nodes[n])], stream, pickle.HIGHEST_PROTOCOL)
    _share(nodes)
    calls = {node_id: node.call for node_id, node in nodes.items() if node.call is not None}
    for node_id in calls:
        nodes[node_id].call = None
    _Pickler(stream, pickle.HIGHEST_PROTOCOL).dump(nodes)
    for node_id, call in calls.items():
        nodes[node_id].call = call
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("status-model-*"):
            old.unlink(missing_ok=True)
        with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(stream.getvalue())
        half.replace(path)
    except OSError as error:
        logger.warning("status model cache cannot be written", path=str(path), why=str(error))


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
