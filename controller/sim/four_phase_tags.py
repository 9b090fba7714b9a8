"""The simulated PLC's tags of the four-phase profile: the same role as `PlcTags`, one trigger and one result."""

from __future__ import annotations

from collections.abc import Callable

from controller.sim.plc_image import ResultBlock, StationImage, TriggerBlock
from controller.sim.plc_line import PlcOutputs
from controller.sim.plc_tags import EMPTY, Cell, DeclaredTag, TagKind, TagServer, UnservedCell

_WORDS = [
    "PlcClockMs",
    "EncoderNow",
    "ModeCeiling",
    "PlcEpoch",
    "RecipeRequest",
    "RecipeRequestSeq",
    "GateSeq",
    "GateOutcome",
    "TriggerId",
    "TrigClockMs",
    "RecipeId",
    "EncoderPos",
]
_BITS = ["Trigger", "ResultAck", "Enable", "FaultReset"]
_STATION_WORDS = [
    "Heartbeat",
    "Fallback",
    "SessionId",
    "ContractVersion",
    "CaptureDoneSeq",
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
    "TriggerIdAck",
]
_STATION_BITS = [
    "Online",
    "Ready",
    "LineStopRequest",
    "AlertRequest",
    "Failsafe",
    "TriggerAck",
    "Busy",
    "ResultValid",
    "ResultToggle",
    "MissedTrigger",
]
_RESULT = [
    "TriggerId",
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
"""In the order of `ResultBlock`."""


class FourPhaseTags:
    """The program's way to the tags.

    on_result: called within the client's write of ResultValid 1, with the block's copy. on_ack: within its write of
    TriggerAck 1, with TriggerIdAck and the SessionId that stands then.
    """

    def __init__(
        self,
        part_ids: TagKind,
        on_result: Callable[[ResultBlock], None],
        on_ack: Callable[[int, int], None] = lambda _seq, _session: None,
    ) -> None:
        self._on_result, self._on_ack = on_result, on_ack
        kinds = {"PartIdEcho": part_ids, "Score": TagKind.REAL}
        read_only = {**dict.fromkeys(_WORDS, TagKind.WORD), **dict.fromkeys(_BITS, TagKind.BIT), "PartId": part_ids}
        writable = {**dict.fromkeys(_STATION_WORDS, TagKind.WORD), **dict.fromkeys(_STATION_BITS, TagKind.BIT)}
        writable |= {f"Result.{name}": kinds.get(name, TagKind.WORD) for name in _RESULT}
        self.declared = [DeclaredTag(name, kind, False) for name, kind in read_only.items()]
        self.declared += [DeclaredTag(name, kind, True) for name, kind in writable.items()]
        self._cells: dict[str, Cell] = {}
        self._result: list[Cell] = []

    def bind(self, server: TagServer, private: frozenset[str] = frozenset()) -> None:
        """Take the tags of a server that is built. private: those that the program keeps for itself, served or not."""
        self._cells = {
            tag.name: UnservedCell(EMPTY[tag.kind]) if tag.name in private else server.cell(tag.name)
            for tag in self.declared
        }
        self._result = [self._cells[f"Result.{name}"] for name in _RESULT]

    def written(self, name: str) -> None:
        """The station wrote a tag."""
        cell = self._cells
        if name == "ResultValid" and cell[name].get():
            self._on_result(self._copy())
        elif name == "TriggerAck" and cell[name].get():
            self._on_ack(cell["TriggerIdAck"].get(), cell["SessionId"].get())

    def _copy(self) -> ResultBlock:
        return ResultBlock(*[cell.get() for cell in self._result])

    def image(self) -> StationImage:
        """Copy what the station wrote, as a PLC does at the start of its scan."""
        cell = self._cells
        valid = bool(cell["ResultValid"].get())
        return StationImage(
            heartbeat=cell["Heartbeat"].get(),
            online=cell["Online"].get(),
            ready=cell["Ready"].get(),
            fallback=cell["Fallback"].get(),
            session_id=cell["SessionId"].get(),
            line_stop_request=cell["LineStopRequest"].get(),
            recipe_ack_seq=cell["RecipeAckSeq"].get(),
            recipe_status=cell["RecipeStatus"].get(),
            results=[self._copy()] if valid else [],
            trigger_id_ack=cell["TriggerIdAck"].get(),
            trigger_ack=bool(cell["TriggerAck"].get()),
            result_valid=valid,
        )

    def write_clock(self, clock_ms: int) -> None:
        """Write PlcClockMs."""
        self._cells["PlcClockMs"].set(clock_ms)

    def write_slot(self, block: TriggerBlock, _check: int) -> None:
        """Write a trigger's fields; TriggerId and then Trigger come afterwards. There is no check word."""
        cell = self._cells
        cell["PartId"].set(block.part_id)
        cell["TrigClockMs"].set(block.trig_clock_ms)
        cell["RecipeId"].set(block.recipe_id)
        cell["EncoderPos"].set(block.encoder_pos)

    def write_trigger_seq(self, seq: int) -> None:
        """Write TriggerId; Trigger itself is one of the scan's outputs."""
        self._cells["TriggerId"].set(seq)

    def clear_rings(self) -> None:
        """There are none."""

    def write_outputs(self, outputs: PlcOutputs) -> None:
        """Write every tag of a scan but the clock, the trigger's fields and TriggerId."""
        cell = self._cells
        cell["EncoderNow"].set(outputs.encoder_now)
        cell["Enable"].set(outputs.enable)
        cell["ModeCeiling"].set(outputs.mode_ceiling)
        cell["PlcEpoch"].set(outputs.plc_epoch)
        cell["FaultReset"].set(outputs.fault_reset)
        cell["RecipeRequest"].set(outputs.recipe_request)
        cell["RecipeRequestSeq"].set(outputs.recipe_request_seq)
        cell["GateOutcome"].set(outputs.gate_outcome)
        cell["GateSeq"].set(outputs.gate_seq)
        cell["ResultAck"].set(outputs.result_ack)
        cell["Trigger"].set(outputs.trigger)
