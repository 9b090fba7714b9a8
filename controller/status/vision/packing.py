"""Nodes of an address space, packed in heaps: unpacked with the first of a heap that is wanted.

Most of the 9,000 nodes are never asked for: to leave them packed is half a second of a start, and two thirds of the
memory. A heap is a pickle, compressed with a dictionary of what heaps have in common.
"""

from __future__ import annotations

import io
import pickle
import zlib
from collections.abc import Iterator, MutableMapping
from typing import Any

from asyncua import ua
from asyncua.server.address_space import NodeData

HEAP = 4
"""Nodes in one heap."""
PICKLE = pickle.HIGHEST_PROTOCOL
_COMMON_BYTES = 32_768
"""Of the dictionary; zlib looks back no further."""
Nodes = MutableMapping[ua.NodeId, NodeData]
Heap = tuple[int, list[ua.NodeId]]
"""Bytes of a packed heap, and its nodes."""


class CachedNodes(MutableMapping[ua.NodeId, NodeData]):
    """Nodes by their id. One that was never asked for is still packed, with its heap.

    packed: the dictionary and the heaps, as `pack` made them.
    """

    def __init__(self, packed: memoryview, heaps: list[Heap]) -> None:
        self._common = bytes(packed[:_COMMON_BYTES])
        self._nodes: dict[ua.NodeId, NodeData] = {}
        self._packed: dict[ua.NodeId, tuple[memoryview, list[ua.NodeId]]] = {}
        begin = _COMMON_BYTES
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
        unpacked = pickle.loads(zlib.decompressobj(zdict=self._common).decompress(heap))
        for node_id, node in zip(node_ids, unpacked, strict=True):
            if self._packed.pop(node_id, None) is not None:
                self._nodes[node_id] = node


def pack(nodes: Nodes) -> tuple[list[Heap], bytes]:
    """The heaps, and the dictionary with them behind it. Nodes that belong together have numbers that follow each
    other."""
    _share(nodes)
    order = sorted(nodes, key=lambda n: (n.NamespaceIndex, isinstance(n.Identifier, str), n.Identifier))
    groups = [order[first : first + HEAP] for first in range(0, len(order), HEAP)]
    pickled = [_pickled([nodes[node_id] for node_id in group]) for group in groups]
    common = b"".join(pickled[:: max(1, len(pickled) // 8)])[-_COMMON_BYTES:].rjust(_COMMON_BYTES, b"\0")
    squeezed = [_squeezed(heap, common) for heap in pickled]
    return [(len(heap), group) for heap, group in zip(squeezed, groups, strict=True)], common + b"".join(squeezed)


def _pickled(heap: list[NodeData]) -> bytes:
    """Without what methods call: that is no part of a node's description."""
    stream = io.BytesIO()
    calls = [node.call for node in heap]
    for node in heap:
        node.call = None
    _Pickler(stream, PICKLE).dump(heap)
    for node, call in zip(heap, calls, strict=True):
        node.call = call
    return stream.getvalue()


def _squeezed(heap: bytes, common: bytes) -> bytes:
    squeeze = zlib.compressobj(zdict=common)
    return squeeze.compress(heap) + squeeze.flush()


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
