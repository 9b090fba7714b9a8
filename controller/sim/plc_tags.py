"""The simulated PLC's tags in the words of its program, whatever the protocol that serves them.

`TagServer` is what a protocol must offer; one file each implements it. `PlcTags` is the program's way to its tags, with
what both profiles have in common. The names are listed here once more, apart from the station's own table, so that one
mistake cannot hide on both sides.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Protocol

from controller.sim.plc_image import ResultBlock, StationImage, TriggerBlock
from controller.sim.plc_line import PlcOutputs
from controller.sim.plc_settings import TagDefect

_PLC_WORDS = [
    "PlcClockMs",
    "EncoderNow",
    "RecipeRequest",
    "RecipeRequestSeq",
    "ModeCeiling",
    "PlcEpoch",
    "GateSeq",
    "GateOutcome",
]
_PLC_BITS = ["Enable", "FaultReset"]
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
]
_STATION_BITS = ["Online", "Ready", "LineStopRequest", "AlertRequest", "Failsafe"]
_RESULT_FIELDS = [
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
"""In the order of `ResultBlock`, after the number of the part."""


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


def single_tags(words: Sequence[str], bits: Sequence[str], *, written_by_station: bool) -> dict[str, TagKind]:
    """The tags that both profiles have, and a profile's own."""
    if written_by_station:
        words, bits = [*_STATION_WORDS, *words], [*_STATION_BITS, *bits]
    else:
        words, bits = [*_PLC_WORDS, *words], [*_PLC_BITS, *bits]
    return {**dict.fromkeys(words, TagKind.WORD), **dict.fromkeys(bits, TagKind.BIT)}


def result_tags(block: str, number: str, part_ids: TagKind) -> dict[str, TagKind]:
    """One result block, in the order of `ResultBlock`. block: how its tags begin; number: what names its part."""
    kinds = {"PartIdEcho": part_ids, "Score": TagKind.REAL}
    return {f"{block}.{name}": kinds.get(name, TagKind.WORD) for name in (number, *_RESULT_FIELDS)}


def declare(read_only: Mapping[str, TagKind], writable: Mapping[str, TagKind]) -> list[DeclaredTag]:
    """The tags as the PLC's programmer creates them."""
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


OnResult = Callable[[ResultBlock], None]
OnAck = Callable[[int, int], None]


class PlcTags(ABC):
    """The program's way to its tags.

    on_result: called within the client's write that completes a result, with the block's copy. on_ack: within its
    acknowledgement of a trigger, with the part's number and the SessionId that stands then.
    """

    def __init__(self, declared: list[DeclaredTag], blocks: Sequence[list[str]], on_result: OnResult, on_ack: OnAck):
        self.declared = declared
        self._blocks, self._on_result, self._on_ack = blocks, on_result, on_ack
        self._cells: dict[str, Cell] = {}
        self._results: list[list[Cell]] = []

    def bind(self, server: TagServer, private: frozenset[str] = frozenset()) -> None:
        """Take the tags of a server that is built. private: those that the program keeps for itself, served or not."""
        self._cells = {
            tag.name: UnservedCell(EMPTY[tag.kind]) if tag.name in private else server.cell(tag.name)
            for tag in self.declared
        }
        self._results = [[self._cells[name] for name in block] for block in self._blocks]

    @abstractmethod
    def written(self, name: str) -> None:
        """The station wrote a tag."""

    def copy_result(self, block: int) -> ResultBlock:
        """Copy one result block."""
        return ResultBlock(*[cell.get() for cell in self._results[block]])

    def image(self) -> StationImage:
        """Copy what the station wrote, as a PLC does at the start of its scan."""
        cell = self._cells
        return StationImage(
            heartbeat=cell["Heartbeat"].get(),
            online=cell["Online"].get(),
            ready=cell["Ready"].get(),
            fallback=cell["Fallback"].get(),
            session_id=cell["SessionId"].get(),
            line_stop_request=cell["LineStopRequest"].get(),
            recipe_ack_seq=cell["RecipeAckSeq"].get(),
            recipe_status=cell["RecipeStatus"].get(),
            **self._image_of_profile(),
        )

    @abstractmethod
    def _image_of_profile(self) -> dict[str, Any]:
        """The image's fields that only this profile has, and its results."""

    def write_clock(self, clock_ms: int) -> None:
        """Write PlcClockMs."""
        self._cells["PlcClockMs"].set(clock_ms)

    @abstractmethod
    def write_slot(self, block: TriggerBlock, check: int) -> None:
        """Write a trigger's fields; its number comes afterwards, on its own."""

    @abstractmethod
    def write_trigger_seq(self, seq: int) -> None:
        """Write the number of the newest trigger."""

    @abstractmethod
    def clear_rings(self) -> None:
        """Empty what a new session must not find."""

    def write_outputs(self, outputs: PlcOutputs) -> None:
        """Write every single tag of a scan but the clock and the trigger's number."""
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
