"""What the simulated PLC sees and writes: its process image, in the words of the PLC contract.

A second implementation on purpose: nothing here is shared with the station's own handshake, so that one mistake
cannot hide on both sides. Only the contract (docs/plc-contract.md) is common.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

PartId = int | str
LAST_SEQ = 1 << 30
NO_ANSWER = 0


class GateAction(IntEnum):
    """What the contract's Action and Fallback ask, and what GateOutcome reports."""

    NONE = 0
    PASS = 1
    DIVERT = 2
    REJECT = 3
    STOP = 4


MOVES_GATE = frozenset({GateAction.DIVERT, GateAction.REJECT, GateAction.STOP})


class ModeWord(IntEnum):
    """The contract's Mode and ModeCeiling."""

    INVALID = 0
    SHADOW = 1
    ALERT = 2
    AUTO_REJECT = 3


@dataclass(frozen=True, slots=True)
class TriggerBlock:
    """One slot of the trigger ring as the PLC writes it."""

    seq: int
    part_id: PartId
    trig_clock_ms: int
    recipe_id: int
    encoder_pos: int
    check: int


@dataclass(frozen=True, slots=True)
class ResultBlock:
    """A copy of one slot of the result ring. Nothing in it is to be believed before `intact`."""

    result_seq: int = 0
    part_id_echo: PartId = 0
    epoch_echo: int = 0
    session_id: int = 0
    action: int = 0
    verdict: int = 0
    reason: int = 0
    defect_code: int = 0
    severity: int = 0
    finding_count: int = 0
    score: float = 0.0
    latency_us: int = 0
    mode: int = 0
    check: int = 0

    @property
    def intact(self) -> bool:
        """Whether the copy's check word fits the copy's fields."""
        return self.check == result_check(self)


@dataclass(frozen=True, slots=True)
class StationImage:
    """The tags that Linegate writes, copied at the start of a scan. The last three are of the four-phase profile."""

    heartbeat: int = 0
    online: bool = False
    ready: bool = False
    fallback: int = 0
    session_id: int = 0
    depth: int = 0
    line_stop_request: bool = False
    recipe_ack_seq: int = 0
    recipe_status: int = 0
    results: Sequence[ResultBlock] = ()
    trigger_id_ack: int = 0
    trigger_ack: bool = False
    result_valid: bool = False


def next_seq(seq: int) -> int:
    """The number after this one: 1 to 2^30, then 1 again."""
    return seq + 1 if 0 <= seq < LAST_SEQ else 1


def ring_slot(seq: int, depth: int) -> int:
    """Where a number's block lies in a ring whose depth is a power of two."""
    return (seq - 1) & (depth - 1)


def trigger_check(seq: int, part_id: PartId, trig_clock_ms: int, recipe_id: int, encoder_pos: int) -> int:
    """Check word over a trigger slot's fields, in the contract's order."""
    return _fold((seq, part_id, trig_clock_ms, recipe_id, encoder_pos))


def result_check(block: ResultBlock) -> int:
    """Check word over a result slot's fields, in the contract's order; Score has no part in it."""
    return _fold(
        (
            block.result_seq,
            block.part_id_echo,
            block.epoch_echo,
            block.session_id,
            block.action,
            block.verdict,
            block.reason,
            block.defect_code,
            block.severity,
            block.finding_count,
            block.latency_us,
            block.mode,
        )
    )


def _fold(fields: Sequence[PartId]) -> int:
    """Polynomial sum of the fields' 16-bit halves, high half first, kept to 24 bits: as a ladder program would."""
    halves: list[int] = []
    for field in fields:
        if isinstance(field, str):
            halves.extend(ord(letter) % 0x10000 for letter in field)
        else:
            halves.extend(struct.unpack(">HH", struct.pack(">I", field % 0x1_0000_0000)))
    total = 29
    for half in halves:
        total = (total * 31 + half) % 0x100_0000
    return total
