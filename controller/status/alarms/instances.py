"""The nodes of the alarms: the first is made as the library does it, the others are copies of it."""

from __future__ import annotations

from asyncua import ua
from asyncua.common.instantiate_util import instantiate
from asyncua.common.node import Node
from asyncua.server.server import Server
from asyncua.ua.object_ids import ObjectIds

from controller.status.address_space import NAMESPACE_INDEX, node_id
from controller.status.alarms.copying import copy_instance
from controller.status.alarms.table import ALARMS, Alarm

ALARM_TYPE = ua.NodeId(ua.Int32(ObjectIds.OffNormalAlarmType))
CONDITION_CLASS, CONDITION_CLASS_NAME = (
    ua.NodeId(ua.Int32(ObjectIds.ProcessConditionClassType)),
    "ProcessConditionClass",
)
_FOLDER = "Alarms"


def alarm_node(alarm: Alarm, below: str = "") -> ua.NodeId:
    """Node id of an alarm's instance, or of a part of it."""
    return ua.NodeId.from_string(node_id(f"{_FOLDER}.{alarm.id}{below}"))


async def build_alarms(server: Server) -> None:
    """Add them to a server that is initialised."""
    folder = await server.nodes.objects.add_folder(
        ua.NodeId.from_string(node_id(_FOLDER)), ua.QualifiedName(_FOLDER, ua.UInt16(NAMESPACE_INDEX))
    )
    first, *others = ALARMS
    await _add(server, folder, first)
    for alarm in others:
        copy_instance(server.iserver.aspace, folder.nodeid, alarm_node(first), alarm_node(alarm))
    for alarm in ALARMS:
        for name, value, kind in (
            ("EventType", ALARM_TYPE, ua.VariantType.NodeId),
            ("BranchId", ua.NodeId(), ua.VariantType.NodeId),
            ("ConditionClassId", CONDITION_CLASS, ua.VariantType.NodeId),
            ("ConditionClassName", ua.LocalizedText(CONDITION_CLASS_NAME), ua.VariantType.LocalizedText),
            # What is watched is no node, and there is none for its normal state.
            ("InputNode", ua.NodeId(), ua.VariantType.NodeId),
            ("NormalState", ua.NodeId(), ua.VariantType.NodeId),
            ("MaxTimeShelved", float(alarm.shelf_min * 60_000), ua.VariantType.Double),
            ("ShelvingState.UnshelveTime", 0.0, ua.VariantType.Double),
        ):
            held = ua.DataValue(ua.Variant(value, kind))
            await server.write_attribute_value(alarm_node(alarm, f".{name}"), held)


async def _add(server: Server, folder: Node, alarm: Alarm) -> None:
    name = ua.QualifiedName(alarm.id, ua.UInt16(NAMESPACE_INDEX))
    kind = server.get_node(ALARM_TYPE)
    (node, *_) = await instantiate(folder, kind, alarm_node(alarm), name, instantiate_optional=False)
    # The optional parts that this server has; with all of them each alarm would be a hundred nodes.
    confirmed = await node.add_variable(
        alarm_node(alarm, ".ConfirmedState"), "0:ConfirmedState", ua.LocalizedText(""), ua.VariantType.LocalizedText
    )
    await confirmed.add_property(alarm_node(alarm, ".ConfirmedState.Id"), "0:Id", True)
    shelved = server.get_node(ua.NodeId(ua.Int32(ObjectIds.ShelvedStateMachineType)))
    await instantiate(node, shelved, alarm_node(alarm, ".ShelvingState"), "0:ShelvingState", instantiate_optional=False)
    await node.add_property(alarm_node(alarm, ".MaxTimeShelved"), "0:MaxTimeShelved", 0.0)
    confirm = server.get_node(ua.NodeId(ua.Int32(ObjectIds.AcknowledgeableConditionType_Confirm)))
    await node.add_reference(confirm, ObjectIds.HasComponent)
