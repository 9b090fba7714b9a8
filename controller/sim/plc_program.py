"""The simulated PLC's program, sequence profile: one scan from input image to output image.

Written from the PLC contract alone, as a controls engineer would write it, and independent of the station's handshake.
Pure but for its own memory: time, belt position, sensors and tags come in with each scan.
"""

from __future__ import annotations

from collections.abc import Sequence

from controller.sim.conveyor import to_dint
from controller.sim.gate import Tracked
from controller.sim.plc_image import NO_ANSWER, PartId, ResultBlock, StationImage, TriggerBlock, next_seq, trigger_check
from controller.sim.plc_line import NOTHING_SEEN, PlcLine, PlcOutputs, PlcSetup, Sensors


class PlcProgram(PlcLine):
    """Session, trigger ring, answers, gate and line stop of one PLC, from its first scan to its next restart."""

    def __init__(self, setup: PlcSetup) -> None:
        super().__init__(setup)
        self.trigger_seq = setup.trigger_seq
        self._first_scan = True
        self._refused_session = 0
        self._session = 0
        self._waiting: dict[int, Tracked] = {}
        self._result_ack_seq = 0

    def scan(
        self, image: StationImage, now_ms: int, encoder: int, seen: Sensors = NOTHING_SEEN, jump: int = 0
    ) -> PlcOutputs:
        """Run the program once. now_ms: the PLC's own clock, never wrapping; encoder: position as a DINT.

        jump: added to the next sequence number, a fault for tests. The gate is served before the answers are read: what
        comes in while a part is already at the gate is too late for it.
        """
        alive = self.supervise(image.heartbeat, now_ms)
        self.switches.scan(image, alive, now_ms)
        clear = self._follow_session(image)
        passages, moves = self.serve_gate(encoder, seen.ejected, now_ms)
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
            result_ack_seq=self._result_ack_seq,
            gate_seq=self.gate_seq,
            gate_outcome=self.gate_outcome,
            clear_rings=clear,
            triggers=tuple(triggers),
            untriggered=tuple(untriggered),
            latched=tuple(latched),
            late=tuple(late),
            passages=tuple(passages),
            gate_moves=moves,
            line_stopped=self.line_stopped,
        )

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
        self.had_session = True
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

    def _trigger(self, part_id: PartId, image: StationImage, now_ms: int, encoder: int, jump: int) -> TriggerBlock:
        seq = max(next_seq(self.trigger_seq) + jump, 1)
        self.trigger_seq = seq
        self._waiting.pop(seq, None)
        self._waiting[seq] = self.register.enter(part_id, seq, self.fallback(image), encoder)
        self.forget_passed(self._waiting)
        clock, recipe = to_dint(now_ms), self.switches.recipe_id
        return TriggerBlock(seq, part_id, clock, recipe, encoder, trigger_check(seq, part_id, clock, recipe, encoder))

    def _read_answers(self, results: Sequence[ResultBlock]) -> tuple[list[ResultBlock], list[ResultBlock]]:
        """Latch every slot that holds a valid answer to a waiting part. Returns those latched and those too late."""
        latched: list[ResultBlock] = []
        late: list[ResultBlock] = []
        for block in results:
            part = self._waiting.get(block.result_seq) if block.result_seq != NO_ANSWER else None
            if part is None or not self.answers(block, part, self._session):
                continue
            del self._waiting[part.seq]
            if self._setup.depth == 1:
                self._result_ack_seq = part.seq
            in_time = self.register.latch(part, self.effect(block))
            (latched if in_time else late).append(block)
        return latched, late
