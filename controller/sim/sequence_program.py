"""The simulated PLC's program, sequence profile: trigger ring, answers in any order, no bits to wait for."""

from __future__ import annotations

from controller.sim.conveyor import to_dint
from controller.sim.plc_image import NO_ANSWER, PartId, ResultBlock, StationImage, TriggerBlock, trigger_check
from controller.sim.plc_program import Answers, PlcProgram


class SequenceProgram(PlcProgram):
    """Every part is announced at once; every scan looks through all slots for answers."""

    def _trigger(self, seq: int, part_id: PartId, now_ms: int, encoder: int) -> TriggerBlock:
        clock, recipe = to_dint(now_ms), self.switches.recipe_id
        return TriggerBlock(seq, part_id, clock, recipe, encoder, trigger_check(seq, part_id, clock, recipe, encoder))

    def _read_answers(self, image: StationImage, now_ms: int) -> Answers:
        latched: list[ResultBlock] = []
        late: list[ResultBlock] = []
        for block in image.results:
            in_time = self._latch(block) if block.result_seq != NO_ANSWER else None
            if in_time is None:
                continue
            if self._setup.depth == 1:
                self._result_ack_seq = block.result_seq
            (latched if in_time else late).append(block)
        return latched, late

    def _rest(self, now_ms: int) -> None:
        """There is none that needs an end."""

    def _handshake_bits(self) -> tuple[bool, bool]:
        return False, False
