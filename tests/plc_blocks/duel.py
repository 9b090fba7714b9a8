"""A random line on which the blocks and the simulated PLC run side by side and must agree in every scan.

Both get the same sensors, buttons and station tags. The station is one that does everything wrong now and then:
silence, restarts, torn slots, answers for other parts, runs and sessions, modes too low, answers after the gate.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from controller.sim.conveyor import to_dint
from controller.sim.gate import Passage, Source
from controller.sim.plc_image import (
    MOVES_GATE,
    GateAction,
    ModeWord,
    PartId,
    ResultBlock,
    StationImage,
    next_seq,
    result_check,
    ring_slot,
)
from controller.sim.plc_program import PlcOutputs, PlcProgram, PlcSetup, Sensors
from tests.plc_blocks.blocks import BlockPlc

DEPTH = 8
_TORN = 0x555555
_REMEMBERED = 60
"""How many parts back an answer may speak of: the block remembers 64 parts, the simulated PLC 256."""

_MOST_ON_BELT = 40
"""The block's shift register holds 64 parts, the simulated PLC's any number."""

_HINDRANCES = {
    1: "not enabled",
    2: "no session",
    3: "station lost",
    4: "depth differs",
    5: "not ready",
    6: "line stopped",
}
_FAULTS = ("torn", "part", "epoch", "session", "mode", "seq", "action")


class Disagreement(AssertionError):
    """Block and simulated PLC differ. Says in what, and what led to it."""


@dataclass(frozen=True, slots=True)
class Knobs:
    """What is set up once per trace."""

    clock_ms: int
    encoder: int
    trigger_seq: int
    plc_epoch: int
    required_mode: int
    locked: bool
    text_ids: bool
    distance: int = 4000
    window: int = 800
    verify_ms: int = 100
    resting: int = 3


def drawn_knobs(chance: Random, text_ids: bool = False) -> Knobs:
    """A set-up; half of them close to a wrap of clock, encoder or number."""
    return Knobs(
        clock_ms=chance.choice((0, 5, 2**31 - 900, 2**32 - 900, 7 * 2**32 + 2**31 - 50)),
        encoder=chance.choice((0, 12345, 2**31 - 6000, -3000, -(2**31))),
        trigger_seq=chance.choice((0, 41, 2**30 - 3, 2**30)),
        plc_epoch=chance.choice((0, 6, 2**30 - 2, 2**30)),
        required_mode=chance.choice((1, 1, 2, 3)),
        locked=chance.random() < 0.1,
        text_ids=text_ids,
    )


@dataclass(slots=True)
class Told:
    """A part that was announced: what its answer has to echo."""

    seq: int
    part_id: PartId
    epoch: int
    session: int
    number: int
    """How many parts had come into view by then."""


class Duel:
    """One trace: `step` plays one scan on both and compares."""

    def __init__(self, names: dict[str, Any], chance: Random, knobs: Knobs) -> None:
        self._chance, self._knobs = chance, knobs
        self._plc = BlockPlc(names, "FB_LinegateStation", "LG_Tags")
        self._plc.station.TriggerSeq, self._plc.station.PlcEpoch = knobs.trigger_seq, knobs.plc_epoch
        self._epoch, self._seq = knobs.plc_epoch, knobs.trigger_seq
        self._now_ms, self._position = knobs.clock_ms, knobs.encoder
        self._image = StationImage(results=(ResultBlock(),) * DEPTH, depth=DEPTH)
        self._silent_scans = 0
        self._eye = self._eye_before = self._sensor = self._sensor_before = False
        self._enable, self._ceiling = True, 3
        self._reset = self._reset_before = self._wish = self._wish_before = False
        self._acknowledge = self._acknowledge_before = False
        self._product, self._numbers = 7, 0
        self._part_id: PartId = self._name(0)
        self._leaving = 0
        self._told: deque[Told] = deque(maxlen=_REMEMBERED)
        self._open: dict[int, Told] = {}
        self._faulty: set[int] = set()
        self._counts: Counter[str] = Counter()
        self._history: deque[str] = deque(maxlen=30)
        self.seen: Counter[str] = Counter()
        """What happened in the trace, so that a test can tell that it happened at all."""
        self._power_on()

    def step(self) -> None:
        """One scan. Raises Disagreement."""
        chance = self._chance
        if not self._starting and chance.random() < 0.004:
            self._plc.power_cycle(forgets=chance.random() < 0.5)
            self._note("power cycle")
            self._power_on()
        self._belt_and_buttons()
        self._station()
        image = self._image
        self._plc.tags.Heartbeat = image.heartbeat
        for name in ("Online", "Ready", "Fallback", "Depth"):
            setattr(self._plc.tags, name, getattr(image, name.lower()))
        self._plc.tags.SessionId, self._plc.tags.LineStopRequest = image.session_id, image.line_stop_request
        self._plc.tags.RecipeAckSeq, self._plc.tags.RecipeStatus = image.recipe_ack_seq, image.recipe_status
        for slot, block in zip(self._plc.tags.Result, image.results, strict=True):
            _write(slot, block)
        outputs = self._simulated()
        self._scan_blocks()
        self._account(outputs)
        self._compare(outputs)

    def _power_on(self) -> None:
        self._epoch = next_seq(self._epoch)
        knobs = self._knobs
        self._simulator = PlcProgram(
            PlcSetup(
                depth=DEPTH,
                plc_epoch=self._epoch,
                trigger_seq=self._seq,
                recipe_id=self._product,
                required_mode=ModeWord(knobs.required_mode),
                mode_ceiling=ModeWord(self._ceiling),
                gate_distance=knobs.distance,
                gate_window=knobs.window,
                gate_locked=knobs.locked,
                verify_ms=knobs.verify_ms,
                resting=GateAction(knobs.resting),
                auto_acknowledge_ms=None,
            )
        )
        self._eye_before = self._sensor_before = False
        # A button that is held while the PLC starts is not pressed.
        self._reset_before = self._wish_before = self._acknowledge_before = True
        self._held = {"reset": self._reset, "wish": self._wish, "acknowledge": self._acknowledge}
        self._starting = True
        self._open.clear()
        self._counts.clear()
        self._leaving = 0

    def _belt_and_buttons(self) -> None:
        chance = self._chance
        self._now_ms += chance.choice((1, 5, 10, 10, 20, 50)) if chance.random() < 0.99 else chance.choice((600, 4000))
        if not self._simulator.line_stopped or chance.random() < 0.2:
            leap = chance.random() < 0.005
            self._position = to_dint(self._position + (5000 if leap else chance.choice((-60, 0, 100, 200, 300, 700))))
        full = len(self._simulator.register) >= _MOST_ON_BELT
        self._eye = not full and not self._eye and chance.random() < 0.5
        if self._eye and not self._eye_before:
            self._numbers += 1
            self._part_id = self._name(self._numbers)
        self._sensor = chance.random() < (0.6 if self._leaving else 0.02)
        self._enable = self._enable != (chance.random() < (0.004 if self._enable else 0.2))
        if chance.random() < 0.01:
            self._ceiling = chance.choice((0, 1, 2, 3, 3, 3))
        self._reset = chance.random() < 0.02 or (self._reset and chance.random() < 0.7)
        if not self._wish and chance.random() < 0.02:
            self._product = chance.randrange(1, 9)
            self._wish = True
        else:
            self._wish = self._wish and chance.random() < 0.7
        self._acknowledge = chance.random() < (0.3 if self._simulator.line_stopped else 0.01)

    def _name(self, number: int) -> PartId:
        if self._knobs.text_ids:
            return f"A-{number}" * (1 + number % 3)
        return number * (-77_777_777 if number % 5 == 0 else 1) % 2**31 if number % 7 else -number

    def _station(self) -> None:
        """What the station does to its tags before this scan."""
        chance, image = self._chance, self._image
        if self._silent_scans:
            self._silent_scans -= 1
        else:
            image = replace(image, heartbeat=next_seq(image.heartbeat))
            if chance.random() < 0.01:
                self._silent_scans = chance.choice((3, 30, 60))
                self._note("heartbeat stops")
        if chance.random() < (0.01 if image.session_id else 0.5) or (
            image.session_id != self._plc.tags.SessionAck and chance.random() < 0.05
        ):
            self._note("new session")
            image = replace(image, session_id=chance.randrange(1, 2**30) if chance.random() < 0.95 else 0)
        image = replace(image, ready=chance.random() < (0.99 if image.ready else 0.3))
        image = replace(image, online=chance.random() < (0.995 if image.online else 0.3))
        if chance.random() < 0.03:
            image = replace(image, fallback=chance.choice((0, 1, 2, 3, 3, 4, 9, -1)))
        if chance.random() < 0.004 or image.depth not in (0, DEPTH):
            image = replace(image, depth=chance.choice((0, DEPTH, DEPTH, 16)))
        image = replace(image, line_stop_request=chance.random() < (0.7 if image.line_stop_request else 0.004))
        if chance.random() < 0.2:
            image = replace(
                image, recipe_ack_seq=self._plc.tags.RecipeRequestSeq, recipe_status=chance.choice((0, 1, 1, 2))
            )
        self._image = image
        while self._told and self._numbers - self._told[0].number >= _REMEMBERED:
            self._told.popleft()
        for _ in range(chance.choice((0, 1, 1, 2)) if self._told else 0):
            recent = chance.randrange(14) if chance.random() < 0.8 else chance.randrange(_REMEMBERED)
            self._answer(self._told[-1 - recent % len(self._told)])
        for place, block in enumerate(self._image.results):
            if block.result_seq and not block.intact and chance.random() < 0.3:
                self._put(place, replace(block, check=result_check(block)))

    def _answer(self, told: Told) -> None:
        chance = self._chance
        block = ResultBlock(
            result_seq=told.seq,
            part_id_echo=told.part_id,
            epoch_echo=told.epoch,
            session_id=told.session,
            action=chance.choice((1, 1, 1, 2, 3, 3, 4, 0)) if chance.random() < 0.97 else 9,
            verdict=chance.choice((1, 2, 3, 4)),
            reason=chance.randrange(10),
            defect_code=chance.randrange(30_000),
            severity=chance.randrange(4),
            finding_count=chance.randrange(100),
            score=chance.random(),
            latency_us=chance.randrange(2**31),
            mode=chance.choice((3, 3, 3, 3, 2, 1)),
        )
        fault = chance.choice(_FAULTS) if chance.random() < 0.25 else ""
        match fault:
            case "part":
                block = replace(block, part_id_echo=self._name(self._numbers + 1))
            case "epoch":
                block = replace(block, epoch_echo=told.epoch - 1)
            case "session":
                block = replace(block, session_id=told.session + 1)
            case "mode":
                block = replace(block, mode=chance.choice((0, 1)))
            case "seq":
                block = replace(block, result_seq=chance.choice((next_seq(told.seq), -told.seq, 2**30 + 7)))
            case "action":
                block = replace(block, action=chance.choice((-1, 5, 2**30)))
            case _:
                pass
        block = replace(block, check=result_check(block) ^ (_TORN if fault == "torn" else 0))
        self.seen[f"answer {fault or 'good'}"] += 1
        self._note(f"answer {told.seq} {fault} action {block.action} mode {block.mode}")
        self._put(ring_slot(told.seq, DEPTH), block)

    def _put(self, place: int, block: ResultBlock) -> None:
        results = list(self._image.results)
        results[place] = block
        self._image = replace(self._image, results=tuple(results))

    def _simulated(self) -> PlcOutputs:
        program = self._simulator
        program.switches.mode_ceiling = ModeWord(self._ceiling)
        program.switches.wish_enable(self._enable)
        if self._starting:
            self._reset_before, self._wish_before, self._acknowledge_before = self._reset, self._wish, self._acknowledge
            program.switches.recipe_id = program.switches.recipe_request = self._product
            self._starting = False
        if self._reset and not self._reset_before:
            program.switches.pulse_fault_reset(500)
        if self._wish and not self._wish_before:
            program.switches.request_recipe(self._product)
        if self._acknowledge and not self._acknowledge_before:
            program.acknowledge_stop()
        self._reset_before, self._wish_before, self._acknowledge_before = self._reset, self._wish, self._acknowledge
        parts = (self._part_id,) if self._eye and not self._eye_before else ()
        ejected = int(self._sensor and not self._sensor_before)
        self._eye_before, self._sensor_before = self._eye, self._sensor
        return program.scan(self._image, self._now_ms, self._position, Sensors(parts, ejected))

    def _scan_blocks(self) -> None:
        knobs = self._knobs
        common = {"ClockMs": to_dint(self._now_ms), "Encoder": self._position}
        gate = {
            "Distance": knobs.distance,
            "Window": knobs.window,
            "VerifyMs": knobs.verify_ms,
            "PulseMs": 60,
            "Locked": knobs.locked,
            "Ejected": self._sensor,
            "Acknowledge": self._acknowledge,
        }
        station = {
            "PartSeen": self._eye,
            "PartId": self._part_id,
            "EnableWish": self._enable,
            "ModeCeiling": self._ceiling,
            "RequiredMode": knobs.required_mode,
            "Resting": knobs.resting,
            "FaultReset": self._reset,
            "RecipeWanted": self._product,
            "RequestRecipe": self._wish,
        }
        self._plc.scan(common | gate, common | station)

    def _account(self, outputs: PlcOutputs) -> None:
        """Count what the simulated PLC did, in the words of the block's counters."""
        if outputs.clear_rings:
            self._open.clear()
        counts = self._counts
        for block in self._image.results:
            told = self._open.get(block.result_seq)
            done = any(one is block for one in (*outputs.latched, *outputs.late))
            if told is not None and not done and told.seq not in self._faulty:
                self._faulty.add(told.seq)
                counts["Wrong"] += 1
            if done:
                del self._open[block.result_seq]
        if outputs.clear_rings:
            self._image = replace(
                self._image, results=tuple(replace(block, result_seq=0, check=0) for block in self._image.results)
            )
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
            told = Told(block.seq, block.part_id, self._epoch, outputs.session_ack, self._numbers)
            self._told.append(told)
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
        for slot, block in zip(tags.Result, self._image.results, strict=True):
            self._same("result slot's number", slot.ResultSeq, block.result_seq)
        held = [plc.line.Parts[(plc.line.Oldest + n) % 64] for n in range(plc.line.Count)]
        self._same(
            "shift register",
            [(p.PartId, p.Seq, p.EnteredAt, p.Fallback, p.Action if p.Answered else None) for p in held],
            [(p.part_id, p.seq, p.entered_at, p.fallback, p.action) for p in self._simulator.register],
        )
        for name, _ in plc.line.Counts.fields:
            if name != "Missing":
                self._same(f"count {name}", getattr(plc.line.Counts, name), self._counts[name])

    def _same(self, what: str, block: object, simulator: object) -> None:
        if block != simulator:
            story = "; ".join(self._history)
            raise Disagreement(f"{what}: block {block!r}, simulated PLC {simulator!r}; before: {story}")

    def _note(self, what: str) -> None:
        self.seen[what.partition(" action")[0] if what[:6] != "answer" else "answers written"] += 1
        self._history.append(f"{self._now_ms} {what}")


def _count_of(passage: Passage) -> str:
    if passage.source is Source.LOCKED:
        return "Held"
    if passage.source is Source.UNVERIFIED:
        return "Unverified"
    if passage.outcome not in MOVES_GATE:
        return "Passed"
    return "Diverted" if passage.outcome is GateAction.DIVERT else "Rejected"


def _write(slot: Any, block: ResultBlock) -> None:
    slot.PartIdEcho, slot.EpochEcho, slot.SessionId = block.part_id_echo, block.epoch_echo, block.session_id
    slot.Action, slot.Verdict, slot.Reason = block.action, block.verdict, block.reason
    slot.DefectCode, slot.Severity, slot.FindingCount = block.defect_code, block.severity, block.finding_count
    slot.Score, slot.LatencyUs, slot.Mode = block.score, block.latency_us, block.mode
    slot.Check, slot.ResultSeq = block.check, block.result_seq
