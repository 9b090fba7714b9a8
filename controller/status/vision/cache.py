"""The address space with the imported models on disk, so that a start needs no import.

A cache is used only by the very versions of Python, asyncua, nodesets and modules that wrote it, and as it was written:
its SHA-256 is the first thing in it. It is made of pickles, so it is trusted like the program: it must belong to the
station's user, or to the one who installed the program, and nobody else may write it. It lies with the program, where
`linegate prepare` put it, or in the station's own data directory, where the first start without one puts it.
"""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import stat
import sys
from collections.abc import Iterable
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

from controller.status.address_space import METHODS, NODES
from controller.status.vision.nodesets import fingerprint
from controller.status.vision.packing import PICKLE, CachedNodes, Heap, Nodes, pack

_STRUCTURE = ua.NodeId(ua.Int32(ObjectIds.Structure))
_DIGEST_BYTES = 32
INSTALLED = Path(__file__).with_name("prepared")
"""Folder of the cache that came with the installation, for all stations of this computer."""
Definition = tuple[str, ua.NodeId, ua.NodeId | None, Any, bool]
"""Name, node id, supertype, definition (None: another name for the supertype) and whether it is a set of options."""


def cache_key() -> str:
    """Names everything that the cached nodes follow from."""
    digest = hashlib.sha256(fingerprint().encode())
    digest.update(f"{sys.version_info} {metadata.version('asyncua')}".encode())
    for module in sorted(Path(__file__).parents[1].rglob("*.py")):
        digest.update(module.read_bytes())
    # What they take from elsewhere: the names of the stages, for one.
    digest.update(repr([(row.name, row.kind, row.description) for row in NODES]).encode())
    digest.update(repr(METHODS).encode())
    return digest.hexdigest()[:32]


def present(folder: Path) -> bool:
    """There is a cache of this very version."""
    return _path(folder).is_file()


async def load(folders: Iterable[Path]) -> Nodes | None:
    """The cached nodes, with the Python classes of their data types; None where no folder has any of this version."""
    content = next((content for folder in folders if (content := _read(_path(folder))) is not None), None)
    if content is None:
        return None
    stream = io.BytesIO(content)
    stream.seek(_DIGEST_BYTES)
    definitions: list[Definition] = pickle.load(stream)
    for definition in definitions:
        await _register(definition)
    heaps: list[Heap] = pickle.load(stream)
    return CachedNodes(memoryview(content)[stream.tell() :], heaps)


def _read(path: Path) -> bytes | None:
    """What lies there, where it is as it was written and by somebody who could change the program as well."""
    try:
        if not _trusted(path):
            logger.warning("status model cache can be written by another user and is not used", path=str(path))
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
    return content


def _trusted(path: Path) -> bool:
    if os.name != "posix":
        return True
    found = path.stat()
    others_write = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return not others_write and found.st_uid in (os.getuid(), _program_owner())


def _program_owner() -> int:
    return Path(__file__).stat().st_uid


def save(folder: Path, server: Server, imported: list[ua.NodeId]) -> bool:
    """Keep a server's nodes for the next start; False: the disk does not take them, which costs the next start its
    time."""
    path = _path(folder)
    half = folder / f"half-{os.getpid()}"
    nodes = server.iserver.aspace._nodes  # pyright: ignore[reportPrivateUsage]
    definitions = [_definition(nodes[n]) for n in imported if _is_data_type(nodes[n])]
    heaps, packed = pack(nodes)
    rest = pickle.dumps(definitions, PICKLE) + pickle.dumps(heaps, PICKLE) + packed
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("status-model-*"):
            old.unlink(missing_ok=True)
        with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), "wb") as file:
            file.write(_digest(rest))
            file.write(rest)
        half.replace(path)
    except OSError as error:
        logger.warning("status model cache cannot be written", path=str(path), why=str(error))
        return False
    return True


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
