"""The simulated PLC's tags in the words of its program, whatever the protocol that serves them.

`TagServer` is what a protocol must offer; one file each implements it. The names are listed here once more, apart from
the station's own table, so that one mistake cannot hide on both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Protocol

from controller.sim.plc_image import PartId, ResultBlock, StationImage, TriggerBlock, ring_slot
from controller.sim.plc_line import PlcOutputs
from controller.sim.plc_settings import TagDefect

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


class TagKind(Enum):
    """What a tag holds: a DINT, a BOOL, a REAL, a STRING."""

    WORD = "word"
    BIT = "bit"
    REAL = "real"
    TEXT = "text"


EMPTY: Mapping[TagKind, Any] = {TagKind.WORD: 0, TagKind.BIT: False, TagKind.REAL: 0.0, TagKind.TEXT: ""}
"""What a tag holds before anybody wrote it."""


@dataclass(frozen=True, slots=True)
class DeclaredTag:
    """One tag as the PLC's programmer creates it. writable: the station may write it; else it is read-only."""

    name: str
    kind: TagKind
    writable: bool


class Cell(Protocol):
    """One tag's value, read and written by the PLC's program without a detour through the server's services."""

    def get(self) -> Any:
        """The value; the kind's empty one where a client wrote none."""
        ...

    def set(self, value: Any) -> None:
        """Replace the value at once, for every client to see."""
        ...


class TagServer(Protocol):
    """Serves tags over one protocol. Event loop thread only.

    It is made with the tags and with `on_written`, which it calls with a tag's name within the client's write of that
    tag, after the value is in its cell, in the order in which the client wrote.
    """

    async def build(self) -> None:
        """Make the tags; nobody is served yet."""
        ...

    async def start(self) -> str:
        """Serve; the address under which a station reaches it."""
        ...

    async def stop(self) -> None:
        """Cut every connection and stop listening. Never raises."""
        ...

    async def run(self) -> None:
        """What must go on while it serves (telling subscribers, say); runs until cancelled."""
        ...

    def cell(self, name: str) -> Cell:
        """One tag."""
        ...


def declared_tags(depth: int, part_ids: TagKind) -> list[DeclaredTag]:
    """Every tag of the sequence profile, for rings of this depth. part_ids: WORD or TEXT."""
    read_only = {**dict.fromkeys(_HEAD_WORDS, TagKind.WORD), **dict.fromkeys(_HEAD_BITS, TagKind.BIT)}
    writable = {**dict.fromkeys(_STATION_WORDS, TagKind.WORD), **dict.fromkeys(_STATION_BITS, TagKind.BIT)}
    kinds = {"PartIdEcho": part_ids, "Score": TagKind.REAL}
    for slot in range(depth):
        read_only[f"Trigger[{slot}].PartId"] = part_ids
        read_only.update({f"Trigger[{slot}].{name}": TagKind.WORD for name in _TRIGGER_WORDS})
        writable.update({f"Result[{slot}].{name}": kinds.get(name, TagKind.WORD) for name in _RESULT_FIELDS})
    return [DeclaredTag(name, kind, False) for name, kind in read_only.items()] + [
        DeclaredTag(name, kind, True) for name, kind in writable.items()
    ]


def spoiled(declared: list[DeclaredTag], defects: Sequence[TagDefect]) -> list[DeclaredTag]:
    """The tags as a programmer made them who got some wrong. Raises KeyError for a defect of a tag that is none."""
    tags = {tag.name: tag for tag in declared}
    for defect in defects:
        tag = tags[defect.name]
        match defect.how:
            case "missing":
                del tags[defect.name]
            case "retyped":
                tags[tag.name] = replace(tag, kind=TagKind.TEXT if tag.kind is not TagKind.TEXT else TagKind.WORD)
            case "read-only":
                tags[tag.name] = replace(tag, writable=False)
    return list(tags.values())


class UnservedCell:
    """A tag's value that only the program knows."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def get(self) -> Any:
        return self._value

    def set(self, value: Any) -> None:
        self._value = value


class PlcTags:
    """The program's way to the tags of the sequence profile.

    on_result: called within the client's write of a ResultSeq, with the slot's copy. on_ack: within its write of
    TriggerAckSeq, with that and the SessionId that stands then. `written` is what the tag server must be made with.
    """

    def __init__(
        self,
        depth: int,
        part_ids: TagKind,
        on_result: Callable[[ResultBlock], None],
        on_ack: Callable[[int, int], None] = lambda _seq, _session: None,
    ) -> None:
        self._depth, self._on_result, self._on_ack = depth, on_result, on_ack
        self.declared = declared_tags(depth, part_ids)
        self._slots = {f"Result[{slot}].ResultSeq": slot for slot in range(depth)}
        self._cells: dict[str, Cell] = {}
        self._results: list[list[Cell]] = []

    def bind(self, server: TagServer, private: frozenset[str] = frozenset()) -> None:
        """Take the tags of a server that is built. private: those that the program keeps for itself, served or not."""
        self._cells = {
            tag.name: UnservedCell(EMPTY[tag.kind]) if tag.name in private else server.cell(tag.name)
            for tag in self.declared
        }
        self._results = [
            [self._cells[f"Result[{slot}].{name}"] for name in _RESULT_FIELDS] for slot in range(self._depth)
        ]

    def written(self, name: str) -> None:
        """The station wrote a tag."""
        if name in self._slots:
            self._on_result(self._copy(self._slots[name]))
        elif name == "TriggerAckSeq":
            self._on_ack(self._cells[name].get(), self._cells["SessionId"].get())

    def _copy(self, slot: int) -> ResultBlock:
        return ResultBlock(*[cell.get() for cell in self._results[slot]])

    def image(self) -> StationImage:
        """Copy what the station wrote, as a PLC does at the start of its scan."""
        cell = self._cells
        return StationImage(
            heartbeat=cell["Heartbeat"].get(),
            online=cell["Online"].get(),
            ready=cell["Ready"].get(),
            fallback=cell["Fallback"].get(),
            session_id=cell["SessionId"].get(),
            depth=cell["Depth"].get(),
            line_stop_request=cell["LineStopRequest"].get(),
            recipe_ack_seq=cell["RecipeAckSeq"].get(),
            recipe_status=cell["RecipeStatus"].get(),
            results=[self._copy(slot) for slot in range(self._depth) if self._results[slot][0].get()],
        )

    def write_clock(self, clock_ms: int) -> None:
        """Write PlcClockMs."""
        self._cells["PlcClockMs"].set(clock_ms)

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
            self._cells[slot + name].set(value)

    def write_trigger_seq(self, seq: int) -> None:
        """Write TriggerSeq: this is the trigger."""
        self._cells["TriggerSeq"].set(seq)

    def clear_rings(self) -> None:
        """Empty both rings."""
        for tag in self.declared:
            if tag.name.startswith(("Trigger[", "Result[")):
                self._cells[tag.name].set(EMPTY[tag.kind])

    def write_outputs(self, outputs: PlcOutputs) -> None:
        """Write every single tag of a scan but the clock and TriggerSeq."""
        cell = self._cells
        cell["EncoderNow"].set(outputs.encoder_now)
        cell["SessionAck"].set(outputs.session_ack)
        cell["Enable"].set(outputs.enable)
        cell["ModeCeiling"].set(outputs.mode_ceiling)
        cell["PlcEpoch"].set(outputs.plc_epoch)
        cell["FaultReset"].set(outputs.fault_reset)
        cell["RecipeRequest"].set(outputs.recipe_request)
        cell["RecipeRequestSeq"].set(outputs.recipe_request_seq)
        cell["ResultAckSeq"].set(outputs.result_ack_seq)
        cell["GateOutcome"].set(outputs.gate_outcome)
        cell["GateSeq"].set(outputs.gate_seq)
