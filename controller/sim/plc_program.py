"""One scan of the simulated PLC's program, from input image to output image: what both profiles do alike.

A profile says how parts are triggered and how answers are read. Written from the PLC contract alone, as a controls
engineer would write it, and independent of the station's handshake. Pure but for its own memory: time, belt position,
sensors and tags come in with each scan.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from controller.sim.conveyor import to_dint
from controller.sim.gate import Tracked
from controller.sim.plc_image import PartId, ResultBlock, StationImage, TriggerBlock, next_seq
from controller.sim.plc_line import NOTHING_SEEN, PlcLine, PlcOutputs, PlcSetup, Sensors

Answers = tuple[list[ResultBlock], list[ResultBlock]]
"""Answers that were latched, and those that came too late for the gate."""


class PlcProgram(PlcLine, ABC):
    """Session, parts waited for, gate and line stop of one PLC, from its first scan to its next restart."""

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
        clear = self._follow_session(image, now_ms)
        passages, moves = self.serve_gate(encoder, seen.ejected, now_ms)
        latched, late = self._read_answers(image, now_ms)
        triggers: list[TriggerBlock] = []
        untriggered: list[tuple[PartId, str]] = []
        for part_id in seen.parts:
            hindrance = self._hindrance(image, alive)
            if hindrance and not seen.impatient:
                self.register.enter(part_id, 0, self.fallback(image), encoder)
                untriggered.append((part_id, hindrance))
            else:
                seq = self._number(part_id, image, encoder, jump)
                triggers.append(self._trigger(seq, part_id, now_ms, encoder))
                jump = 0
        self.hindrance = self._hindrance(image, alive)
        self.supervise_line_stop(image, now_ms)
        self.report_gate()
        trigger, result_ack = self._handshake_bits()
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
            trigger=trigger,
            result_ack=result_ack,
        )

    def _follow_session(self, image: StationImage, now_ms: int) -> bool:
        """Take a new session. Returns whether rings must be cleared before it is acknowledged."""
        if self._first_scan:
            self._first_scan = False
            self._refused_session = image.session_id
            return True
        if self.switches.enable_fell:
            self._refused_session = image.session_id
            self._rest(now_ms)
        if image.session_id in (0, self._session, self._refused_session):
            return False
        self._session = image.session_id
        self._refused_session = 0
        self.had_session = True
        self._waiting.clear()
        self._rest(now_ms)
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

    def _number(self, part_id: PartId, image: StationImage, encoder: int, jump: int) -> int:
        """Take the part into the shift register and wait for its answer, under the next number."""
        seq = max(next_seq(self.trigger_seq) + jump, 1)
        self.trigger_seq = seq
        self._waiting.pop(seq, None)
        self._waiting[seq] = self.register.enter(part_id, seq, self.fallback(image), encoder)
        self.forget_passed(self._waiting)
        return seq

    def _latch(self, block: ResultBlock) -> bool | None:
        """Latch the answer of a part that is waited for: whether it came in time; None where it answers none."""
        part = self._waiting.get(block.result_seq)
        if part is None or not self.answers(block, part, self._session):
            return None
        del self._waiting[part.seq]
        return self.register.latch(part, self.effect(block))

    @abstractmethod
    def _trigger(self, seq: int, part_id: PartId, now_ms: int, encoder: int) -> TriggerBlock:
        """Announce this part."""

    @abstractmethod
    def _read_answers(self, image: StationImage, now_ms: int) -> Answers:
        """Latch what the station answered."""

    @abstractmethod
    def _rest(self, now_ms: int) -> None:
        """Whatever handshake was under way ends with its session."""

    @abstractmethod
    def _handshake_bits(self) -> tuple[bool, bool]:
        """Trigger and ResultAck, of the four-phase profile."""
