"""The station as a PackML unit (OPC 30050): state, mode, speed and counts, on the imported model.

Wishes have methods of their own: those that PackML's type demands are there, and nobody may call them.
"""

from __future__ import annotations

from typing import Any

from asyncua import ua
from asyncua.server.server import Server
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes

from controller.status.messages import StationSnapshot
from controller.status.packml import PackState, Speed, UnitMode, pack_state, unit_mode
from controller.status.vision.instances import Place, instantiate
from controller.status.vision.nodesets import PACK_ML
from controller.status.vision.structures import make
from controller.status.vision.system import station_node
from controller.status.vision.values import Values

NAME = "PackML"
_UNITS, _UNIT_TYPE, _MODES = 72, 6, 11
_OPTIONAL = frozenset(
    ("Admin.AccTimeSinceReset", "Admin.ProdDefectiveCount", "Admin.ProdProcessedCount", "PackMLVersion", "TagID")
)
_BASE = "BaseStateMachine"
_MACHINE = f"{_BASE}.MachineState"
_EXECUTE = f"{_MACHINE}.ExecuteState"
_CLEARED, _RUNNING = ("Cleared", 71), ("Running", 75)
_NODES = {
    PackState.ABORTED: 62,
    PackState.STOPPED: 53,
    PackState.RESETTING: 27,
    PackState.IDLE: 28,
    PackState.SUSPENDED: 31,
    PackState.EXECUTE: 36,
}
"""Numbers of the state nodes in the model: what CurrentState.Id points at."""
_INNERMOST = {_BASE: (PackState.ABORTED,), _MACHINE: (PackState.STOPPED,)}
_FASTEST = 600.0
"""Parts a minute that the station is made for."""


def active(state: PackState) -> dict[str, tuple[str, int] | None]:
    """Name and node of each nested machine's state; None: it is in none, since the one around it is not in its own."""
    own = (state.browse_name, _NODES[state])
    if state in _INNERMOST[_BASE]:
        return {_BASE: own, _MACHINE: None, _EXECUTE: None}
    if state in _INNERMOST[_MACHINE]:
        return {_BASE: _CLEARED, _MACHINE: own, _EXECUTE: None}
    return {_BASE: _CLEARED, _MACHINE: _RUNNING, _EXECUTE: own}


async def build_packml(server: Server) -> None:
    """Add the unit below PackMLObjects."""
    namespace = await server.get_namespace_index(PACK_ML)
    own = station_node(NAME)
    units = ua.NodeId(ua.Int32(_UNITS), ua.Int16(namespace))
    place = Place(units, ObjectIds.Organizes, own, ua.QualifiedName("Linegate", ua.UInt16(own.NamespaceIndex)))
    await instantiate(server, ua.NodeId(ua.Int32(_UNIT_TYPE), ua.Int16(namespace)), place, _OPTIONAL)


class PackMl:
    """Shows the station to whoever knows packaging machines. One event loop's thread."""

    def __init__(self, server: Server, station: str) -> None:
        self._server, self._station = server, station
        self._values, self._speed = Values(server, NAME), Speed()
        self._namespace = 0

    async def build(self) -> None:
        """Write who it is and what it can be in."""
        self._namespace = await self._server.get_namespace_index(PACK_ML)
        write = self._values.write
        await write("TagID", self._station, ua.VariantType.String)
        await write("PackMLVersion", "2015", ua.VariantType.String)
        await write("Status.UnitSupportedModes", self._node(_MODES), ua.VariantType.NodeId)
        reach = ua.Range(Low=0.0, High=_FASTEST)
        for name in ("MachSpeed", "CurMachSpeed"):
            await write(f"Status.{name}.EURange", reach, ua.VariantType.ExtensionObject)
        for machine, numbers in (
            (_BASE, (_NODES[PackState.ABORTED], _CLEARED[1])),
            (_MACHINE, (_NODES[PackState.STOPPED], _RUNNING[1])),
            (_EXECUTE, tuple(n for s, n in _NODES.items() if s not in (PackState.ABORTED, PackState.STOPPED))),
        ):
            nodes = [self._node(number) for number in numbers]
            await write(f"{machine}.AvailableStates", nodes, ua.VariantType.NodeId, is_array=True)
            await write(f"{machine}.AvailableTransitions", [], ua.VariantType.NodeId, is_array=True)
        await self.show(None)

    async def show(self, snapshot: StationSnapshot | None) -> None:
        """Write what changed; without a snapshot nothing is known."""
        if snapshot is None:
            await self._lose()
            return
        state, speed = pack_state(snapshot), self._speed.of(snapshot)
        for machine, found in active(state).items():
            await self._show_machine(machine, found)
        write = self._values.write
        await write("Status.UnitModeCurrent", int(unit_mode(snapshot)), ua.VariantType.Int32)
        await write("Status.CurMachSpeed", round(speed, 1), ua.VariantType.Float)
        # The PLC alone says how fast parts come.
        await write("Status.MachSpeed", 0.0, ua.VariantType.Float)
        await write("Status.EquipmentBlocked", False, ua.VariantType.Boolean)
        await write("Status.EquipmentStarved", state is PackState.EXECUTE and speed == 0.0, ua.VariantType.Boolean)
        await write("Admin.AccTimeSinceReset", _int32(int(snapshot.uptime_s)), ua.VariantType.Int32)
        for name, count in (("ProdProcessedCount", snapshot.answered), ("ProdDefectiveCount", snapshot.ng)):
            counted = make(
                "PackMLCountDataType",
                ID=_int32(snapshot.recipe_id),
                Name=snapshot.recipe_product,
                Count=_int32(count),
                AccCount=_int32(count),
            )
            await write(f"Admin.{name}", [counted], ua.VariantType.ExtensionObject, is_array=True)

    async def _show_machine(self, machine: str, found: tuple[str, int] | None) -> None:
        write, current = self._values.write, f"{machine}.CurrentState"
        if found is None:
            await write(current, None, ua.VariantType.Null, StatusCodes.BadStateNotActive)
            await write(f"{current}.Id", None, ua.VariantType.Null, StatusCodes.BadStateNotActive)
            return
        await write(current, ua.LocalizedText(found[0]), ua.VariantType.LocalizedText)
        await write(f"{current}.Id", self._node(found[1]), ua.VariantType.NodeId)

    async def _lose(self) -> None:
        """Nothing is known of the station."""
        await self._values.write("Status.UnitModeCurrent", int(UnitMode.INVALID), ua.VariantType.Int32)
        for machine in (_BASE, _MACHINE, _EXECUTE):
            for name in (f"{machine}.CurrentState", f"{machine}.CurrentState.Id"):
                await self._values.write(name, None, ua.VariantType.Null, StatusCodes.BadNoCommunication)

    def _node(self, number: int) -> ua.NodeId:
        return ua.NodeId(ua.Int32(number), ua.Int16(self._namespace))


def _int32(value: Any) -> int:
    """A count as PackML has it: 31 bits, then from 0 again."""
    return int(value) & 0x7FFFFFFF
