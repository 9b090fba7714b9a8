"""The loop's beat, the guard outside of it, and systemd's protocol."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
import time
from pathlib import Path

import pytest

from controller.exit_codes import RESTART
from controller.watchdog import HangGuard, LoopProbe, SystemdNotifier


async def test_the_beat_comes_from_the_loop_and_lateness_is_seen() -> None:
    beats: list[int] = []
    probe = LoopProbe(lambda: beats.append(time.monotonic_ns()), period_ms=10)
    task = asyncio.create_task(probe.run())
    first = probe.last_beat
    while len(beats) < 3:
        await asyncio.sleep(0.001)
    assert probe.last_beat > first
    before = probe.lag_ms()
    # Longer than whatever this computer did to the loop before.
    time.sleep(0.08 + before / 1000)
    while probe.lag_ms() == before:
        await asyncio.sleep(0.001)
    assert probe.lag_ms() >= before + 50
    task.cancel()


def test_a_hanging_loop_is_ended_from_outside(capfd: pytest.CaptureFixture[str]) -> None:
    ended = threading.Event()
    codes: list[int] = []
    latched: list[str] = []

    def leave(code: int) -> None:
        codes.append(code)
        ended.set()

    probe = LoopProbe(lambda: None, period_ms=10)
    guard = HangGuard(probe, 0.2, latched.append, leave)
    guard.start()
    assert ended.wait(10), "nobody beats, so the guard must act"
    guard.stop()
    assert codes == [RESTART]
    assert "has not moved" in latched[0]
    assert "most recent call first" in capfd.readouterr().err


async def test_a_process_that_stood_still_with_its_guard_is_ended_although_its_loop_beats_again() -> None:
    ended = threading.Event()
    latched: list[str] = []
    probe = LoopProbe(lambda: None, period_ms=10)
    task = asyncio.create_task(probe.run())
    await asyncio.sleep(0)
    guard = HangGuard(probe, 60.0, latched.append, lambda _: ended.set())
    guard.start()
    time.sleep(0.3)
    moved = probe.last_beat
    while probe.last_beat == moved:
        await asyncio.sleep(0.001)
    assert probe.longest_gap >= 300_000_000
    guard.stop()
    guard = HangGuard(probe, 0.2, latched.append, lambda _: ended.set())
    guard.start()
    gap, probe.longest_gap = probe.longest_gap, 300_000_000
    assert gap < 300_000_000, "a guard asks for what happened since its start"
    async with asyncio.timeout(10):
        while not ended.is_set():
            await asyncio.sleep(0.001)
    guard.stop()
    task.cancel()
    assert "has not moved" in latched[0]


def test_a_latch_that_cannot_be_written_does_not_keep_the_process_alive(capfd: pytest.CaptureFixture[str]) -> None:
    ended = threading.Event()

    def broken(_why: str) -> None:
        raise OSError("disk full")

    def leave(_code: int) -> None:
        ended.set()

    guard = HangGuard(LoopProbe(lambda: None, period_ms=10), 0.2, broken, leave)
    guard.start()
    assert ended.wait(10)
    guard.stop()
    assert "disk full" in capfd.readouterr().err


class Beating(LoopProbe):
    """Beats whenever the guard looks, however busy the computer is."""

    def __init__(self) -> None:
        self.looks = 0
        self.looked_often = threading.Event()
        super().__init__(lambda: None, period_ms=5)

    @property
    def last_beat(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        self.looks += 1
        if self.looks == 10:
            self.looked_often.set()
        return time.monotonic_ns()

    @last_beat.setter
    def last_beat(self, at: int) -> None:
        pass


def test_a_beating_loop_is_left_alone() -> None:
    probe, codes = Beating(), list[int]()
    guard = HangGuard(probe, 0.05, lambda _: None, codes.append)
    guard.start()
    assert probe.looked_often.wait(10)
    guard.stop()
    assert codes == []


@pytest.mark.skipif(sys.platform == "win32", reason="systemd is Linux")
def test_systemd_is_told(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(path)
        systemd.settimeout(5)
        notifier = SystemdNotifier(path)
        notifier.ready()
        notifier.watchdog()
        notifier.status("running")
        notifier.stopping()
        assert [systemd.recv(100) for _ in range(4)] == [b"READY=1", b"WATCHDOG=1", b"STATUS=running", b"STOPPING=1"]
    notifier.watchdog()
    notifier.close()


def test_without_systemd_nothing_happens() -> None:
    notifier = SystemdNotifier("")
    notifier.ready()
    notifier.close()
