"""Read Tag and Write Tag of a Logix controller in bytes: many services in one message, prepared once.

Tags are named, never addressed by their instance number: after a program download the same number is another tag.
Services and statuses: Rockwell 1756-PM020, "CIP Services and User-created Tag Addressing".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from controller.drivers.plc.logix_client import LogixValue, Refusal

READ, WRITE = 0x4C, 0x4D
MANY = b"\x0a\x02\x20\x02\x24\x01"
"""Multiple Service Packet to the message router."""
WRITE_REPLY_SIZE = 6
_ONE = b"\x01\x00"
_STRUCTURE = 0x02A0
_EMBEDDED, _GENERAL = 0x1E, 0xFF

CODES: dict[str, tuple[int, str]] = {
    "BOOL": (0xC1, "<B"), "SINT": (0xC2, "<b"), "INT": (0xC3, "<h"), "DINT": (0xC4, "<i"), "LINT": (0xC5, "<q"),
    "USINT": (0xC6, "<B"), "UINT": (0xC7, "<H"), "UDINT": (0xC8, "<I"), "ULINT": (0xC9, "<Q"),
    "REAL": (0xCA, "<f"), "LREAL": (0xCB, "<d"),
}  # fmt: skip
"""CIP's codes of elementary types."""

_STATUSES = {
    0x02: "the controller is out of resources",
    0x04: "no such tag",
    0x05: "no such tag or element: was another program downloaded?",
    0x08: "the controller does not offer this service",
    0x0F: "not permitted: look at the tag's External Access",
    0x10: "the controller's mode does not allow it",
    0x11: "the reply does not fit the connection",
    (_GENERAL, 0x2104): "beyond the end of the tag",
    (_GENERAL, 0x2105): "beyond the end of the array",
    (_GENERAL, 0x2107): "the tag has another type now: was another program downloaded?",
}


class BadMessage(Exception):
    """A reply that as a whole cannot be used. Says why."""


@dataclass(frozen=True, slots=True)
class Address:
    """A tag in bytes. read: the whole request; write: what comes before the value; type: what a reply must begin with.

    codec: None for a string, which is a structure of `size` bytes.
    """

    read: bytes
    write: bytes
    type: bytes
    codec: struct.Struct | None
    size: int
    boolean: bool

    @property
    def reply_size(self) -> int:
        """Of a reply to Read Tag."""
        return 4 + len(self.type) + self.size


def elementary(path: bytes, kind: str) -> Address:
    """A tag of one of `CODES`. path: its padded path with the length before it."""
    code, layout = CODES[kind]
    codec = struct.Struct(layout)
    return _address(path, struct.pack("<H", code), codec, codec.size, kind == "BOOL")


def string(path: bytes, handle: int, size: int) -> Address:
    """A tag of a string type. size: of the whole structure."""
    return _address(path, struct.pack("<HH", _STRUCTURE, handle), None, size, False)


def packed(address: Address, value: LogixValue) -> bytes:
    """A write request. The value fits."""
    if isinstance(value, str):
        raw = value.encode("latin-1")
        return address.write + struct.pack("<I", len(raw)) + raw.ljust(address.size - 4, b"\0")
    if address.boolean:
        return address.write + (b"\xff" if value else b"\0")
    assert address.codec is not None
    return address.write + address.codec.pack(value)


def value_in(address: Address, reply: bytes) -> LogixValue | Refusal:
    """The value in a reply to Read Tag."""
    if (failure := failure_in(reply, READ)) is not None:
        return failure
    start = 4 + len(address.type)
    # A BOOL's code carries the number of its bit in the upper byte.
    same = reply[4:start] == address.type or (address.boolean and reply[4] == address.type[0])
    if len(reply) != start + address.size or not same:
        return Refusal(_STATUSES[_GENERAL, 0x2107])
    if address.codec is None:
        (length,) = struct.unpack_from("<I", reply, start)
        if length > address.size - 4:
            return Refusal(f"its LEN is {length}, more than the string can hold")
        return reply[start + 4 : start + 4 + length].decode("latin-1")
    (value,) = address.codec.unpack_from(reply, start)
    return value != 0 if address.boolean else value


def failure_in(reply: bytes, service: int) -> Refusal | None:
    """Why a service failed; None where it did not."""
    if len(reply) < 4 or reply[0] != service | 0x80:
        return Refusal("was answered with another service's reply")
    return None if reply[2] == 0 else Refusal(_status(reply))


def batches(requests: Sequence[bytes], reply_sizes: Sequence[int], room: int) -> Iterator[Sequence[bytes]]:
    """The requests in order, in as many messages as both directions need."""
    start, asked, answered = 0, 0, 0
    for index, (request, size) in enumerate(zip(requests, reply_sizes, strict=True)):
        asked, answered = asked + len(request) + 2, answered + size + 2
        if max(asked, answered) > room and index > start:
            yield requests[start:index]
            start, asked, answered = index, len(request) + 2, size + 2
    yield requests[start:]


def many(requests: Sequence[bytes]) -> bytes:
    """What follows `MANY`: count, places, requests."""
    count = len(requests)
    places: list[int] = []
    place = 2 + 2 * count
    for request in requests:
        places.append(place)
        place += len(request)
    return struct.pack(f"<{count + 1}H", count, *places) + b"".join(requests)


def replies_in(message: bytes, count: int) -> list[bytes]:
    """The replies in the reply to `MANY`, in order. Raises BadMessage."""
    if len(message) < 4 or message[0] != MANY[0] | 0x80:
        raise BadMessage("another service's reply")
    if message[2] not in (0, _EMBEDDED):
        raise BadMessage(_status(message))
    try:
        body = message[4 + 2 * message[3] :]
        (answered,) = struct.unpack_from("<H", body)
        starts = (*struct.unpack_from(f"<{answered}H", body, 2), len(body))
    except struct.error as error:
        raise BadMessage("a reply that is too short") from error
    if answered != count:
        raise BadMessage(f"{answered} replies to {count} requests")
    return [body[starts[i] : starts[i + 1]] for i in range(count)]


def _address(path: bytes, kind: bytes, codec: struct.Struct | None, size: int, boolean: bool) -> Address:
    return Address(bytes((READ,)) + path + _ONE, bytes((WRITE,)) + path + kind + _ONE, kind, codec, size, boolean)


def _status(reply: bytes) -> str:
    """The status of a reply, in words where it has a usual one."""
    status = reply[2]
    extended = int.from_bytes(reply[4:6], "little") if reply[3] else 0
    text = _STATUSES.get((status, extended)) or _STATUSES.get(status)
    return text or f"CIP status {status:#04x}{f' ({extended:#06x})' if reply[3] else ''}"
