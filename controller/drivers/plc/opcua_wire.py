"""Read and Write of OPC UA in bytes: the two services of the hot path, prepared once and patched per request.

asyncua builds and takes apart every request field by field; for twenty tags that is half a millisecond of the loop's
time per poll. Here the constant part of a request is made once, and replies are read in one pass. What is unusual in a
reply (diagnostics, arrays, other types) raises `UnusualReply`; the caller then lets asyncua decode it.
Encoding: OPC UA Part 6, chapter 5.2; services: Part 4, chapters 5.11.2 and 5.11.4.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass

READ_REQUEST, READ_REPLY = 631, 634
WRITE_REQUEST, WRITE_REPLY = 673, 676
SERVICE_FAULT = 397

_NO_STRING = b"\xff\xff\xff\xff"
_VALUE_ATTRIBUTE = struct.pack("<I", 13)
_REQUEST_HEADER = struct.Struct("<qIIiI3s")
_READ_HEAD = struct.pack("<di", 0.0, 3)
"""MaxAge 0: from the device, not from a cache. TimestampsToReturn 3: neither."""
_EPOCH_1601 = 116_444_736_000_000_000
_U16, _U32, _I32 = struct.Struct("<H"), struct.Struct("<I"), struct.Struct("<i")
_BAD_OR_UNCERTAIN = 0xC0000000

_STRING = 12
SCALARS: dict[int, struct.Struct] = {
    kind: struct.Struct(code)
    for kind, code in enumerate(("<?", "<b", "<B", "<h", "<H", "<i", "<I", "<q", "<Q", "<f", "<d"), start=1)
}
"""Built-in types of fixed size by their number: Boolean 1 to Double 11."""

WireValue = bool | int | float | str | None


class UnusualReply(Exception):
    """A reply that this module leaves to asyncua."""


@dataclass(frozen=True, slots=True)
class BadStatus:
    """A value that came with a status other than good, or a service that failed."""

    code: int


def request_header(token: bytes, handle: int, timeout_ms: int) -> bytes:
    """The header of every request. token: the session's authentication token as an encoded NodeId."""
    ticks = time.time_ns() // 100 + _EPOCH_1601
    return token + _REQUEST_HEADER.pack(ticks, handle, 0, -1, timeout_ms, b"\0\0\0")


def request_type(number: int) -> bytes:
    """The encoded type of a request, which comes before its header."""
    return b"\x01\x00" + _U16.pack(number)


def read_payload(nodes: Sequence[bytes]) -> bytes:
    """Read the values of these encoded NodeIds."""
    one_value = _VALUE_ATTRIBUTE + _NO_STRING + b"\0\0" + _NO_STRING
    return _READ_HEAD + _I32.pack(len(nodes)) + b"".join(node + one_value for node in nodes)


def write_prefix(node: bytes, kind: int) -> bytes:
    """What comes before the value itself when one is written. No timestamps: many PLCs refuse them."""
    return node + _VALUE_ATTRIBUTE + _NO_STRING + b"\x01" + bytes((kind,))


def write_payload(values: Sequence[bytes]) -> bytes:
    """Write values, each its `write_prefix` and `pack_value`."""
    return _I32.pack(len(values)) + b"".join(values)


def pack_value(kind: int, value: bool | int | float | str) -> bytes:
    """A scalar as bytes. kind: number of the built-in type."""
    if isinstance(value, str):
        raw = value.encode()
        return _I32.pack(len(raw)) + raw
    return SCALARS[kind].pack(value)


def read_reply(body: bytes) -> list[WireValue | BadStatus]:
    """The values of a ReadResponse in order. Raises UnusualReply."""
    try:
        start = _results(body, READ_REPLY)
        if isinstance(start, BadStatus):
            return [start]
        return _values(body, start)
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise UnusualReply(str(error)) from error


def write_reply(body: bytes) -> list[int]:
    """The status codes of a WriteResponse in order; just one where the whole service failed. Raises UnusualReply."""
    try:
        start = _results(body, WRITE_REPLY)
        if isinstance(start, BadStatus):
            return [start.code]
        (count,) = _I32.unpack_from(body, start)
        return list(struct.unpack_from(f"<{count}I", body, start + 4)) if count > 0 else []
    except struct.error as error:
        raise UnusualReply(str(error)) from error


def is_good(code: int) -> bool:
    """Whether a status code is good; uncertain is not."""
    return not code & _BAD_OR_UNCERTAIN


def _results(body: bytes, expected: int) -> int | BadStatus:
    """Where the results start."""
    if body[0:2] != b"\x01\x00":
        raise UnusualReply("type")
    (kind,) = _U16.unpack_from(body, 2)
    (status,) = _U32.unpack_from(body, 16)
    if not is_good(status):
        return BadStatus(status)
    # No diagnostics, no string table (null or empty), no additional header.
    if kind != expected or body[20] or body[21:25] not in (_NO_STRING, b"\0\0\0\0") or body[25:28] != b"\0\0\0":
        raise UnusualReply("header")
    return 28


def _values(body: bytes, at: int) -> list[WireValue | BadStatus]:
    (count,) = _I32.unpack_from(body, at)
    at += 4
    values: list[WireValue | BadStatus] = []
    for _ in range(count):
        mask = body[at]
        at += 1
        value: WireValue | BadStatus = None
        if mask & 0x01:
            kind = body[at]
            at += 1
            scalar = SCALARS.get(kind)
            if scalar is not None:
                (value,) = scalar.unpack_from(body, at)
                at += scalar.size
            elif kind == _STRING:
                (length,) = _I32.unpack_from(body, at)
                at += 4
                value = body[at : at + length].decode() if length >= 0 else None
                at += max(length, 0)
            elif kind != 0:
                raise UnusualReply(f"type {kind}")
        if mask & 0x02:
            (status,) = _U32.unpack_from(body, at)
            at += 4
            if not is_good(status):
                value = BadStatus(status)
        # Source and server timestamps, then their picoseconds, wherever a server sends them unasked.
        at += 8 * bool(mask & 0x04) + 2 * bool(mask & 0x10) + 8 * bool(mask & 0x08) + 2 * bool(mask & 0x20)
        values.append(value)
    if at > len(body):
        raise UnusualReply("short")
    return values
