"""A random line on which the blocks and the simulated PLC run side by side and must agree in every scan.

Both get the same sensors, buttons and station tags.
"""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

from controller.sim.conveyor import to_dint
from controller.sim.gate import Passage, Source
from controller.sim.plc_image import (
    MOVES_GATE,
    GateAction,
    ModeWord,
    ResultBlock,
    StationImage,
    next_seq,
    ring_slot,
)
from controller.sim.plc_line import PlcOutputs, PlcSetup, Sensors
from controller.sim.sequence_program import SequenceProgram
from tests.plc_blocks.blocks import BlockPlc
from tests.plc_blocks.random_line import Knobs, RandomLine
from tests.plc_blocks.random_station import DEPTH, RandomStation, Told

_HINDRANCES = {
    1: "not enabled",
    2: "no session",
    3: "station lost",
    4: "depth differs",
    5: "not ready",
    6: "line stopped",
}


class Disagreement(AssertionError):
    """Block and simulated PLC differ. Says in what, and what led to it."""


class Duel:
    """One trace: `step` plays one scan on both and compares."""

    def __init__(self, names: dict[str, Any], chance: Random, knobs: Knobs) -> None:
        self._chance, self._knobs = chance, knobs
        self._plc = BlockPlc(names, "FB_LinegateStation", "LG_Tags")
        self._plc.station.TriggerSeq, self._plc.station.PlcEpoch = knobs.trigger_seq, knobs.plc_epoch
        self._epoch, self._seq = knobs.plc_epoch, knobs.trigger_seq
        self._line, self._station = RandomLine(chance, knobs), RandomStation(chance)
        self._open: dict[int, Told] = {}
        self._faulty: set[int] = set()
        self._counts: Counter[str] = Counter()
        self._power_on()

    @property
    def seen(self) -> Counter[str]:
        """What happened in the trace, and how often."""
        return self._station.seen

    def step(self) -> None:
        """One scan. Raises Disagreement."""
        chance = self._chance
        if not self._starting and chance.random() < 0.004:
            self._plc.power_cycle(forgets=chance.random() < 0.5)
            self._station.note("power cycle")
            self._power_on()
        on_belt = list(self._simulator.register)
        self._line.step(self._simulator.line_stopped, len(on_belt), self._leaving, self._starting)
        self._station.step(self._plc.tags, self._line.numbers)
        _show(self._plc.tags, self._station.image)
        outputs = self._simulated()
        self._scan_blocks()
        self._account(outputs)
        self._counts["Missing"] += sum(part.passed and part.seq != 0 and part.action is None for part in on_belt)
        self._compare(outputs)

    def _power_on(self) -> None:
        self._epoch = next_seq(self._epoch)
        knobs = self._knobs
        self._simulator = SequenceProgram(
            PlcSetup(
                depth=DEPTH,
                plc_epoch=self._epoch,
                trigger_seq=self._seq,
                recipe_id=self._line.product,
                required_mode=ModeWord(knobs.required_mode),
                mode_ceiling=ModeWord(self._line.ceiling),
                gate_distance=knobs.distance,
                gate_window=knobs.window,
                gate_locked=knobs.locked,
                verify_ms=knobs.verify_ms,
                resting=GateAction(knobs.resting),
                auto_acknowledge_ms=None,
            )
        )
        self._starting = True
        self._open.clear()
        self._counts.clear()
        self._leaving = 0

    def _simulated(self) -> PlcOutputs:
        program, line = self._simulator, self._line
        program.switches.mode_ceiling = ModeWord(line.ceiling)
        program.switches.wish_enable(line.enable)
        if self._starting:
            program.switches.recipe_id = program.switches.recipe_request = line.product
            self._starting = False
        if "reset" in line.pressed:
            program.switches.pulse_fault_reset(500)
        if "wish" in line.pressed:
            program.switches.request_recipe(line.product)
        if "acknowledge" in line.pressed:
            program.acknowledge_stop()
        seen = Sensors((line.part_id,) if "eye" in line.pressed else (), int("sensor" in line.pressed))
        return program.scan(self._station.image, line.now_ms, line.position, seen)

    def _scan_blocks(self) -> None:
        knobs, line = self._knobs, self._line
        common = {"ClockMs": to_dint(line.now_ms), "Encoder": line.position}
        gate = {
            "Distance": knobs.distance,
            "Window": knobs.window,
            "VerifyMs": knobs.verify_ms,
            "PulseMs": 60,
            "Locked": knobs.locked,
            "Ejected": line.sensor,
            "Acknowledge": line.acknowledge,
        }
        station = {
            "PartSeen": line.eye,
            "PartId": line.part_id,
            "EnableWish": line.enable,
            "ModeCeiling": line.ceiling,
            "RequiredMode": knobs.required_mode,
            "Resting": knobs.resting,
            "FaultReset": line.reset,
            "RecipeWanted": line.product,
            "RequestRecipe": line.wish,
        }
        self._plc.scan(common | gate, common | station)

    def _account(self, outputs: PlcOutputs) -> None:
        """Count what the simulated PLC did, in the words of the block's counters."""
        if outputs.clear_rings:
            self._open.clear()
        counts = self._counts
        for block in self._station.image.results:
            told = self._open.get(block.result_seq)
            done = any(one is block for one in (*outputs.latched, *outputs.late))
            if told is not None and not done and told.seq not in self._faulty:
                self._faulty.add(told.seq)
                counts["Wrong"] += 1
            if done:
                del self._open[block.result_seq]
        if outputs.clear_rings:
            self._station.clear_rings()
        counts["Answered"] += len(outputs.latched)
        counts["Late"] += len(outputs.late)
        counts["NotReady"] += len(outputs.untriggered)
        counts["Triggers"] += len(outputs.triggers)
        for passage in outputs.passages:
            counts[_count_of(passage)] += 1
            self.seen[passage.source.value] += 1
        self._leaving += outputs.gate_moves - sum(
            p.outcome in MOVES_GATE or p.source is Source.UNVERIFIED for p in outputs.passages
        )
        for _, reason in outputs.untriggered:
            self.seen[reason] += 1
        self.seen["late"] += len(outputs.late)
        self.seen["latched"] += len(outputs.latched)
        self.seen["moves"] += outputs.gate_moves
        for block in outputs.triggers:
            self._seq = block.seq
            other, seen = self._line.name(self._line.numbers + 1), self._line.numbers
            told = Told(block.seq, block.part_id, self._epoch, outputs.session_ack, seen, other)
            self._station.told.append(told)
            self._open[block.seq] = told
            self._faulty.discard(block.seq)

    def _compare(self, outputs: PlcOutputs) -> None:
        plc, tags = self._plc, self._plc.tags
        self._same("PlcClockMs", tags.PlcClockMs, outputs.clock_ms)
        self._same("EncoderNow", tags.EncoderNow, outputs.encoder_now)
        self._same("SessionAck", tags.SessionAck, outputs.session_ack)
        self._same("Enable", tags.Enable, outputs.enable)
        self._same("ModeCeiling", tags.ModeCeiling, outputs.mode_ceiling)
        self._same("PlcEpoch", tags.PlcEpoch, outputs.plc_epoch)
        self._same("FaultReset", tags.FaultReset, outputs.fault_reset)
        self._same("RecipeRequest", tags.RecipeRequest, outputs.recipe_request)
        self._same("RecipeRequestSeq", tags.RecipeRequestSeq, outputs.recipe_request_seq)
        self._same("TriggerSeq", tags.TriggerSeq, self._seq)
        self._same("GateSeq", tags.GateSeq, outputs.gate_seq)
        self._same("GateOutcome", tags.GateOutcome, outputs.gate_outcome)
        self._same("gate movements", plc.gate.Moves, outputs.gate_moves)
        self._same("line stop", plc.line.Stopped, outputs.line_stopped)
        for block in outputs.triggers:
            slot = tags.Trigger[ring_slot(block.seq, DEPTH)]
            written = (slot.Seq, slot.PartId, slot.TrigClockMs, slot.RecipeId, slot.EncoderPos, slot.Check)
            asked = (block.seq, block.part_id, block.trig_clock_ms, block.recipe_id, block.encoder_pos, block.check)
            self._same("trigger slot", written, asked)
        for _, reason in outputs.untriggered:
            self._same("hindrance", _HINDRANCES.get(plc.station.Hindrance), reason)
        for slot, block in zip(tags.Result, self._station.image.results, strict=True):
            self._same("result slot's number", slot.ResultSeq, block.result_seq)
        held = [plc.line.Parts[(plc.line.Oldest + n) % 64] for n in range(plc.line.Count)]
        self._same(
            "shift register",
            [(p.PartId, p.Seq, p.EnteredAt, p.Fallback, p.Action if p.Answered else None) for p in held],
            [(p.part_id, p.seq, p.entered_at, p.fallback, p.action) for p in self._simulator.register],
        )
        for name, _ in plc.line.Counts.fields:
            self._same(f"count {name}", getattr(plc.line.Counts, name), self._counts[name])

    def _same(self, what: str, block: object, simulator: object) -> None:
        if block != simulator:
            story = "; ".join(self._station.history)
            raise Disagreement(f"{what}: block {block!r}, simulated PLC {simulator!r}; before: {story}")


def _count_of(passage: Passage) -> str:
    if passage.source is Source.LOCKED:
        return "Held"
    if passage.source is Source.UNVERIFIED:
        return "Unverified"
    if passage.outcome not in MOVES_GATE:
        return "Passed"
    return "Diverted" if passage.outcome is GateAction.DIVERT else "Rejected"


def _show(tags: Any, image: StationImage) -> None:
    """Put what the station writes into the blocks' tags."""
    tags.Heartbeat, tags.Online, tags.Ready = image.heartbeat, image.online, image.ready
    tags.Fallback, tags.Depth, tags.SessionId = image.fallback, image.depth, image.session_id
    tags.LineStopRequest, tags.RecipeAckSeq = image.line_stop_request, image.recipe_ack_seq
    tags.RecipeStatus = image.recipe_status
    for slot, block in zip(tags.Result, image.results, strict=True):
        _write(slot, block)


def _write(slot: Any, block: ResultBlock) -> None:
    slot.PartIdEcho, slot.EpochEcho, slot.SessionId = block.part_id_echo, block.epoch_echo, block.session_id
    slot.Action, slot.Verdict, slot.Reason = block.action, block.verdict, block.reason
    slot.DefectCode, slot.Severity, slot.FindingCount = block.defect_code, block.severity, block.finding_count
    slot.Score, slot.LatencyUs, slot.Mode = block.score, block.latency_us, block.mode
    slot.Check, slot.ResultSeq = block.check, block.result_seq
