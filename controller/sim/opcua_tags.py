"""The simulated PLC's tags as OPC UA nodes, with a fast way in and out for the program that owns them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from asyncua import ua
from asyncua.server.address_space import AttributeValue, NodeData
from asyncua.server.server import Server
from asyncua.ua.attribute_ids import AttributeIds

from controller.sim.plc_settings import NAMESPACE, NAMESPACE_INDEX, free_port, node_id
from controller.sim.plc_tags import EMPTY, DeclaredTag, TagKind

_TYPES = {
    TagKind.WORD: ua.VariantType.Int32,
    TagKind.BIT: ua.VariantType.Boolean,
    TagKind.REAL: ua.VariantType.Float,
    TagKind.TEXT: ua.VariantType.String,
}

Notice = tuple[Callable[..., Any], int, ua.DataValue]


class OpcUaCell:
    """One variable."""

    __slots__ = ("_cell", "_empty", "_notices", "_type")

    def __init__(self, cell: AttributeValue, kind: TagKind, notices: asyncio.Queue[Notice]) -> None:
        self._cell, self._type, self._empty, self._notices = cell, _TYPES[kind], EMPTY[kind], notices

    def get(self) -> Any:
        """The value; the kind's empty one where a client wrote a null."""
        held = self._cell.value
        value = None if held is None or held.Value is None else held.Value.Value
        return self._empty if value is None else value

    def set(self, value: Any) -> None:
        """Replace the value at once; subscribers hear of it from `OpcUaTags.run`."""
        if value == self.get():
            return
        held = ua.DataValue(ua.Variant(value, self._type))
        self._cell.value = held
        for handle, callback in self._cell.datachange_callbacks.items():
            self._notices.put_nowait((callback, handle, held))


class OpcUaTags:
    """TagServer over OPC UA: a server with one folder of variables. port: 0 takes a free one."""

    def __init__(
        self, host: str, port: int, declared: Sequence[DeclaredTag], on_written: Callable[[str], None]
    ) -> None:
        self._host, self._port, self._declared, self._on_written = host, port, declared, on_written
        self._server = Server()
        self._cells: dict[str, OpcUaCell] = {}
        self._notices: asyncio.Queue[Notice] = asyncio.Queue()

    async def build(self) -> None:
        """Make the address space."""
        server = self._server
        await server.init()
        server.disable_clock()
        server.set_force_server_timestamp(False)
        server.set_server_name("Linegate soft PLC")
        server.set_endpoint(f"opc.tcp://{self._host}:{self._port or free_port(self._host)}/softplc")
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        await server.register_namespace(NAMESPACE)
        root = ua.NodeId.from_string(f"ns={NAMESPACE_INDEX};s=Linegate")
        folder = await server.nodes.objects.add_folder(root, "Linegate")
        for tag in self._declared:
            await self._add(folder, tag)

    async def start(self) -> str:
        """Serve; its endpoint."""
        await self._server.start()
        return self._server.endpoint.geturl()

    async def stop(self) -> None:
        """Cut every connection."""
        with suppress(OSError):
            await self._server.stop()

    async def run(self) -> None:
        """Tell subscribers of changes, in the order they were made."""
        while True:
            callback, handle, value = await self._notices.get()
            await callback(handle, value)

    def cell(self, name: str) -> OpcUaCell:
        """One variable."""
        return self._cells[name]

    async def _add(self, folder: Any, tag: DeclaredTag) -> None:
        node = await folder.add_variable(
            ua.NodeId.from_string(node_id(tag.name)), tag.name, EMPTY[tag.kind], _TYPES[tag.kind]
        )
        cell = self._server.iserver.aspace[node.nodeid].attributes[AttributeIds.Value]
        self._cells[tag.name] = OpcUaCell(cell, tag.kind, self._notices)
        if tag.writable:
            await node.set_writable()
            self._server.set_attribute_value_setter(node.nodeid, self._setter(tag.name))

    def _setter(self, name: str) -> Callable[[NodeData, AttributeIds, ua.DataValue], None]:
        def written(node: NodeData, attribute: AttributeIds, value: ua.DataValue) -> None:
            node.attributes[attribute].value = value
            self._on_written(name)

        return written
