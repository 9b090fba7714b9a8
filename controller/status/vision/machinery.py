"""The station among the machines: OPC 40001-1 (Machinery) identification, item state and mode, NE 107 health of DI."""

from __future__ import annotations

from importlib import metadata

from asyncua import ua
from asyncua.server.server import Server
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes

from controller.status.messages import StationSnapshot
from controller.status.vision.instances import Place, instantiate
from controller.status.vision.machine import State
from controller.status.vision.nodesets import DI, MACHINERY
from controller.status.vision.system import NAME as VISION_SYSTEM
from controller.status.vision.system import station_node
from controller.status.vision.values import Values

NAME = "Machine"
_MACHINES, _IDENTIFICATION, _ITEM_STATE, _OPERATION_MODE = 1001, 1012, 1002, 1008
_HEALTH_TYPE = 6244
_OPTIONAL = frozenset({"Model", "SoftwareRevision", "CurrentState.Number"})

ITEM_STATE = {
    None: ("NotAvailable", 5005, 0),
    State.PREOPERATIONAL: ("OutOfService", 5004, 1),
    State.HALTED: ("OutOfService", 5004, 1),
    State.ERROR: ("OutOfService", 5004, 1),
    State.INITIALIZED: ("NotExecuting", 5007, 2),
    State.READY: ("NotExecuting", 5007, 2),
    State.SINGLE_EXECUTION: ("Executing", 5006, 3),
    State.CONTINUOUS_EXECUTION: ("Executing", 5006, 3),
}
"""MachineryItemState by the vision system's state; None: nothing is known. Name, number of its node, StateNumber."""
OPERATION_MODE = {
    None: ("None", 5024, 0),
    State.HALTED: ("Maintenance", 5025, 1),
    State.ERROR: ("Maintenance", 5025, 1),
    State.PREOPERATIONAL: ("Setup", 5027, 2),
}
"""MachineryOperationMode likewise; in every other state Processing."""
_PROCESSING = ("Processing", 5026, 3)


async def build_machine(server: Server) -> None:
    """Add the machine below Machines, with the vision system as a part of it."""
    di, machinery = await server.get_namespace_index(DI), await server.get_namespace_index(MACHINERY)
    own = station_node(NAME)
    machines = server.get_node(ua.NodeId(ua.Int32(_MACHINES), ua.Int16(machinery)))
    machine = await machines.add_object(own, ua.QualifiedName("Linegate", ua.UInt16(own.NamespaceIndex)))
    for number, name, namespace in (
        (_IDENTIFICATION, "Identification", di),
        (_ITEM_STATE, "MachineryItemState", machinery),
        (_OPERATION_MODE, "MachineryOperationMode", machinery),
    ):
        browse_name = ua.QualifiedName(name, ua.UInt16(namespace))
        place = Place(own, ObjectIds.HasAddIn, station_node(f"{NAME}.{name}"), browse_name)
        await instantiate(server, ua.NodeId(ua.Int32(number), ua.Int16(machinery)), place, _OPTIONAL)
    await machine.add_variable(
        station_node(f"{NAME}.DeviceHealth"),
        ua.QualifiedName("DeviceHealth", ua.UInt16(di)),
        ua.Variant(0, ua.VariantType.Int32),
        datatype=ua.NodeId(ua.Int32(_HEALTH_TYPE), ua.Int16(di)),
    )
    await machine.add_reference(station_node(VISION_SYSTEM), ua.NodeId(ua.Int32(ObjectIds.HasComponent)))


class Machine:
    """Shows the station to whoever knows machines and nothing of vision. One event loop's thread."""

    def __init__(self, server: Server, station: str) -> None:
        self._server, self._station = server, station
        self._machinery = 0
        self._values = Values(server, NAME)

    async def build(self) -> None:
        """Write who it is."""
        self._machinery = await self._server.get_namespace_index(MACHINERY)
        for name, value, kind in (
            ("Manufacturer", ua.LocalizedText("Linegate"), ua.VariantType.LocalizedText),
            ("Model", ua.LocalizedText("Linegate inspection controller"), ua.VariantType.LocalizedText),
            ("SerialNumber", self._station, ua.VariantType.String),
            ("ProductInstanceUri", f"urn:linegate:{self._station}", ua.VariantType.String),
            ("SoftwareRevision", metadata.version("linegate"), ua.VariantType.String),
        ):
            await self._values.write(f"Identification.{name}", value, kind)
        await self.show(None, None)

    async def show(self, state: State | None, snapshot: StationSnapshot | None) -> None:
        """Write what changed; without a snapshot nothing is known."""
        if snapshot is None:
            state = None
        mode = OPERATION_MODE.get(state, _PROCESSING)
        for machine, (name, number, state_number) in (
            ("MachineryItemState", ITEM_STATE[state]),
            ("MachineryOperationMode", mode),
        ):
            node_id = ua.NodeId(ua.Int32(number), ua.Int16(self._machinery))
            await self._values.write(f"{machine}.CurrentState", ua.LocalizedText(name), ua.VariantType.LocalizedText)
            await self._values.write(f"{machine}.CurrentState.Id", node_id, ua.VariantType.NodeId)
            await self._values.write(f"{machine}.CurrentState.Number", state_number, ua.VariantType.UInt32)
        quality = StatusCodes.Good if snapshot is not None else StatusCodes.UncertainLastUsableValue
        health = snapshot.health if snapshot is not None else 0
        await self._values.write("DeviceHealth", health, ua.VariantType.Int32, quality)
