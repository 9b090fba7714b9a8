"""A line with the four-phase block and a small model of the station, written from the contract's text alone.

The station polls at its own pace and may be told to make each phase hang. The line keeps watch over the order of the
handshake in every scan, and over what the gate does with each part.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from random import Random
from typing import Any

from controller.sim.conveyor import to_dint
from controller.sim.plc_image import ResultBlock, next_seq, result_check
from tests.plc_blocks.blocks import BlockPlc

DISTANCE, WINDOW = 1000, 200
COUNTS_PER_SCAN = 5
_FIELDS = ("TriggerId", "PartId", "RecipeId", "TrigClockMs", "EncoderPos")


@dataclass(slots=True)
class Wrongs:
    """How likely the station does each thing wrong, per poll or per answer."""

    dead: float = 0.0
    not_ready: float = 0.0
    new_session: float = 0.0
    ack_never: float = 0.0
    ack_other_id: float = 0.0
    ack_stuck: float = 0.0
    valid_stuck: float = 0.0
    torn: float = 0.0
    torn_for_ever: float = 0.0
    other_part: float = 0.0
    other_epoch: float = 0.0
    never_answered: float = 0.0


class FourPhaseStation:
    """The station's end: trigger, acknowledgement, up to eight parts inspected, answers in order."""

    def __init__(self, tags: Any, chance: Random, wrongs: Wrongs, inspect_ms: tuple[int, int]) -> None:
        self._tags, self._chance, self._wrongs, self._inspect_ms = tags, chance, wrongs, inspect_ms
        self._session = 100
        self._epoch = 0
        self._enabled = False
        self._dead_until = self._unready_until = 0
        self._trigger_phase = self._result_phase = 0
        self._phase_hangs = False
        self._queue: deque[tuple[int, ResultBlock]] = deque()
        self._torn = False
        self._toggle = False
        self.answers: dict[int, ResultBlock] = {}
        """What was answered under each trigger id of the present session."""

    def poll(self, now_ms: int) -> None:
        """Read the PLC's tags, write the station's."""
        tags, chance, wrongs = self._tags, self._chance, self._wrongs
        if chance.random() < wrongs.dead:
            self._dead_until = now_ms + chance.choice((300, 900))
        if now_ms < self._dead_until:
            return
        tags.Heartbeat = next_seq(tags.Heartbeat)
        tags.Online, tags.Fallback = True, 3
        if tags.Enable and (not self._enabled or tags.PlcEpoch != self._epoch or chance.random() < wrongs.new_session):
            self._session = next_seq(self._session)
            self._epoch, self._enabled = tags.PlcEpoch, True
            self._drop_all()
            tags.SessionId = self._session
        elif self._enabled and not tags.Enable:
            self._enabled = False
            self._drop_all()
        if chance.random() < wrongs.not_ready:
            self._unready_until = now_ms + 100
        tags.Ready = self._enabled and len(self._queue) < 8 and now_ms >= self._unready_until
        if self._enabled:
            self._take_trigger(now_ms)
            self._give_result(now_ms)

    def _drop_all(self) -> None:
        self._queue.clear()
        self.answers.clear()
        self._trigger_phase = self._result_phase = 0
        self._phase_hangs = False
        self._tags.TriggerAck = self._tags.ResultValid = False

    def _take_trigger(self, now_ms: int) -> None:
        tags, wrongs = self._tags, self._wrongs
        if self._trigger_phase == 0 and tags.Trigger:
            self._phase_hangs = self._chance.random() < wrongs.ack_never
            if tags.Ready and not self._phase_hangs:
                self._accept(now_ms)
                tags.TriggerIdAck = tags.TriggerId
                if self._chance.random() < wrongs.ack_other_id:
                    tags.TriggerIdAck += 1
            else:
                tags.MissedTrigger = True
                self._phase_hangs = True
            self._trigger_phase = 1
        elif self._trigger_phase == 1:
            # One poll later: TriggerIdAck is in its tag before TriggerAck rises.
            if not self._phase_hangs:
                tags.TriggerAck = True
            self._trigger_phase = 2
            self._phase_hangs = self._chance.random() < wrongs.ack_stuck
        elif self._trigger_phase == 2 and not tags.Trigger and not self._phase_hangs:
            tags.TriggerAck = False
            self._trigger_phase = 0

    def _accept(self, now_ms: int) -> None:
        tags, chance, wrongs = self._tags, self._chance, self._wrongs
        if chance.random() < wrongs.never_answered:
            return
        block = ResultBlock(
            result_seq=tags.TriggerId,
            part_id_echo=tags.PartId + (chance.random() < wrongs.other_part),
            epoch_echo=tags.PlcEpoch - (chance.random() < wrongs.other_epoch),
            session_id=self._session,
            action=chance.choice((1, 2, 3)),
            verdict=1,
            latency_us=1000,
            mode=3,
        )
        self._queue.append((now_ms + chance.randint(*self._inspect_ms), block))

    def _give_result(self, now_ms: int) -> None:
        tags = self._tags
        if self._result_phase == 0 and self._queue and self._queue[0][0] <= now_ms and not tags.ResultAck:
            _, block = self._queue.popleft()
            self.answers[block.result_seq] = block
            self._torn = self._chance.random() < self._wrongs.torn
            self._write(block, result_check(block) ^ (0x555 if self._torn else 0))
            self._result_phase = 1
        elif self._result_phase == 1:
            # One poll later: the block is in its tags before ResultValid rises.
            self._toggle = not self._toggle
            tags.ResultToggle, tags.ResultValid = self._toggle, True
            self._result_phase = 2
        elif self._result_phase == 2:
            if self._torn and self._chance.random() >= self._wrongs.torn_for_ever:
                tags.Result.Check ^= 0x555
                self._torn = False
            if tags.ResultAck and self._chance.random() >= self._wrongs.valid_stuck:
                tags.ResultValid = False
                self._result_phase = 3
        elif self._result_phase == 3 and not tags.ResultAck:
            self._result_phase = 0

    def _write(self, block: ResultBlock, check: int) -> None:
        result = self._tags.Result
        result.PartIdEcho, result.EpochEcho, result.SessionId = block.part_id_echo, block.epoch_echo, block.session_id
        result.Action, result.Verdict, result.Reason, result.Mode = (
            block.action,
            block.verdict,
            block.reason,
            block.mode,
        )
        result.LatencyUs, result.Check = block.latency_us, check
        result.TriggerId = block.result_seq


class FourPhaseLine:
    """One PLC, one station, one belt. `scan` plays one PLC scan and raises AssertionError for a broken order."""

    def __init__(
        self,
        names: dict[str, Any],
        chance: Random,
        wrongs: Wrongs,
        poll_ms: int = 10,
        inspect_ms: tuple[int, int] = (10, 60),
        start: tuple[int, int, int] = (0, 0, 0),
        scan_ms: int = 5,
    ) -> None:
        """start: clock, encoder, last trigger id."""
        self.plc = BlockPlc(names, "FB_LinegateFourPhase", "LG_FourPhaseTags")
        self._now, self._position, self.plc.station.TriggerId = start
        self._station = FourPhaseStation(self.plc.tags, chance, wrongs, inspect_ms)
        self._scan_ms, self._poll_ms, self._phase_ms = scan_ms, poll_ms, max(300, 6 * poll_ms)
        self._next_poll = self._now
        self._moved = False
        self._fields_at = self._raised_at = 0
        self.seen: Counter[str] = Counter()

    def scan(self, part: int | None = None, enable: bool = True) -> None:
        """part: id of a part whose photo eye rises in this scan."""
        tags, line = self.plc.tags, self.plc.line
        self._now += self._scan_ms
        self._position = to_dint(self._position + COUNTS_PER_SCAN)
        while self._next_poll <= self._now:
            self._station.poll(self._now)
            self._next_poll += self._poll_ms
        before = self._remembered()
        oldest = [line.Parts[(line.Oldest + n) % 64].Seq for n in range(line.Count)]
        common = {"ClockMs": to_dint(self._now), "Encoder": self._position}
        self.plc.scan(
            common | {"Distance": DISTANCE, "Window": WINDOW, "VerifyMs": 100, "PulseMs": 50,
                      "Ejected": self._moved, "Acknowledge": self._now % 50 == 0},
            common | {"PartSeen": part is not None, "PartId": part or 0, "EnableWish": enable, "ModeCeiling": 3,
                      "RequiredMode": 1, "Resting": 3, "RecipeWanted": 7, "PhaseMs": self._phase_ms},
        )  # fmt: skip
        self._moved = self.plc.gate.Moves > 0
        self._watch_order(before)
        self._watch_parts(before, oldest)

    def _remembered(self) -> dict[str, Any]:
        values = {name: getattr(self.plc.tags, name) for name in (*_FIELDS, "Trigger", "ResultAck")}
        values |= {name: getattr(self.plc.station, name) for name in ("TimeOuts", "SoftResets")}
        values["answered"] = self.plc.line.Counts.Answered
        values["part_waiting"] = {p.Seq for p in self.plc.line.Parts if p.Waiting and not p.Passed}
        values["session"] = self.plc.station.Session
        return values

    def _watch_order(self, before: dict[str, Any]) -> None:
        """Edges in their order, each after the one that allows it."""
        tags = self.plc.tags
        if any(getattr(tags, name) != before[name] for name in _FIELDS):
            assert not tags.Trigger and not before["Trigger"], "fields change while Trigger is 1"
            assert tags.Ready and tags.Online and tags.Enable, "a part is announced while the station is not Ready"
            assert not tags.TriggerAck, "a part is announced while TriggerAck is 1"
            self._fields_at = self._now
        if tags.Trigger and not before["Trigger"]:
            assert self._now > self._fields_at, "Trigger rises in the scan that writes its fields"
            assert not tags.TriggerAck, "Trigger rises while TriggerAck is 1"
            self._raised_at = self._now
        taken = tags.TriggerAck and tags.TriggerIdAck == tags.TriggerId
        ended = tags.SessionId != before["session"] or not tags.Enable
        if before["Trigger"] and not tags.Trigger:
            assert taken or ended or self._now - self._raised_at >= self._phase_ms, "Trigger falls before TriggerAck"
        if tags.Trigger:
            assert not (before["Trigger"] and taken), "Trigger stays although it is taken"
            assert self._now - self._raised_at <= self._phase_ms + self._scan_ms, "Trigger is held for ever"
        if tags.ResultAck and not before["ResultAck"]:
            assert tags.ResultValid, "ResultAck rises without ResultValid"
        if before["ResultAck"] and not tags.ResultAck:
            assert not tags.ResultValid or ended, "ResultAck falls while ResultValid is 1"

    def _watch_parts(self, before: dict[str, Any], oldest: list[int]) -> None:
        """A part is answered by the block that was written for it, once, before the gate, or not at all."""
        tags, line = self.plc.tags, self.plc.line
        for part in line.Parts if line.Counts.Answered != before["answered"] else ():
            if part.Answered and not part.Waiting and part.Seq in before["part_waiting"]:
                self.seen["answered"] += 1
                truth = self._station.answers[part.Seq]
                assert tags.ResultAck and not before["ResultAck"], "an answer is latched out of its turn"
                assert part.Action == truth.action and truth.part_id_echo == part.PartId
                assert truth.epoch_echo == tags.PlcEpoch and truth.session_id == tags.SessionId
                assert part.Seq in oldest and not part.Passed, "an answer is latched after the gate"
        for name in ("TimeOuts", "SoftResets"):
            # They start from 0 again with the PLC.
            self.seen[name] += max(getattr(self.plc.station, name) - before[name], 0)
