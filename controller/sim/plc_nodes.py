"""The simulated PLC's tags as OPC UA nodes, with a fast way in and out for the program that owns them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from asyncua import ua
from asyncua.server.address_space import AttributeValue, NodeData
from asyncua.server.server import Server
from asyncua.ua.attribute_ids import AttributeIds

from controller.sim.plc_image import PartId, ResultBlock, StationImage, TriggerBlock, ring_slot
from controller.sim.plc_program import PlcOutputs
from controller.sim.plc_settings import NAMESPACE, NAMESPACE_INDEX, node_id

_HEAD_WORDS = [
    "PlcClockMs",
    "EncoderNow",
    "SessionAck",
    "TriggerSeq",
    "RecipeRequest",
    "RecipeRequestSeq",
    "ResultAckSeq",
    "ModeCeiling",
    "PlcEpoch",
    "GateSeq",
    "GateOutcome",
]
_HEAD_BITS = ["Enable", "FaultReset"]
_TRIGGER_WORDS = ["Seq", "TrigClockMs", "RecipeId", "Check", "EncoderPos"]
_STATION_WORDS = [
    "Heartbeat",
    "Fallback",
    "SessionId",
    "ContractVersion",
    "Depth",
    "CaptureDoneSeq",
    "TriggerAckSeq",
    "InFlight",
    "Mode",
    "Health",
    "FaultCode",
    "RecipeActive",
    "RecipeHash",
    "RecipeAckSeq",
    "RecipeStatus",
    "MissedTriggers",
    "LateResults",
    "Overruns",
]
_STATION_BITS = ["Online", "Ready", "LineStopRequest", "AlertRequest", "Failsafe"]
_RESULT_FIELDS = [
    "ResultSeq",
    "PartIdEcho",
    "EpochEcho",
    "SessionId",
    "Action",
    "Verdict",
    "Reason",
    "DefectCode",
    "Severity",
    "FindingCount",
    "Score",
    "LatencyUs",
    "Mode",
    "Check",
]
_EMPTY: dict[ua.VariantType, Any] = {
    ua.VariantType.Int32: 0,
    ua.VariantType.Boolean: False,
    ua.VariantType.Float: 0.0,
    ua.VariantType.String: "",
}

Notice = tuple[Callable[..., Any], int, ua.DataValue]


class Tag:
    """One variable, read and written without a detour through the server's services. Event loop thread only."""

    __slots__ = ("_cell", "_kind", "_notices")

    def __init__(self, cell: AttributeValue, kind: ua.VariantType, notices: asyncio.Queue[Notice]) -> None:
        self._cell, self._kind, self._notices = cell, kind, notices

    def get(self) -> Any:
        """The value; the type's empty one where a client wrote a null."""
        held = self._cell.value
        value = None if held is None or held.Value is None else held.Value.Value
        return _EMPTY[self._kind] if value is None else value

    def set(self, value: Any) -> None:
        """Replace the value at once; subscribers hear of it from `PlcNodes.notify`."""
        if value == self.get():
            return
        held = ua.DataValue(ua.Variant(value, self._kind))
        self._cell.value = held
        for handle, callback in self._cell.datachange_callbacks.items():
            self._notices.put_nowait((callback, handle, held))

    def clear(self) -> None:
        """Write the type's empty value."""
        self.set(_EMPTY[self._kind])


class PlcNodes:
    """Every tag of the contract.

    on_result: called within the client's write of a ResultSeq, with the slot's copy. on_ack: within its write of
    TriggerAckSeq, with that and the SessionId that stands then.
    """

    def __init__(
        self,
        depth: int,
        part_ids: ua.VariantType,
        on_result: Callable[[ResultBlock], None],
        on_ack: Callable[[int, int], None] = lambda _seq, _session: None,
    ) -> None:
        self._depth, self._part_ids, self._on_result, self._on_ack = depth, part_ids, on_result, on_ack
        self._tags: dict[str, Tag] = {}
        self._notices: asyncio.Queue[Notice] = asyncio.Queue()
        self._results: list[list[Tag]] = []

    async def build(self, server: Server) -> None:
        """Add the nodes to a server that is not started yet."""
        await server.register_namespace(NAMESPACE)
        root = ua.NodeId.from_string(f"ns={NAMESPACE_INDEX};s=Linegate")
        folder = await server.nodes.objects.add_folder(root, "Linegate")
        word, bit = ua.VariantType.Int32, ua.VariantType.Boolean
        read_only = {**dict.fromkeys(_HEAD_WORDS, word), **dict.fromkeys(_HEAD_BITS, bit)}
        writable = {**dict.fromkeys(_STATION_WORDS, word), **dict.fromkeys(_STATION_BITS, bit)}
        kinds = {"PartIdEcho": self._part_ids, "Score": ua.VariantType.Float}
        for slot in range(self._depth):
            read_only[f"Trigger[{slot}].PartId"] = self._part_ids
            read_only.update({f"Trigger[{slot}].{name}": word for name in _TRIGGER_WORDS})
            writable.update({f"Result[{slot}].{name}": kinds.get(name, word) for name in _RESULT_FIELDS})
        for name, kind in read_only.items():
            await self._add(server, folder, name, kind)
        for name, kind in writable.items():
            await (await self._add(server, folder, name, kind)).set_writable()
        for slot in range(self._depth):
            self._results.append([self._tags[f"Result[{slot}].{name}"] for name in _RESULT_FIELDS])
            server.set_attribute_value_setter(
                ua.NodeId.from_string(node_id(f"Result[{slot}].ResultSeq")), self._result_setter(slot)
            )

        ack = ua.NodeId.from_string(node_id("TriggerAckSeq"))
        server.set_attribute_value_setter(ack, self._acknowledged)

    def _acknowledged(self, node: NodeData, attribute: AttributeIds, value: ua.DataValue) -> None:
        node.attributes[attribute].value = value
        self._on_ack(self._tags["TriggerAckSeq"].get(), self._tags["SessionId"].get())

    async def _add(self, server: Server, folder: Any, name: str, kind: ua.VariantType) -> Any:
        node = await folder.add_variable(ua.NodeId.from_string(node_id(name)), name, _EMPTY[kind], kind)
        cell = server.iserver.aspace[node.nodeid].attributes[AttributeIds.Value]
        self._tags[name] = Tag(cell, kind, self._notices)
        return node

    def _result_setter(self, slot: int) -> Callable[[NodeData, AttributeIds, ua.DataValue], None]:
        def written(node: NodeData, attribute: AttributeIds, value: ua.DataValue) -> None:
            node.attributes[attribute].value = value
            self._on_result(self._copy(slot))

        return written

    def _copy(self, slot: int) -> ResultBlock:
        return ResultBlock(*[tag.get() for tag in self._results[slot]])

    def image(self) -> StationImage:
        """Copy what the station wrote, as a PLC does at the start of its scan."""
        tag = self._tags
        return StationImage(
            heartbeat=tag["Heartbeat"].get(),
            online=tag["Online"].get(),
            ready=tag["Ready"].get(),
            fallback=tag["Fallback"].get(),
            session_id=tag["SessionId"].get(),
            depth=tag["Depth"].get(),
            line_stop_request=tag["LineStopRequest"].get(),
            recipe_ack_seq=tag["RecipeAckSeq"].get(),
            recipe_status=tag["RecipeStatus"].get(),
            results=[self._copy(slot) for slot in range(self._depth) if self._results[slot][0].get()],
        )

    def write_clock(self, clock_ms: int) -> None:
        """Write PlcClockMs."""
        self._tags["PlcClockMs"].set(clock_ms)

    def write_slot(self, block: TriggerBlock, check: int) -> None:
        """Write a trigger's slot; its TriggerSeq comes afterwards, on its own."""
        slot = f"Trigger[{ring_slot(block.seq, self._depth)}]."
        values: dict[str, PartId] = {
            "Seq": block.seq,
            "PartId": block.part_id,
            "TrigClockMs": block.trig_clock_ms,
            "RecipeId": block.recipe_id,
            "EncoderPos": block.encoder_pos,
            "Check": check,
        }
        for name, value in values.items():
            self._tags[slot + name].set(value)

    def write_trigger_seq(self, seq: int) -> None:
        """Write TriggerSeq: this is the trigger."""
        self._tags["TriggerSeq"].set(seq)

    def clear_rings(self) -> None:
        """Empty both rings."""
        for name, tag in self._tags.items():
            if name.startswith(("Trigger[", "Result[")):
                tag.clear()

    def write_outputs(self, outputs: PlcOutputs) -> None:
        """Write every single tag of a scan but the clock and TriggerSeq."""
        tag = self._tags
        tag["EncoderNow"].set(outputs.encoder_now)
        tag["SessionAck"].set(outputs.session_ack)
        tag["Enable"].set(outputs.enable)
        tag["ModeCeiling"].set(outputs.mode_ceiling)
        tag["PlcEpoch"].set(outputs.plc_epoch)
        tag["FaultReset"].set(outputs.fault_reset)
        tag["RecipeRequest"].set(outputs.recipe_request)
        tag["RecipeRequestSeq"].set(outputs.recipe_request_seq)
        tag["ResultAckSeq"].set(outputs.result_ack_seq)
        tag["GateOutcome"].set(outputs.gate_outcome)
        tag["GateSeq"].set(outputs.gate_seq)

    async def notify(self) -> None:
        """Tell subscribers of changes, in the order they were made; runs as long as the server does."""
        while True:
            callback, handle, value = await self._notices.get()
            await callback(handle, value)
