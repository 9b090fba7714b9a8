"""The station's tables and the simulated PLC's program in one loop of virtual milliseconds, four-phase profile.

Nothing sleeps: a link that reads every 2 ms and takes 1 ms for each request, a PLC that scans every 5 ms, a camera and
a model that take 15 ms. An output of the PLC can be held at a value, as a controller's force table does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from controller.plc_order import next_request
from controller.ports import StatusValue
from controller.sim.conveyor import to_dint
from controller.sim.four_phase_program import FourPhaseProgram
from controller.sim.plc_image import GateAction, ResultBlock, StationImage, TriggerBlock, result_check
from controller.sim.plc_line import PlcOutputs, PlcSetup, Sensors
from statemachines.commands import (
    ArmDeadline,
    Capture,
    Command,
    Infer,
    Publish,
    RecordEvent,
    RecordOutcome,
    RecordTrigger,
)
from statemachines.cycle.state import awaits_write
from statemachines.events import (
    BlockWritten,
    DeadlinePassed,
    Event,
    FrameCaptured,
    Inferred,
    LinkUp,
    PlcRead,
    Published,
    SessionTold,
    TriggerCommitted,
)
from statemachines.handshake.state import Contract
from statemachines.line import Line
from statemachines.station.state import Rules, Station
from statemachines.station.step import step
from statemachines.station.tags import outputs
from statemachines.vocabulary import (
    MS,
    Answer,
    Assessment,
    Fallback,
    Mode,
    Ns,
    Outcome,
    PartKey,
    PlcHead,
    Policy,
    RecipeFacts,
    TriggerSlot,
    Verdict,
)

COUNTS_PER_MS = 10
GATE_MS = 300
DEADLINE_MS, WINDOW_MS = 80, 40
COMMIT_MS, FRAME_MS, MODEL_MS, EJECT_MS = 3, 5, 10, 20
RECIPE = RecipeFacts(
    1,
    "washer",
    "ab" * 32,
    ("top",),
    DEADLINE_MS * MS,
    WINDOW_MS * MS,
    Policy(Fallback.REJECT, divert_lane=False, stop_after_passes=0),
)
OK = Assessment(Verdict.OK, (), 0.1, "fine")


class Loop:
    """One station, one PLC. answers: by part id, what ResultValid 0→1 showed, with the ms since the part's trigger."""

    def __init__(self) -> None:
        contract = Contract(profile="four-phase")
        self.station = Station(
            rules=Rules(contract, max_in_flight=contract.depth), line=Line("running_auto_reject", Mode.AUTO_REJECT)
        )
        self.station = replace(self.station, recipe=RECIPE)
        self.program = FourPhaseProgram(
            PlcSetup(plc_epoch=9, trigger_seq=100, gate_distance=GATE_MS * COUNTS_PER_MS, gate_window=800)
        )
        self.forced: dict[str, bool] = {}
        self.locked = False
        """The journal commits nothing."""
        self.jump = 0
        """Added to the next TriggerId."""
        self.late_id_ms = 0
        """So long after Trigger its TriggerId comes, for the next part only."""
        self.frozen = False
        """No request gets through."""
        self.now_ms = 0
        self.answers: dict[int | str, list[tuple[Verdict, str, int]]] = {}
        self.gate: dict[int | str, GateAction] = {}
        self.untriggered: list[int | str] = []
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.ends: dict[int | str, Outcome] = {}
        self._tags: dict[str, StatusValue] = {}
        self._block: Answer | None = None
        self._writing: list[tuple[PartKey, Answer, int]] = []
        self._later: list[tuple[int, Callable[[], None]]] = []
        self._uncommitted: list[PartKey] = []
        self._triggered_ms: dict[int | str, int] = {}
        self._slot = TriggerSlot(100, 0, 0, 1)
        self._ejected = 0
        self._outputs = self._scan()
        self._session = 7
        self._frame = 0
        self._post(LinkUp(self._now))
        self.run_until(lambda: self.hindrance == "")

    @property
    def _now(self) -> Ns:
        return Ns((10_000 + self.now_ms) * MS)

    @property
    def hindrance(self) -> str:
        """What forbids the PLC a trigger."""
        return self.program.hindrance

    def bring(self, *part_ids: int, impatient: bool = False) -> None:
        """Parts come into view in one instant: the PLC's event task runs at once."""
        self._triggered_ms |= dict.fromkeys(part_ids, self.now_ms)
        self._outputs = self._scan(part_ids, impatient)

    def run(self, ms: int) -> None:
        """Let time pass."""
        for _ in range(ms):
            self._tick()

    def run_until(self, condition: Callable[[], bool], limit_ms: int = 5000) -> int:
        """Let time pass until then; how long it took."""
        began = self.now_ms
        while not condition():
            assert self.now_ms - began < limit_ms, (
                f"not within {limit_ms} ms; the PLC may not trigger: {self.hindrance}"
            )
            self._tick()
        return self.now_ms - began

    def missed(self) -> int:
        """How many triggers the journal counts as never read."""
        return sum(int(detail["count"]) for kind, detail in self.events if kind == "missed")

    def overdue(self) -> list[str]:
        """Phases that the journal says ran out."""
        return [str(detail["overdue"]) for kind, detail in self.events if kind == "handshake" and "overdue" in detail]

    def _tick(self) -> None:
        self.now_ms += 1
        due = [action for at_ms, action in self._later if at_ms <= self.now_ms]
        self._later = [(at_ms, action) for at_ms, action in self._later if at_ms > self.now_ms]
        for action in due:
            action()
        if not self.locked:
            for part in self._uncommitted:
                self._after(COMMIT_MS, TriggerCommitted, part)
            self._uncommitted.clear()
        if self.now_ms % 5 == 0:
            self._outputs = self._scan()
        if self.frozen:
            return
        self._write()
        if self.now_ms % 2 == 0:
            self._read()

    # --- the PLC ----------------------------------------------------------------------------------------------

    def _scan(self, parts: tuple[int, ...] = (), impatient: bool = False) -> PlcOutputs:
        seen, self._ejected = Sensors(parts, self._ejected, impatient), 0
        done = self.program.scan(self._image(), self.now_ms, self.now_ms * COUNTS_PER_MS, seen, self.jump)
        self.jump = 0 if done.triggers else self.jump
        for _ in range(done.gate_moves):
            self._later.append((self.now_ms + EJECT_MS, self._eject))
        for block in done.triggers:
            self._trigger(block)
        self.untriggered += [part_id for part_id, _ in done.untriggered]
        self.gate |= {passage.part_id: passage.outcome for passage in done.passages}
        return done

    def _eject(self) -> None:
        self._ejected += 1

    def _trigger(self, block: TriggerBlock) -> None:
        fields = TriggerSlot(block.seq, block.part_id, block.trig_clock_ms, block.recipe_id)
        late_ms, self.late_id_ms = self.late_id_ms, 0
        self._slot = replace(fields, seq=self._slot.seq) if late_ms else fields
        if late_ms:
            self._later.append((self.now_ms + late_ms, lambda: setattr(self, "_slot", fields)))

    def _image(self) -> StationImage:
        tags = self._tags
        valid = bool(tags.get("ResultValid"))
        return StationImage(
            heartbeat=self.now_ms // 100,
            online=bool(tags.get("Online")),
            ready=bool(tags.get("Ready")),
            fallback=int(tags.get("Fallback", 0)),
            session_id=int(tags.get("SessionId", 0)),
            results=[_copied(self._block)] if valid and self._block else [],
            trigger_id_ack=int(tags.get("TriggerIdAck", 0)),
            trigger_ack=bool(tags.get("TriggerAck")),
            result_valid=valid,
        )

    def _head(self) -> PlcHead:
        out = self._outputs
        return PlcHead(
            clock_ms=to_dint(self.now_ms),
            enable=out.enable,
            mode_ceiling=out.mode_ceiling,
            plc_epoch=out.plc_epoch,
            trigger=self.forced.get("trigger", out.trigger),
            result_ack=self.forced.get("result_ack", out.result_ack),
        )

    # --- the link ---------------------------------------------------------------------------------------------

    def _read(self) -> None:
        self._post(PlcRead(self._now, self._now, self._head(), (self._slot,), self._session + 1))
        self._session = self.station.handshake.session_id or self._session

    def _write(self) -> None:
        """One request of the station's tags or of a result."""
        difference = {name: value for name, value in outputs(self.station).items() if self._tags.get(name) != value}
        request = next_request(difference, signals_only=bool(self._writing))
        if request:
            shown = bool(self._tags.get("ResultValid"))
            self._tags |= request
            if "SessionId" in request:
                self._post(SessionTold(int(request["SessionId"]), self._now))
            if self._tags.get("ResultValid") and not shown:
                self._show()
        elif self._writing:
            self._write_result()

    def _write_result(self) -> None:
        part, answer, done = self._writing.pop(0)
        awaited = awaits_write(self.station.cycles.get(part), answer)
        if done == 0 and awaited:
            self._block = answer
            self._writing.insert(0, (part, answer, 1))
        elif done == 1:
            self._writing.insert(0, (part, answer, 2))
            self._post(BlockWritten(part, self._now))
        elif done == 2 and awaited:
            self._post(Published(part, self._now))

    def _show(self) -> None:
        answer = self._block
        assert answer is not None, "ResultValid 1 without a result"
        took = self.now_ms - self._triggered_ms[answer.part_id]
        self.answers.setdefault(answer.part_id, []).append((answer.verdict, answer.reason.name, took))

    # --- the station ------------------------------------------------------------------------------------------

    def _post(self, event: Event) -> None:
        self.station, commands = step(self.station, event)
        for command in commands:
            self._perform(command)

    def _perform(self, command: Command) -> None:
        match command:
            case RecordTrigger(part=part):
                self._uncommitted.append(part)
            case Capture(part=part):
                self._later.append((self.now_ms + FRAME_MS, lambda: self._framed(part)))
            case Infer(part=part):
                self._later.append((self.now_ms + MODEL_MS, lambda: self._post(Inferred(part, "top", self._now, OK))))
            case ArmDeadline(part=part, deadline=deadline):
                at_ms = max((deadline - self._now) // MS, 0) + self.now_ms + 1
                self._later.append((at_ms, lambda: self._post(DeadlinePassed(part, self._now))))
            case Publish(part=part, answer=answer):
                self._writing.append((part, answer, 0))
            case RecordOutcome(outcome=outcome):
                self.ends[outcome.part_id] = outcome
            case RecordEvent(kind=kind, detail=detail):
                self.events.append((kind, dict(detail)))
            case _:
                pass

    def _framed(self, part: PartKey) -> None:
        self._frame += 1
        self._post(FrameCaptured(part, "top", self._now, self._now, self._frame, "cam"))

    def _after(self, ms: int, event: Callable[[PartKey, Ns], Event], part: PartKey) -> None:
        self._later.append((self.now_ms + ms, lambda: self._post(event(part, self._now))))


def _copied(answer: Answer) -> ResultBlock:
    block = ResultBlock(
        result_seq=answer.seq,
        part_id_echo=answer.part_id,
        epoch_echo=answer.epoch_echo,
        session_id=answer.session_id,
        action=int(answer.action),
        verdict=int(answer.verdict),
        reason=int(answer.reason),
        mode=int(answer.mode),
    )
    return replace(block, check=result_check(block))
