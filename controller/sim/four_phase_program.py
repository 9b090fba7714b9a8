"""The simulated PLC's program, four-phase profile, as programs for vision sensors are written.

A step chain for the trigger and one for the result, each step waiting for an edge, each with a time-out.
"""

from __future__ import annotations

from collections import Counter
from enum import Enum

from controller.sim.conveyor import to_dint
from controller.sim.plc_image import PartId, ResultBlock, StationImage, TriggerBlock
from controller.sim.plc_line import PlcSetup
from controller.sim.plc_program import Answers, PlcProgram


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


class FourPhaseProgram(PlcProgram):
    """One trigger at a time, its results one by one.

    seen.impatient: trigger although the station is not Ready or the last trigger's handshake still runs.
    """

    def __init__(self, setup: PlcSetup) -> None:
        super().__init__(setup)
        self.time_outs: Counter[str] = Counter()
        """Phases that took longer than phase_ms, by the step that waited."""
        self._trigger_step = TriggerStep.IDLE
        self._trigger_since_ms = 0
        self._result = ResultStep.CLEARING
        self._result_since_ms = 0

    def _rest(self, now_ms: int) -> None:
        self._trigger_step, self._trigger_since_ms = TriggerStep.IDLE, now_ms
        self._result, self._result_since_ms = ResultStep.CLEARING, now_ms

    def _handshake_bits(self) -> tuple[bool, bool]:
        return self._trigger_step is TriggerStep.RAISED, self._result is ResultStep.TAKEN

    def _hindrance(self, image: StationImage, alive: bool) -> str:
        hindrance = super()._hindrance(image, alive)
        if hindrance:
            return hindrance
        pulses = self._setup.trigger_pulse_ms is not None
        busy = self._trigger_step is not TriggerStep.IDLE or (image.trigger_ack and not pulses)
        return "trigger busy" if busy else ""

    def _trigger(self, seq: int, part_id: PartId, now_ms: int, encoder: int) -> TriggerBlock:
        """Name the part; Trigger follows after its fields."""
        self._trigger_step, self._trigger_since_ms = TriggerStep.RAISED, now_ms
        return TriggerBlock(seq, part_id, to_dint(now_ms), self.switches.recipe_id, encoder, 0)

    def _read_answers(self, image: StationImage, now_ms: int) -> Answers:
        """Take both step chains one step further."""
        answers = self._step_result(image, now_ms)
        self._step_trigger(image, now_ms)
        return answers

    def _step_trigger(self, image: StationImage, now_ms: int) -> None:
        pulse_ms, age_ms = self._setup.trigger_pulse_ms, now_ms - self._trigger_since_ms
        if pulse_ms is not None:
            if self._trigger_step is TriggerStep.RAISED and age_ms >= pulse_ms:
                self._trigger_step = TriggerStep.IDLE
        elif self._trigger_step is TriggerStep.RAISED:
            if (image.trigger_ack and image.trigger_id_ack == self.trigger_seq) or self._overdue(
                self._trigger_step, age_ms
            ):
                self._trigger_step, self._trigger_since_ms = TriggerStep.LOWERED, now_ms
        elif self._trigger_step is TriggerStep.LOWERED:
            if not image.trigger_ack:
                self._trigger_step = TriggerStep.IDLE
            elif self._overdue(self._trigger_step, age_ms):
                self._trigger_since_ms = now_ms

    def _step_result(self, image: StationImage, now_ms: int) -> Answers:
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

    def _take(self, block: ResultBlock) -> Answers:
        in_time = self._latch(block)
        if in_time is None:
            return [], []
        return ([block], []) if in_time else ([], [block])

    def _overdue(self, step: TriggerStep | ResultStep, age_ms: int) -> bool:
        if age_ms < self._setup.phase_ms:
            return False
        self.time_outs[step.value] += 1
        return True
