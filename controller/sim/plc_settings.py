"""How a simulated PLC is set up: plain values that travel to its process."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Literal

from controller.sim.conveyor import Encoder
from controller.sim.light_barrier import BarrierSettings
from controller.sim.plc_image import GateAction, ModeWord, PartId
from controller.sim.plc_line import PlcSetup

NAMESPACE = "urn:linegate:softplc"
NAMESPACE_INDEX = 2
DEPTHS = frozenset({1, 2, 4, 8, 16, 32, 64})

Protocol = Literal["opcua", "ethernet-ip", "modbus", "modbus-server"]
"""How the tags are served; each has a tag server of its own. modbus-server: the PLC is the master."""

Profile = Literal["sequence", "four-phase"]
"""How part and answer change hands."""


@dataclass(frozen=True, slots=True)
class TagDefect:
    """One tag that the PLC's programmer got wrong: left out, of another type, or not writable for the station."""

    name: str
    how: Literal["missing", "retyped", "read-only"]


def node_id(tag: str) -> str:
    """The OPC UA node id of a contract tag, for example "ns=2;s=Linegate.TriggerSeq"."""
    return f"ns={NAMESPACE_INDEX};s=Linegate.{tag}"


def free_port(host: str) -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True, slots=True)
class SoftPlcSettings:
    """One simulated PLC and its line.

    port: 0 takes a free one. rate_ppm: parts per minute, 0 for parts by command only. parts: how many the line brings.
    start: the line runs as soon as the station can take parts, or on the command. belt: name of the shared belt that is
    told when the line starts. barrier: of cameras that the line itself triggers.
    answer_limit_ms: from the trigger, what comes later counts as late even before the gate.
    clock_offset_ms: where PlcClockMs starts, to try its wrap. eject_ms: from the flap's movement to its sensor.
    closed_loop: the next part comes as soon as the last one was answered, or after answer_limit_ms (100 ms where None);
    rate_ppm is then only the highest rate. defects: tags that are not as the contract asks.
    phase_ms, trigger_pulse_ms: of the four-phase profile, as `PlcSetup` says.
    plc_epoch must differ from that of the PLC's last start; trigger_seq is where its numbers go on.
    """

    port: int = 0
    host: str = "127.0.0.1"
    protocol: Protocol = "opcua"
    profile: Profile = "sequence"
    depth: int = 8
    scan_ms: float = 5.0
    rate_ppm: float = 120.0
    jitter_ms: float = 0.0
    seed: int = 1
    parts: int = 0
    closed_loop: bool = False
    start: Literal["ready", "command"] = "ready"
    part_id_kind: Literal["number", "text"] = "number"
    belt: str | None = None
    barrier: BarrierSettings | None = None
    gate_delay_ms: float = 400.0
    gate_window_ms: float = 80.0
    gate_locked: bool = False
    eject_ms: float = 20.0
    verify_ms: int = 150
    answer_limit_ms: float | None = None
    encoder: Encoder = Encoder()
    recipe_id: int = 1
    mode_ceiling: ModeWord = ModeWord.AUTO_REJECT
    required_mode: ModeWord = ModeWord.SHADOW
    resting: GateAction = GateAction.REJECT
    auto_acknowledge_ms: int | None = 2000
    plc_epoch: int = 1
    trigger_seq: int = 0
    clock_offset_ms: int = 0
    live_every_ms: float = 250.0
    defects: tuple[TagDefect, ...] = ()
    phase_ms: int = 500
    trigger_pulse_ms: int | None = None

    def __post_init__(self) -> None:
        if self.depth not in DEPTHS:
            raise ValueError(f"ring depth {self.depth} must be a power of two from 1 to 64")
        if self.scan_ms <= 0 or self.gate_delay_ms <= 0:
            raise ValueError("scan_ms and gate_delay_ms must be positive")

    def part_id(self, number: int) -> PartId:
        """The PLC's name for the part of this number."""
        return number if self.part_id_kind == "number" else f"P{number:06d}"

    def setup(self, plc_epoch: int, trigger_seq: int) -> PlcSetup:
        """The program's own settings at one of its starts."""
        return PlcSetup(
            depth=self.depth,
            plc_epoch=plc_epoch,
            trigger_seq=trigger_seq,
            recipe_id=self.recipe_id,
            required_mode=self.required_mode,
            mode_ceiling=self.mode_ceiling,
            gate_distance=self.encoder.counts(self.gate_delay_ms),
            gate_window=self.encoder.counts(self.gate_window_ms),
            gate_locked=self.gate_locked,
            verify_ms=self.verify_ms,
            resting=self.resting,
            auto_acknowledge_ms=self.auto_acknowledge_ms,
            phase_ms=self.phase_ms,
            trigger_pulse_ms=self.trigger_pulse_ms,
        )
