"""The example programs run a line: good parts pass, bad ones are pushed off, and without a station all are."""

from __future__ import annotations

from typing import Any

import pytest

from controller.sim.plc_image import ResultBlock, next_seq, result_check, ring_slot
from tests.plc_blocks.blocks import iec_texts, logix_texts
from tests.plc_blocks.compiler import Dialect, Standard, compiled
from tests.plc_blocks.source import BLOCKS

SCAN_MS = 10
GOOD, BAD = 1, 3


class Clock:
    """The controller's TIME()."""

    def __init__(self) -> None:
        self.now_ms = 0

    def standard(self) -> dict[str, Standard]:
        return {"TIME": Standard((), "TIME", lambda: self.now_ms), "TIME_TO_DINT": Standard(("TIME",), "DINT", int)}


class ExampleLine:
    """An example program, its belt, and a station that finds every third part bad."""

    def __init__(self, folder: str, profile: str) -> None:
        self._clock = Clock()
        example = (BLOCKS / folder / f"example_{profile}.st").read_text()
        if folder == "iec":
            names = compiled([*iec_texts(), example], standard=self._clock.standard())
        else:
            names = compiled([*logix_texts(), example], Dialect.LOGIX)
        name = "LinegateSequence" if profile == "sequence" else "LinegateFourPhase"
        self.program: Any = names[name]()
        self.program.InspectSwitch = True
        self._logix, self._profile = folder != "iec", profile
        self._answered = self._epoch = 0
        self._scans = 0
        self.station_runs = True
        self.moves = 0

    def scan(self, part: bool = False, acknowledge: bool = False) -> None:
        program = self.program
        self._clock.now_ms += SCAN_MS
        program.EncoderCounts += 100 if program.ConveyorRelease else 0
        program.PhotoEye, program.AcknowledgeButton = part, acknowledge
        if self._logix:
            program.FirstScan, program.TickMs = self._scans == 0, (program.TickMs + SCAN_MS) % 1_000_000
        program.EjectSensor = program.RejectValve and not program.EjectSensor
        self._scans += 1
        if self.station_runs:
            self._station(program.Linegate)
        before = program.RejectValve
        program.scan()
        self.moves += program.RejectValve and not before

    def _station(self, tags: Any) -> None:
        tags.Heartbeat = next_seq(tags.Heartbeat)
        tags.Online, tags.Fallback = True, 3
        tags.Ready = tags.Enable
        if not tags.Enable or tags.PlcEpoch != self._epoch:
            self._epoch = tags.PlcEpoch
            tags.SessionId = next_seq(tags.SessionId)
        if self._profile == "sequence":
            tags.Depth = 8
            if tags.TriggerSeq != self._answered:
                self._answered = tags.TriggerSeq
                slot = tags.Trigger[ring_slot(self._answered, 8)]
                result = tags.Result[ring_slot(self._answered, 8)]
                self._answer(slot.Seq, slot.PartId, tags, result)
                result.ResultSeq = slot.Seq
            return
        if tags.Trigger and not tags.TriggerAck:
            tags.TriggerIdAck, tags.TriggerAck = tags.TriggerId, True
        elif not tags.Trigger:
            tags.TriggerAck = False
            if tags.TriggerIdAck != self._answered and not tags.ResultAck:
                self._answered = tags.TriggerIdAck
                self._answer(tags.TriggerId, tags.PartId, tags, tags.Result)
                tags.Result.TriggerId, tags.ResultValid = tags.TriggerId, True
        if tags.ResultAck:
            tags.ResultValid = False

    def _answer(self, seq: int, part_id: int, tags: Any, result: Any) -> None:
        action = BAD if part_id % 3 == 0 else GOOD
        block = ResultBlock(seq, part_id, tags.PlcEpoch, tags.SessionId, action, 1, mode=3)
        result.PartIdEcho, result.EpochEcho, result.SessionId = part_id, tags.PlcEpoch, tags.SessionId
        result.Action, result.Verdict, result.Mode, result.Check = action, 1, 3, result_check(block)


@pytest.mark.parametrize("profile", ["sequence", "four_phase"])
@pytest.mark.parametrize("folder", ["iec", "rockwell"])
def test_the_example_runs_a_line(folder: str, profile: str) -> None:
    line = ExampleLine(folder, profile)
    line.scan()
    assert not line.program.ConveyorRelease, "the belt must be cleared after a start"
    line.scan(acknowledge=True)
    assert line.program.ConveyorRelease
    for _ in range(40):
        line.scan()
    assert line.program.Station.Hindrance == 0
    for number in range(30 * 12):
        line.scan(part=number % 12 == 0)
    for _ in range(60):
        line.scan()
    counts = line.program.Line.Counts
    assert (counts.Triggers, counts.Answered, counts.NotReady, counts.Missing) == (30, 30, 0, 0)
    assert (counts.Passed, counts.Rejected, counts.Unverified, line.moves) == (20, 10, 0, 10)
    assert line.program.Linegate.GateSeq == 30 and line.program.ConveyorRelease

    line.station_runs = False
    for _ in range(60):
        line.scan()
    assert line.program.Station.Hindrance == 3
    for number in range(5 * 12):
        line.scan(part=number % 12 == 0)
    for _ in range(60):
        line.scan()
    assert (counts.NotReady, counts.Passed, counts.Rejected) == (5, 20, 15)
