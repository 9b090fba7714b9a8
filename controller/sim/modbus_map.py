"""Where the simulated PLC's programmer put each tag: typed in from docs/modbus-registers.md, as he would.

On purpose not the station's own layout: one mistake in it cannot hide on both sides.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from controller.sim.plc_tags import DeclaredTag, TagKind

PLC_AREA, STATION_AREA, PRIVATE_AREA = 0, 1000, 5000
"""First registers, counted from 0, of what the PLC writes, of what the station writes, and of what concerns neither
(ResultAckSeq, which only rings of depth 1 know)."""
TEXT_REGISTERS = 8

_SEQUENCE_HEAD = """TriggerSeq PlcClockMs SessionAck Enable ModeCeiling PlcEpoch FaultReset RecipeRequest
    RecipeRequestSeq EncoderNow GateSeq GateOutcome"""
_SEQUENCE_SLOT = "Seq PartId TrigClockMs RecipeId EncoderPos Check"
_SEQUENCE_STATION = """Heartbeat Online Ready Fallback SessionId ContractVersion Depth CaptureDoneSeq LineStopRequest
    AlertRequest TriggerAckSeq InFlight Mode Health Failsafe FaultCode RecipeActive RecipeHash RecipeAckSeq RecipeStatus
    MissedTriggers LateResults Overruns"""
_RESULT = """PartIdEcho EpochEcho SessionId Action Verdict Reason DefectCode Severity FindingCount Score LatencyUs Mode
    Check"""
_FOUR_PHASE_PLC = """Trigger ResultAck PlcClockMs Enable ModeCeiling PlcEpoch FaultReset RecipeRequest RecipeRequestSeq
    EncoderNow GateSeq GateOutcome TriggerId PartId TrigClockMs RecipeId EncoderPos"""
_FOUR_PHASE_STATION = """TriggerIdAck Heartbeat Online Ready Fallback SessionId ContractVersion CaptureDoneSeq
    LineStopRequest AlertRequest InFlight Mode Health Failsafe FaultCode RecipeActive RecipeHash RecipeAckSeq
    RecipeStatus MissedTriggers LateResults Overruns TriggerAck Busy ResultValid ResultToggle MissedTrigger"""

_SIZES = {TagKind.WORD: 2, TagKind.BIT: 1, TagKind.REAL: 2, TagKind.TEXT: TEXT_REGISTERS}


@dataclass(frozen=True, slots=True)
class Spot:
    """One tag's registers."""

    tag: DeclaredTag
    first: int
    size: int


def register_map(declared: Sequence[DeclaredTag]) -> dict[str, Spot]:
    """Every declared tag's spot by name, in address order."""
    tags = {tag.name: tag for tag in declared}
    sequence = "TriggerSeq" in tags
    slots = range(sum(name.endswith("].ResultSeq") for name in tags))
    if sequence:
        plc = [*_SEQUENCE_HEAD.split(), *(f"Trigger[{i}].{name}" for i in slots for name in _SEQUENCE_SLOT.split())]
        ring = (f"Result[{i}].{name}" for i in slots for name in (*_RESULT.split(), "ResultSeq"))
        station = [*_SEQUENCE_STATION.split(), *ring]
    else:
        plc = _FOUR_PHASE_PLC.split()
        station = [*_FOUR_PHASE_STATION.split(), *(f"Result.{name}" for name in (*_RESULT.split(), "TriggerId"))]
    private = [name for name in tags if name not in {*plc, *station}]
    return {
        spot.tag.name: spot
        for start, names in ((PLC_AREA, plc), (STATION_AREA, station), (PRIVATE_AREA, private))
        for spot in _spots(start, (tags[name] for name in names))
    }


def _spots(start: int, tags: Iterable[DeclaredTag]) -> Iterable[Spot]:
    for tag in tags:
        yield Spot(tag, start, _SIZES[tag.kind])
        start += _SIZES[tag.kind]


@dataclass(frozen=True, slots=True)
class Memory:
    """How this controller lays values out in its registers."""

    word_order: Literal["big", "little"] = "big"
    string_order: Literal["big", "little"] = "big"

    def to_registers(self, kind: TagKind, value: Any) -> list[int]:
        """The registers that hold a value."""
        match kind:
            case TagKind.BIT:
                return [1 if value else 0]
            case TagKind.TEXT:
                raw = value.encode("latin-1").ljust(2 * TEXT_REGISTERS, b"\0")
                return list(struct.unpack(f"{self._mark(self.string_order)}{TEXT_REGISTERS}H", raw))
            case TagKind.WORD | TagKind.REAL:
                raw = struct.pack(">i" if kind is TagKind.WORD else ">f", value)
                words = list(struct.unpack(">2H", raw))
                return words if self.word_order == "big" else words[::-1]

    def to_value(self, kind: TagKind, registers: Sequence[int]) -> Any:
        """The value that registers hold."""
        match kind:
            case TagKind.BIT:
                return registers[0] != 0
            case TagKind.TEXT:
                raw = struct.pack(f"{self._mark(self.string_order)}{TEXT_REGISTERS}H", *registers)
                return raw.split(b"\0")[0].decode("latin-1")
            case TagKind.WORD | TagKind.REAL:
                words = registers if self.word_order == "big" else registers[::-1]
                return struct.unpack(">i" if kind is TagKind.WORD else ">f", struct.pack(">2H", *words))[0]

    def _mark(self, order: Literal["big", "little"]) -> str:
        return ">" if order == "big" else "<"
