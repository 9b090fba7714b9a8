"""The rows of the address space as nodes of an asyncua server; only what changed is written."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from asyncua import ua
from asyncua.common.node import Node
from asyncua.server.server import Server
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.status_codes import StatusCodes

from controller.status.address_space import NAMESPACE_INDEX, NODES, Kind, StatusNode, Value, node_id
from controller.status.messages import StationSnapshot

_ROOT = "Linegate"


def variant_type(kind: Kind) -> ua.VariantType:
    """The type's OPC UA name for scalars and arrays alike."""
    return ua.VariantType[kind.value.removesuffix("[]")]


async def build_nodes(server: Server) -> None:
    """Add all variables to a server that is initialised and not started."""
    await _Builder(server).build()


class StatusNodes:
    """All variables. One event loop's thread."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._ids = {row.name: ua.NodeId.from_string(node_id(row.name)) for row in NODES}
        self._shown: dict[str, tuple[Value, int]] = {}

    async def start(self) -> None:
        """Show that there is no news yet."""
        await self._lose(StatusCodes.BadWaitingForInitialData)

    async def show(self, snapshot: StationSnapshot) -> None:
        """Write what differs from what is shown."""
        now = ua.DateTime.now(UTC)
        for row in NODES:
            await self._write(row, row.read(snapshot), StatusCodes.Good, now)

    async def lose_feed(self) -> None:
        """Say that nothing is known of the station any more."""
        await self._lose(StatusCodes.UncertainLastUsableValue)

    async def _lose(self, quality: int) -> None:
        now = ua.DateTime.now(UTC)
        for row in NODES:
            held, before = self._shown.get(row.name, (row.kind.empty, quality))
            if row.lost is not None:
                await self._write(row, row.lost, StatusCodes.Good, now)
            elif before == StatusCodes.Good or row.name not in self._shown:
                await self._write(row, held, quality, now)

    async def _write(self, row: StatusNode, value: Value, quality: int, now: ua.DateTime) -> None:
        if self._shown.get(row.name) == (value, quality):
            return
        self._shown[row.name] = (value, quality)
        await self._server.write_attribute_value(
            self._ids[row.name],
            ua.DataValue(_variant(row.kind, value), ua.StatusCode(ua.UInt32(quality)), now, ServerTimestamp=now),
        )


class _Builder:
    """Adds the rows, each below the objects that its name goes through."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._objects: dict[str, Node] = {}

    async def build(self) -> None:
        root = await self._server.nodes.objects.add_folder(ua.NodeId.from_string(node_id(_ROOT)), _name(_ROOT))
        self._objects[""] = root
        for row in NODES:
            parent, _, name = row.name.rpartition(".")
            await self._add(await self._object(parent), row, name)

    async def _object(self, name: str) -> Node:
        """The object of this name; "Latency.Total" lies in "Latency", "LastParts[0]" in "LastParts"."""
        if name not in self._objects:
            above, _, last = name.rpartition(".")
            if name.endswith("]"):
                above, last = name.partition("[")[0], name
            parent = await self._object(above)
            self._objects[name] = await parent.add_object(ua.NodeId.from_string(node_id(name)), _name(last))
        return self._objects[name]

    async def _add(self, parent: Node, row: StatusNode, name: str) -> None:
        first = _variant(row.kind, row.kind.empty)
        node: Any = await parent.add_variable(ua.NodeId.from_string(node_id(row.name)), _name(name), first)
        await node.write_attribute(
            AttributeIds.Description, ua.DataValue(ua.Variant(ua.LocalizedText(row.description)))
        )


def _name(name: str) -> ua.QualifiedName:
    return ua.QualifiedName(name, ua.UInt16(NAMESPACE_INDEX))


def _variant(kind: Kind, value: Value) -> ua.Variant:
    return ua.Variant(value, variant_type(kind), is_array=kind is Kind.STRINGS)
