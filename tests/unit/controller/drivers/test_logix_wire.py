"""Tag services in bytes."""

from __future__ import annotations

import struct

import pytest

from controller.drivers.plc import logix_wire as wire
from controller.drivers.plc.logix_client import LogixValue, Refusal

PATH = b"\x02\x91\x02Xy"


def reply(service: int, content: bytes = b"", status: int = 0, extended: bytes = b"") -> bytes:
    return bytes((service | 0x80, 0, status, len(extended) // 2)) + extended + content


@pytest.mark.parametrize(
    ("kind", "value", "raw"),
    [
        ("BOOL", True, b"\xff"),
        ("BOOL", False, b"\x00"),
        ("SINT", -1, b"\xff"),
        ("UINT", 65535, b"\xff\xff"),
        ("DINT", -2, b"\xfe\xff\xff\xff"),
        ("UDINT", 4294967295, b"\xff\xff\xff\xff"),
        ("LINT", 1 << 40, struct.pack("<q", 1 << 40)),
        ("REAL", 0.5, struct.pack("<f", 0.5)),
        ("LREAL", 0.1, struct.pack("<d", 0.1)),
    ],
)
def test_elementary_values_there_and_back(kind: str, value: LogixValue, raw: bytes) -> None:
    address = wire.elementary(PATH, kind)
    code = struct.pack("<H", wire.CODES[kind][0])
    assert address.read == b"\x4c" + PATH + b"\x01\x00"
    assert wire.packed(address, value) == b"\x4d" + PATH + code + b"\x01\x00" + raw
    found = wire.value_in(address, reply(wire.READ, code + raw))
    assert found == value and type(found) is type(value)


def test_strings_there_and_back() -> None:
    address = wire.string(PATH, 0x0FCE, 88)
    content = struct.pack("<I", 3) + b"Ab\xe4" + bytes(81)
    assert wire.packed(address, "Abä") == b"\x4d" + PATH + b"\xa0\x02\xce\x0f\x01\x00" + content
    assert wire.value_in(address, reply(wire.READ, b"\xa0\x02\xce\x0f" + content)) == "Abä"


def test_a_bool_of_any_bit_and_any_value() -> None:
    address = wire.elementary(PATH, "BOOL")
    assert wire.value_in(address, reply(wire.READ, b"\xc1\x05\x01")) is True


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"\xc3\x00\x01\x00", "another type"),
        (b"\xc4\x00\x01\x00", "another type"),
        (b"\xc4\x00\x01\x00\x00\x00\x00", "another type"),
        (b"", "another type"),
    ],
)
def test_a_value_of_another_type_is_none(content: bytes, why: str) -> None:
    found = wire.value_in(wire.elementary(PATH, "DINT"), reply(wire.READ, content))
    assert isinstance(found, Refusal) and why in found.why


def test_a_string_longer_than_itself() -> None:
    content = b"\xa0\x02\xce\x0f" + struct.pack("<I", 85) + bytes(84)
    found = wire.value_in(wire.string(PATH, 0x0FCE, 88), reply(wire.READ, content))
    assert isinstance(found, Refusal) and "85" in found.why


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (reply(wire.READ), "another service"),
        (b"\xcd", "another service"),
        (reply(wire.WRITE, status=0x0F), "External Access"),
        (reply(wire.WRITE, status=0xFF, extended=b"\x05\x21"), "beyond the end of the array"),
        (reply(wire.WRITE, status=0xFF, extended=b"\x99\x21"), r"0xff (0x2199)"),
        (reply(wire.WRITE, status=0x77), "0x77"),
    ],
)
def test_failures_in_words(answer: bytes, why: str) -> None:
    found = wire.failure_in(answer, wire.WRITE)
    assert found is not None and why in found.why
    assert wire.failure_in(reply(wire.WRITE), wire.WRITE) is None


def test_many_services_and_their_replies() -> None:
    requests = [b"aa", b"bbbb", b"c" * 6]
    assert wire.many(requests) == struct.pack("<HHHH", 3, 8, 10, 14) + b"".join(requests)
    assert wire.replies_in(reply(0x0A, wire.many(requests), status=0x1E), 3) == requests


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (b"\x8a", "another service"),
        (reply(0x4C), "another service"),
        (reply(0x0A, status=0x11), "does not fit"),
        (reply(0x0A), "too short"),
        (reply(0x0A, b"\x09\x00\x00\x00"), "too short"),
        (reply(0x0A, wire.many([b"a"])), "1 replies to 2"),
    ],
)
def test_messages_that_cannot_be_used(message: bytes, why: str) -> None:
    with pytest.raises(wire.BadMessage, match=why):
        wire.replies_in(message, 2)


@pytest.mark.parametrize(
    ("requests", "replies", "sizes"),
    [
        ([10] * 3, [10] * 3, [3]),
        ([10] * 4, [10] * 4, [3, 1]),
        ([1] * 4, [25, 10, 10, 10], [1, 3]),
        ([99, 99], [1, 1], [1, 1]),
    ],
)
def test_messages_fit_both_ways(requests: list[int], replies: list[int], sizes: list[int]) -> None:
    asked = [bytes(size) for size in requests]
    assert [len(batch) for batch in wire.batches(asked, replies, room=38)] == sizes
