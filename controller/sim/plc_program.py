"""The simulated PLC's program: one scan from input image to output image.

Written from the PLC contract alone, as a controls engineer would write it, and independent of the station's handshake.
Pure but for its own memory: time, belt position, sensors and tags come in with each scan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from controller.sim.conveyor import to_dint
from controller.sim.gate import Passage, RejectGate, ShiftRegister, Source, Tracked
from controller.sim.plc_image import (
    NO_ANSWER,
    GateAction,
    ModeWord,
    PartId,
    ResultBlock,
    StationImage,
    TriggerBlock,
    next_seq,
    trigger_check,
)
from controller.sim.plc_switches import PlcSwitches

HEARTBEAT_LIMIT_MS = 500
"""Contract: Heartbeat unchanged for this long means that Linegate is lost."""

_REMEMBERED = 256
"""Parts past the gate whose answers are still recognised as late."""


@dataclass(frozen=True, slots=True)
class PlcSetup:
    """What is downloaded with the program.

    gate_distance, gate_window: encoder counts. resting: what the gate does with a part before any station ever told
    its Fallback. auto_acknowledge_ms: a latched line stop acknowledges itself after this time; None leaves it to a
    person. trigger_seq: the number the PLC starts from (retained memory); plc_epoch: differs after every start.
    """

    depth: int = 8
    plc_epoch: int = 1
    trigger_seq: int = 0
    recipe_id: int = 1
    required_mode: ModeWord = ModeWord.SHADOW
    mode_ceiling: ModeWord = ModeWord.AUTO_REJECT
    gate_distance: int = 4000
    gate_window: int = 800
    gate_locked: bool = False
    verify_ms: int = 100
    resting: GateAction = GateAction.REJECT
    auto_acknowledge_ms: int | None = 2000
    enable_low_ms: int = 150


@dataclass(frozen=True, slots=True)
class Sensors:
    """What the PLC's own inputs saw since the last scan.

    parts: parts that came into view, oldest first. ejected: parts that passed the sensor behind the gate. impatient:
    trigger even though Linegate is not Ready (a program that breaks the contract; for tests of the station).
    """

    parts: tuple[PartId, ...] = ()
    ejected: int = 0
    impatient: bool = False


NOTHING_SEEN = Sensors()


@dataclass(frozen=True, slots=True)
class PlcOutputs:
    """The tags after a scan, and what the scan did, for the PLC's own tally.

    triggers: slots to write, each before its own TriggerSeq. clear_rings: empty the rings before SessionAck is written.
    """

    clock_ms: int
    encoder_now: int
    session_ack: int
    enable: bool
    mode_ceiling: int
    plc_epoch: int
    fault_reset: bool
    recipe_request: int
    recipe_request_seq: int
    result_ack_seq: int
    gate_seq: int
    gate_outcome: int
    clear_rings: bool
    triggers: tuple[TriggerBlock, ...]
    untriggered: tuple[tuple[PartId, str], ...]
    latched: tuple[ResultBlock, ...]
    late: tuple[ResultBlock, ...]
    passages: tuple[Passage, ...]
    gate_moves: int
    line_stopped: bool


class PlcProgram:
    """Session, trigger ring, answers, gate and line stop of one PLC, from its first scan to its next restart."""

    def __init__(self, setup: PlcSetup) -> None:
        self._setup = setup
        self.switches = PlcSwitches(setup.recipe_id, setup.mode_ceiling, setup.enable_low_ms)
        self.trigger_seq = setup.trigger_seq
        self.hindrance = "no session"
        self.register = ShiftRegister(setup.gate_distance, setup.gate_window)
        self._gate = RejectGate(setup.verify_ms, setup.gate_locked)
        self._first_scan = True
        self._refused_session = 0
        self._session = 0
        self._had_session = False
        self._heartbeat: int | None = None
        self._beat_at_ms: int | None = None
        self._waiting: dict[int, Tracked] = {}
        self._result_ack_seq = 0
        self._reports: list[Passage] = []
        self._gate_seq = 0
        self._gate_outcome = 0
        self._stop_requested = False
        self._stopped_at_ms: int | None = None

    @property
    def idle(self) -> bool:
        """Nothing is between camera and gate, and everything that passed was reported."""
        return not self.register and not self._gate.waiting and not self._reports

    @property
    def line_stopped(self) -> bool:
        """A line stop is latched: no part is triggered until it is acknowledged."""
        return self._stopped_at_ms is not None

    def acknowledge_stop(self) -> None:
        """A person at the line allows it to run on."""
        self._stopped_at_ms = None

    def abandon(self) -> list[Passage]:
        """Power off: parts between camera and gate go where the gate stands."""
        return self._gate.abandon() + self.register.abandon()

    def scan(
        self, image: StationImage, now_ms: int, encoder: int, seen: Sensors = NOTHING_SEEN, jump: int = 0
    ) -> PlcOutputs:
        """Run the program once. now_ms: the PLC's own clock, never wrapping; encoder: position as a DINT.

        jump: added to the next sequence number, a fault for tests. The gate is served before the answers are read: what
        comes in while a part is already at the gate is too late for it.
        """
        alive = self._supervise(image.heartbeat, now_ms)
        self.switches.scan(image, alive, now_ms)
        clear = self._follow_session(image)
        passages, moves = self._serve_gate(encoder, seen.ejected, now_ms)
        latched, late = self._read_answers(image.results)
        hindrance = self.hindrance = self._hindrance(image, alive)
        triggers: list[TriggerBlock] = []
        untriggered: list[tuple[PartId, str]] = []
        for part_id in seen.parts:
            if hindrance and not seen.impatient:
                self.register.enter(part_id, 0, self.fallback(image), encoder)
                untriggered.append((part_id, hindrance))
            else:
                triggers.append(self._trigger(part_id, image, now_ms, encoder, jump))
                jump = 0
        self._supervise_line_stop(image, now_ms)
        self._report_gate()
        return PlcOutputs(
            clock_ms=to_dint(now_ms),
            encoder_now=encoder,
            session_ack=self._session,
            enable=self.switches.enable,
            mode_ceiling=self.switches.mode_ceiling,
            plc_epoch=self._setup.plc_epoch,
            fault_reset=self.switches.fault_reset,
            recipe_request=self.switches.recipe_request,
            recipe_request_seq=self.switches.recipe_request_seq,
            result_ack_seq=self._result_ack_seq,
            gate_seq=self._gate_seq,
            gate_outcome=self._gate_outcome,
            clear_rings=clear,
            triggers=tuple(triggers),
            untriggered=tuple(untriggered),
            latched=tuple(latched),
            late=tuple(late),
            passages=tuple(passages),
            gate_moves=moves,
            line_stopped=self.line_stopped,
        )

    def _supervise(self, heartbeat: int, now_ms: int) -> bool:
        """Whether Linegate lives: its Heartbeat was seen to change, and not longer ago than the limit."""
        if heartbeat != self._heartbeat:
            # What stands in the tag at the first scan is no beat: it may have stood there for hours.
            if self._heartbeat is not None:
                self._beat_at_ms = now_ms
            self._heartbeat = heartbeat
        return self._beat_at_ms is not None and now_ms - self._beat_at_ms < HEARTBEAT_LIMIT_MS

    def _follow_session(self, image: StationImage) -> bool:
        """Acknowledge a new session. Returns whether the rings must be cleared before."""
        if self._first_scan:
            self._first_scan = False
            self._refused_session = image.session_id
            return True
        if self.switches.enable_fell:
            self._refused_session = image.session_id
        if image.session_id in (0, self._session, self._refused_session):
            return False
        self._session = image.session_id
        self._refused_session = 0
        self._had_session = True
        self._waiting.clear()
        return True

    def _hindrance(self, image: StationImage, alive: bool) -> str:
        """What forbids a trigger now, or nothing."""
        if not self.switches.enable:
            return "not enabled"
        if not self._session or image.session_id != self._session or self._session == self._refused_session:
            return "no session"
        if not alive:
            return "station lost"
        if image.depth not in (0, self._setup.depth):
            return "depth differs"
        if not (image.online and image.ready):
            return "not ready"
        return "line stopped" if self.line_stopped else ""

    def fallback(self, image: StationImage) -> GateAction:
        """What the gate does with a part that comes in now and is never answered."""
        if self.switches.mode_ceiling <= ModeWord.SHADOW:
            return GateAction.NONE
        if not self._had_session:
            return self._setup.resting
        return _action(image.fallback)

    def _trigger(self, part_id: PartId, image: StationImage, now_ms: int, encoder: int, jump: int) -> TriggerBlock:
        seq = max(next_seq(self.trigger_seq) + jump, 1)
        self.trigger_seq = seq
        self._waiting.pop(seq, None)
        self._waiting[seq] = self.register.enter(part_id, seq, self.fallback(image), encoder)
        if len(self._waiting) > _REMEMBERED:
            oldest = next(iter(self._waiting))
            if self._waiting[oldest].passed:
                del self._waiting[oldest]
        clock, recipe = to_dint(now_ms), self.switches.recipe_id
        return TriggerBlock(seq, part_id, clock, recipe, encoder, trigger_check(seq, part_id, clock, recipe, encoder))

    def _read_answers(self, results: Sequence[ResultBlock]) -> tuple[list[ResultBlock], list[ResultBlock]]:
        """Latch every slot that holds a valid answer to a waiting part. Returns those latched and those too late."""
        latched: list[ResultBlock] = []
        late: list[ResultBlock] = []
        for block in results:
            part = self._waiting.get(block.result_seq) if block.result_seq != NO_ANSWER else None
            if part is None or not self._answers(block, part):
                continue
            del self._waiting[part.seq]
            if self._setup.depth == 1:
                self._result_ack_seq = part.seq
            in_time = self.register.latch(part, self._effect(block))
            (latched if in_time else late).append(block)
        return latched, late

    def _answers(self, block: ResultBlock, part: Tracked) -> bool:
        """Whether the copied block answers this part of this run and session, whole, in a mode that is high enough."""
        return (
            block.session_id == self._session
            and block.epoch_echo == self._setup.plc_epoch
            and block.part_id_echo == part.part_id
            and block.mode >= self._setup.required_mode
            and block.intact
        )

    def _effect(self, block: ResultBlock) -> GateAction:
        """What an answer makes the gate do; in SHADOW nothing, whatever the block asks.

        Outside SHADOW an answer without an action is no proof that the part is good.
        """
        if min(block.mode, self.switches.mode_ceiling) <= ModeWord.SHADOW:
            return GateAction.NONE
        return _action(block.action) or GateAction.REJECT

    def _serve_gate(self, encoder: int, ejected: int, now_ms: int) -> tuple[list[Passage], int]:
        """Move the gate for parts that have arrived there. Returns passages that are certain, and movements begun."""
        certain = self._gate.settle(ejected, now_ms)
        if any(passage.source is Source.UNVERIFIED for passage in certain):
            self._stop_line(now_ms)
        moves = 0
        for passage in self.register.leave(encoder):
            done, moved = self._gate.act(passage, now_ms)
            moves += moved
            if done is not None:
                certain.append(done)
            if passage.outcome is GateAction.STOP and moved:
                self._stop_line(now_ms)
        self._reports += [passage for passage in certain if passage.seq]
        return certain, moves

    def _report_gate(self) -> None:
        """Show one passage per scan, so that a station that polls faster than the scan misses none."""
        if self._reports:
            report = self._reports.pop(0)
            self._gate_seq, self._gate_outcome = report.seq, int(report.outcome)

    def _stop_line(self, now_ms: int) -> None:
        if self._stopped_at_ms is None:
            self._stopped_at_ms = now_ms

    def _supervise_line_stop(self, image: StationImage, now_ms: int) -> None:
        if image.line_stop_request and not self._stop_requested:
            self._stop_line(now_ms)
        self._stop_requested = image.line_stop_request
        limit = self._setup.auto_acknowledge_ms
        if self._stopped_at_ms is not None and limit is not None and now_ms - self._stopped_at_ms >= limit:
            self.acknowledge_stop()


def _action(word: int) -> GateAction:
    """An action word as the gate takes it; one that the contract does not know is a reject."""
    return GateAction(word) if word in GateAction.__members__.values() else GateAction.REJECT
