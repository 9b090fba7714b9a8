"""Our GenTL producer by the letter of the standard, called as a consumer calls it that is not ours."""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.contract.gentl import built_producer

SUCCESS, ACCESS_DENIED, INVALID_PARAMETER, TIMEOUT, INVALID_ADDRESS, BUSY = 0, -1005, -1009, -1011, -1015, -1022
MONO8_BYTES = 64 * 48
TRIGGER_MODE, TRIGGER_SOURCE, EXPOSURE = 0x1024, 0x1028, 0x1100


class Consumer:
    """The functions of one producer, in this process; opens its first camera."""

    def __init__(self, producer: str) -> None:
        self.c = ctypes.CDLL(producer)
        assert self.c.GCInitLib() == SUCCESS
        system, interface = self.handle(self.c.TLOpen), ctypes.c_void_p()
        assert self.c.TLOpenInterface(system, b"linegate-sim-0", ctypes.byref(interface)) == SUCCESS
        assert self.c.IFUpdateDeviceList(interface, None, ctypes.c_uint64(100)) == SUCCESS
        device = self.handle(self.c.IFOpenDevice, interface, b"TOP", 4)
        self.remote = self.handle(self.c.DevGetPort, device)
        self.stream = self.handle(self.c.DevOpenDataStream, device, b"stream-0")

    def handle(self, call: Callable[..., int], *arguments: object) -> ctypes.c_void_p:
        made = ctypes.c_void_p()
        assert call(*arguments, ctypes.byref(made)) == SUCCESS
        return made

    def write(self, address: int, value: bytes) -> int:
        return self.c.GCWritePort(
            self.remote, ctypes.c_uint64(address), value, ctypes.byref(ctypes.c_size_t(len(value)))
        )

    def info(self, buffer: ctypes.c_void_p, what: int, size: int) -> int:
        value, length = ctypes.c_uint64(), ctypes.c_size_t(size)
        code = self.c.DSGetBufferInfo(self.stream, buffer, what, None, ctypes.byref(value), ctypes.byref(length))
        assert code == SUCCESS
        return value.value

    def started(self, memory: ctypes.Array[ctypes.c_char], size: int) -> tuple[ctypes.c_void_p, ctypes.c_void_p]:
        """One buffer is announced and queued, the camera waits for Line0; the buffer and the event."""
        buffer = self.handle(self.c.DSAnnounceBuffer, self.stream, memory, ctypes.c_size_t(size), None)
        assert self.c.DSQueueBuffer(self.stream, buffer) == SUCCESS
        event = self.handle(self.c.GCRegisterEvent, self.stream, 1)
        for address, value in ((TRIGGER_MODE, 1), (TRIGGER_SOURCE, 1)):
            assert self.write(address, value.to_bytes(4, "little")) == SUCCESS
        assert self.c.DSStartAcquisition(self.stream, 0, ctypes.c_uint64(2**64 - 1)) == SUCCESS
        assert self.write(0x1000, (1).to_bytes(4, "little")) == SUCCESS
        return buffer, event

    def next(self, event: ctypes.c_void_p, timeout_ms: int) -> int:
        told, size = (ctypes.c_void_p * 2)(), ctypes.c_size_t(16)
        return self.c.EventGetData(event, told, ctypes.byref(size), ctypes.c_uint64(timeout_ms))


def edge() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as voice:
        voice.sendto(b"edge", f"{os.environ['LINEGATE_GENTL_CONFIG']}.TOP")


def a_buffer_that_is_too_small_is_neither_overrun_nor_called_whole(top: Consumer) -> None:
    small = 1000
    memory = ctypes.create_string_buffer(b"\xee" * 4096, 4096)
    buffer, event = top.started(memory, small)
    edge()
    assert top.next(event, 5000) == SUCCESS
    assert memory.raw[small:] == b"\xee" * (4096 - small), "not a byte behind its end"
    incomplete, filled, larger = top.info(buffer, 7, 1), top.info(buffer, 9, 8), top.info(buffer, 29, 1)
    assert (incomplete, larger) == (1, 1)
    assert 0 < filled <= small


def a_buffer_that_is_being_filled_is_nobodys_to_take_away(top: Consumer) -> None:
    assert top.write(EXPOSURE, bytes(ctypes.c_double(500_000.0))) == SUCCESS
    memory = ctypes.create_string_buffer(MONO8_BYTES)
    buffer, event = top.started(memory, MONO8_BYTES)
    edge()
    until = time.monotonic() + 5
    while not top.info(buffer, 6, 1):
        assert time.monotonic() < until, "the exposure never began"
    assert top.c.DSRevokeBuffer(top.stream, buffer, None, None) == BUSY
    assert top.c.DSFlushQueue(top.stream, 2) == SUCCESS
    assert not top.info(buffer, 5, 1), "nor queued a second time"
    assert top.next(event, 5000) == SUCCESS
    assert top.next(event, 50) == TIMEOUT
    assert top.c.DSStopAcquisition(top.stream, 0) == SUCCESS
    assert top.c.DSRevokeBuffer(top.stream, buffer, None, None) == SUCCESS


def half_a_register_is_not_written(top: Consumer) -> None:
    assert top.write(EXPOSURE + 4, b"\xff" * 4) == INVALID_ADDRESS
    assert top.write(EXPOSURE - 4, b"\xff" * 8) == INVALID_ADDRESS
    assert top.write(0x1210, b"x" * 64) == INVALID_ADDRESS, "past the end of the user's name"
    assert top.write(0x12C0, b"x" * 64) == ACCESS_DENIED


def a_call_without_a_place_for_its_answer_is_refused(top: Consumer) -> None:
    assert top.c.TLOpen(None) == INVALID_PARAMETER
    assert top.c.DSGetBufferID(top.stream, 0, None) == INVALID_PARAMETER
    assert top.c.DSAnnounceBuffer(top.stream, None, ctypes.c_size_t(8), None, None) == INVALID_PARAMETER


CASES = (
    a_buffer_that_is_too_small_is_neither_overrun_nor_called_whole,
    a_buffer_that_is_being_filled_is_nobodys_to_take_away,
    half_a_register_is_not_written,
    a_call_without_a_place_for_its_answer_is_refused,
)


def test_the_producer_keeps_to_the_standard(tmp_path: Path) -> None:
    """Each case in a process of its own: a producer that fails takes its process along."""
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.contract.test_producer", built_producer(), case.__name__],
            env={**os.environ, "LINEGATE_GENTL_CONFIG": str(_cameras(tmp_path / str(index)))},
            stderr=subprocess.PIPE,
            text=True,
        )
        for index, case in enumerate(CASES)
    ]
    for case, process in zip(CASES, running, strict=True):
        _, said = process.communicate(timeout=50)
        assert process.returncode == 0, f"{case.__name__}: {said}"


def _cameras(folder: Path) -> Path:
    folder.mkdir()
    (folder / "cams").write_text("TOP 64 48\n")
    return folder / "cams"


if __name__ == "__main__":
    consumer = Consumer(sys.argv[1])
    next(case for case in CASES if case.__name__ == sys.argv[2])(consumer)
