"""The latch's way to the disk: in order, off the loop, and said when it fails."""

from __future__ import annotations

import threading

from controller.errors import RecordError
from controller.latch_writer import SOURCE, LatchWriter
from statemachines.vocabulary import FaultCode, Health

WAIT_S = 5.0


class Said:
    """What was reported."""

    def __init__(self) -> None:
        self.all: list[tuple[str, Health, str]] = []

    def __call__(self, source: str, health: Health, why: str) -> None:
        self.all.append((source, health, why))


class SlowDisk:
    """A latch whose first write hangs until it is let go."""

    def __init__(self) -> None:
        self.held = FaultCode.OPERATOR
        self.begun, self.go_on = threading.Event(), threading.Event()
        self.broken = False

    def load(self) -> tuple[FaultCode, str]:
        return self.held, ""

    def store(self, code: FaultCode, why: str) -> None:
        first = not self.begun.is_set()
        self.begun.set()
        if first:
            assert self.go_on.wait(WAIT_S)
        if self.broken:
            raise RecordError("disk full")
        self.held = code


def test_a_reset_on_a_slow_disk_does_not_undo_a_later_failsafe() -> None:
    disk, said = SlowDisk(), Said()
    writer = LatchWriter(disk, said)
    writer.store(FaultCode.NONE, "")
    assert disk.begun.wait(WAIT_S)
    writer.store(FaultCode.INFERENCE_HUNG, "stuck")
    disk.go_on.set()
    assert writer.close(WAIT_S)
    assert disk.held is FaultCode.INFERENCE_HUNG
    assert [health for _, health, _ in said.all] == [Health.NORMAL] * 2


def test_a_latch_that_cannot_be_written_is_reported() -> None:
    disk, said = SlowDisk(), Said()
    disk.broken = True
    disk.go_on.set()
    writer = LatchWriter(disk, said)
    writer.store(FaultCode.TASK_DIED, "")
    assert writer.close(WAIT_S)
    assert said.all == [(SOURCE, Health.FAILURE, "disk full")]


def test_closing_waits_no_longer_than_it_was_told() -> None:
    disk = SlowDisk()
    writer = LatchWriter(disk, Said())
    writer.store(FaultCode.TASK_DIED, "")
    assert disk.begun.wait(WAIT_S)
    assert not writer.close(0.05)
    disk.go_on.set()
    assert writer.close(WAIT_S)


def test_one_that_never_wrote_has_nothing_to_close() -> None:
    assert LatchWriter(SlowDisk(), Said()).close(0.0)
