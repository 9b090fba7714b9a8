"""What the simulated PLC does beside its conversation with the station: heartbeat, shift register, gate, line stop.

Both programs, sequence and four-phase, are built on `PlcLine`. Pure but for their own memory.
"""

from __future__ import annotations

from dataclasses import dataclass

from controller.sim.gate import Passage, RejectGate, ShiftRegister, Source, Tracked
from controller.sim.plc_image import GateAction, ModeWord, PartId, ResultBlock, StationImage, TriggerBlock
from controller.sim.plc_switches import PlcSwitches

HEARTBEAT_LIMIT_MS = 500
"""Contract: Heartbeat unchanged for this long means that Linegate is lost."""


REMEMBERED = 256
"""Parts past the gate whose answers are still recognised as late."""


@dataclass(frozen=True, slots=True)
class PlcSetup:
    """What is downloaded with the program.

    gate_distance, gate_window: encoder counts. resting: what the gate does with a part before any station ever told
    its Fallback. auto_acknowledge_ms: a latched line stop acknowledges itself after this time; None leaves it to a
    person. trigger_seq: the number the PLC starts from (retained memory); plc_epoch: differs after every start.
    phase_ms: time-out of each phase of the four-phase handshake; trigger_pulse_ms: give pulses of this length instead
    of holding Trigger until TriggerAck.
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
    phase_ms: int = 500
    trigger_pulse_ms: int | None = None


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
    trigger, result_ack: the bits of the four-phase profile, which has no rings and no SessionAck tag.
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
    trigger: bool = False
    result_ack: bool = False


class PlcLine:
    """Supervision of the station, shift register, gate and line stop, from the PLC's first scan to its next restart."""

    def __init__(self, setup: PlcSetup) -> None:
        self._setup = setup
        self.switches = PlcSwitches(setup.recipe_id, setup.mode_ceiling, setup.enable_low_ms)
        self.register = ShiftRegister(setup.gate_distance, setup.gate_window)
        self.had_session = False
        self.hindrance = "no session"
        self.gate_seq = 0
        self.gate_outcome = 0
        self._gate = RejectGate(setup.verify_ms, setup.gate_locked)
        self._heartbeat: int | None = None
        self._beat_at_ms: int | None = None
        self._reports: list[Passage] = []
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

    def supervise(self, heartbeat: int, now_ms: int) -> bool:
        """Whether Linegate lives: its Heartbeat was seen to change, and not longer ago than the limit."""
        if heartbeat != self._heartbeat:
            # What stands in the tag at the first scan is no beat: it may have stood there for hours.
            if self._heartbeat is not None:
                self._beat_at_ms = now_ms
            self._heartbeat = heartbeat
        return self._beat_at_ms is not None and now_ms - self._beat_at_ms < HEARTBEAT_LIMIT_MS

    def fallback(self, image: StationImage) -> GateAction:
        """What the gate does with a part that comes in now and is never answered."""
        if self.switches.mode_ceiling <= ModeWord.SHADOW:
            return GateAction.NONE
        if not self.had_session:
            return self._setup.resting
        return _action(image.fallback)

    @staticmethod
    def forget_passed(waiting: dict[int, Tracked]) -> None:
        """Keep the memory of unanswered parts within bounds, oldest first."""
        if len(waiting) > REMEMBERED:
            oldest = next(iter(waiting))
            if waiting[oldest].passed:
                del waiting[oldest]

    def answers(self, block: ResultBlock, part: Tracked, session: int) -> bool:
        """Whether the copied block answers this part of this run and session, whole, in a mode that is high enough."""
        return (
            block.session_id == session
            and block.epoch_echo == self._setup.plc_epoch
            and block.part_id_echo == part.part_id
            and block.mode >= self._setup.required_mode
            and block.intact
        )

    def effect(self, block: ResultBlock) -> GateAction:
        """What an answer makes the gate do; in SHADOW nothing, whatever the block asks.

        Outside SHADOW an answer without an action is no proof that the part is good.
        """
        if min(block.mode, self.switches.mode_ceiling) <= ModeWord.SHADOW:
            return GateAction.NONE
        return _action(block.action) or GateAction.REJECT

    def serve_gate(self, encoder: int, ejected: int, now_ms: int) -> tuple[list[Passage], int]:
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

    def report_gate(self) -> None:
        """Show one passage per scan, so that a station that polls faster than the scan misses none."""
        if self._reports:
            report = self._reports.pop(0)
            self.gate_seq, self.gate_outcome = report.seq, int(report.outcome)

    def supervise_line_stop(self, image: StationImage, now_ms: int) -> None:
        """Latch a line stop that the station asks for; acknowledge one by itself where nobody is there to do it."""
        if image.line_stop_request and not self._stop_requested:
            self._stop_line(now_ms)
        self._stop_requested = image.line_stop_request
        limit = self._setup.auto_acknowledge_ms
        if self._stopped_at_ms is not None and limit is not None and now_ms - self._stopped_at_ms >= limit:
            self.acknowledge_stop()

    def _stop_line(self, now_ms: int) -> None:
        if self._stopped_at_ms is None:
            self._stopped_at_ms = now_ms


def _action(word: int) -> GateAction:
    """An action word as the gate takes it; one that the contract does not know is a reject."""
    return GateAction(word) if word in GateAction.__members__.values() else GateAction.REJECT
