"""The simulated PLC's program, four-phase profile: one scan from input image to output image.

Written from the PLC contract alone, as programs for vision sensors are: a step chain for the trigger and one for the
result, each step waiting for an edge, each with a time-out. Pure but for its own memory.
"""

from __future__ import annotations

from collections import Counter
from enum import Enum

from controller.sim.conveyor import to_dint
from controller.sim.gate import Tracked
from controller.sim.plc_image import PartId, ResultBlock, StationImage, TriggerBlock, next_seq
from controller.sim.plc_line import NOTHING_SEEN, PlcLine, PlcOutputs, PlcSetup, Sensors


class TriggerStep(Enum):
    """Where the trigger's step chain stands."""

    IDLE = "no trigger"
    RAISED = "Trigger is 1, TriggerAck 1 is awaited"
    LOWERED = "Trigger is 0 again, TriggerAck 0 is awaited"


class ResultStep(Enum):
    """Where the result's step chain stands."""

    CLEARING = "ResultValid 0 is awaited"
    WAITING = "ResultValid 0→1 is awaited"
    TAKEN = "ResultAck is 1, ResultValid 0 is awaited"


class FourPhaseProgram(PlcLine):
    """One trigger at a time, its results one by one, from the PLC's first scan to its next restart."""

    def __init__(self, setup: PlcSetup) -> None:
        super().__init__(setup)
        self.trigger_seq = setup.trigger_seq
        self.time_outs: Counter[str] = Counter()
        """Phases that took longer than phase_ms, by the step that waited."""
        self._first_scan = True
        self._refused_session = 0
        self._session = 0
        self._waiting: dict[int, Tracked] = {}
        self._trigger = TriggerStep.IDLE
        self._trigger_since_ms = 0
        self._result = ResultStep.CLEARING
        self._result_since_ms = 0

    def scan(
        self, image: StationImage, now_ms: int, encoder: int, seen: Sensors = NOTHING_SEEN, jump: int = 0
    ) -> PlcOutputs:
        """Run the program once. Arguments as those of the sequence profile's program.

        seen.impatient: trigger although the station is not Ready or the last trigger's handshake still runs.
        """
        alive = self.supervise(image.heartbeat, now_ms)
        self.switches.scan(image, alive, now_ms)
        self._follow_session(image, now_ms)
        passages, moves = self.serve_gate(encoder, seen.ejected, now_ms)
        latched, late = self._step_result(image, now_ms)
        self._step_trigger(image, now_ms)
        triggers: list[TriggerBlock] = []
        untriggered: list[tuple[PartId, str]] = []
        for part_id in seen.parts:
            hindrance = self._hindrance(image, alive)
            if hindrance and not seen.impatient:
                self.register.enter(part_id, 0, self.fallback(image), encoder)
                untriggered.append((part_id, hindrance))
            else:
                triggers.append(self._raise(part_id, image, now_ms, encoder, jump))
                jump = 0
        self.hindrance = self._hindrance(image, alive)
        self.supervise_line_stop(image, now_ms)
        self.report_gate()
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
            result_ack_seq=0,
            gate_seq=self.gate_seq,
            gate_outcome=self.gate_outcome,
            clear_rings=False,
            triggers=tuple(triggers),
            untriggered=tuple(untriggered),
            latched=tuple(latched),
            late=tuple(late),
            passages=tuple(passages),
            gate_moves=moves,
            line_stopped=self.line_stopped,
            trigger=self._trigger is TriggerStep.RAISED,
            result_ack=self._result is ResultStep.TAKEN,
        )

    def _follow_session(self, image: StationImage, now_ms: int) -> None:
        """A new SessionId ends whatever handshake was under way; nothing of the old session is waited for."""
        if self._first_scan:
            self._first_scan = False
            self._refused_session = image.session_id
        if self.switches.enable_fell:
            self._refused_session = image.session_id
            self._rest(now_ms)
        if image.session_id in (0, self._session, self._refused_session):
            return
        self._session = image.session_id
        self._refused_session = 0
        self.had_session = True
        self._waiting.clear()
        self._rest(now_ms)

    def _rest(self, now_ms: int) -> None:
        self._trigger, self._trigger_since_ms = TriggerStep.IDLE, now_ms
        self._result, self._result_since_ms = ResultStep.CLEARING, now_ms

    def _hindrance(self, image: StationImage, alive: bool) -> str:
        """What forbids a trigger now, or nothing."""
        if not self.switches.enable:
            return "not enabled"
        if not self._session or image.session_id != self._session or self._session == self._refused_session:
            return "no session"
        if not alive:
            return "station lost"
        if not (image.online and image.ready):
            return "not ready"
        if self.line_stopped:
            return "line stopped"
        pulses = self._setup.trigger_pulse_ms is not None
        busy = self._trigger is not TriggerStep.IDLE or (image.trigger_ack and not pulses)
        return "trigger busy" if busy else ""

    def _raise(self, part_id: PartId, image: StationImage, now_ms: int, encoder: int, jump: int) -> TriggerBlock:
        """Name the part; Trigger follows after its fields."""
        seq = max(next_seq(self.trigger_seq) + jump, 1)
        self.trigger_seq = seq
        self._waiting.pop(seq, None)
        self._waiting[seq] = self.register.enter(part_id, seq, self.fallback(image), encoder)
        self.forget_passed(self._waiting)
        self._trigger, self._trigger_since_ms = TriggerStep.RAISED, now_ms
        return TriggerBlock(seq, part_id, to_dint(now_ms), self.switches.recipe_id, encoder, 0)

    def _step_trigger(self, image: StationImage, now_ms: int) -> None:
        pulse_ms, age_ms = self._setup.trigger_pulse_ms, now_ms - self._trigger_since_ms
        if pulse_ms is not None:
            if self._trigger is TriggerStep.RAISED and age_ms >= pulse_ms:
                self._trigger = TriggerStep.IDLE
        elif self._trigger is TriggerStep.RAISED:
            if (image.trigger_ack and image.trigger_id_ack == self.trigger_seq) or self._overdue(self._trigger, age_ms):
                self._trigger, self._trigger_since_ms = TriggerStep.LOWERED, now_ms
        elif self._trigger is TriggerStep.LOWERED:
            if not image.trigger_ack:
                self._trigger = TriggerStep.IDLE
            elif self._overdue(self._trigger, age_ms):
                self._trigger_since_ms = now_ms

    def _step_result(self, image: StationImage, now_ms: int) -> tuple[list[ResultBlock], list[ResultBlock]]:
        """One step of the result's chain. Returns the answer latched and the one too late, where there is one."""
        before = self._result
        if before is ResultStep.WAITING:
            if image.result_valid:
                self._result, self._result_since_ms = ResultStep.TAKEN, now_ms
                return self._take(image.results[0])
        elif not image.result_valid:
            self._result, self._result_since_ms = ResultStep.WAITING, now_ms
        elif self._overdue(before, now_ms - self._result_since_ms):
            self._result_since_ms = now_ms
        return [], []

    def _take(self, block: ResultBlock) -> tuple[list[ResultBlock], list[ResultBlock]]:
        part = self._waiting.get(block.result_seq)
        if part is None or not self.answers(block, part, self._session):
            return [], []
        del self._waiting[part.seq]
        in_time = self.register.latch(part, self.effect(block))
        return ([block], []) if in_time else ([], [block])

    def _overdue(self, step: TriggerStep | ResultStep, age_ms: int) -> bool:
        if age_ms < self._setup.phase_ms:
            return False
        self.time_outs[step.value] += 1
        return True
