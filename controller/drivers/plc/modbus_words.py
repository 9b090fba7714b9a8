"""Values of the contract as 16-bit registers and back. Pure.

Modbus knows registers only; how a DINT, a REAL or a STRING lies in them differs between controllers, hence the two
orders. Inside one register the upper byte goes first on the wire, always.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from enum import Enum
from typing import Literal

from controller.drivers.plc.tags import TagValue

Order = Literal["big", "little"]
"""big: the upper half first, as Modbus itself does; little: the lower half first, as Schneider, CODESYS and Beckhoff
lay their memory out."""


class Kind(Enum):
    """What lies in the registers of a tag."""

    DINT = "DINT"
    BOOL = "BOOL"
    REAL = "REAL"
    STRING = "STRING"


class Words:
    """Packs and unpacks tags. string_words: registers of every STRING, two characters each, filled up with zeros."""

    def __init__(self, word_order: Order = "big", string_order: Order = "big", string_words: int = 8) -> None:
        self._swap = word_order == "little"
        self._bytes: Order = string_order
        self._string_words = string_words

    def count(self, kind: Kind) -> int:
        """How many registers a tag of this kind takes."""
        match kind:
            case Kind.BOOL:
                return 1
            case Kind.DINT | Kind.REAL:
                return 2
            case Kind.STRING:
                return self._string_words

    def pack(self, kind: Kind, value: TagValue) -> list[int]:
        """Registers of a value. Raises ValueError for one that the kind cannot hold."""
        match kind:
            case Kind.BOOL if isinstance(value, bool):
                return [int(value)]
            case Kind.DINT if type(value) is int and -(1 << 31) <= value < 1 << 31:
                return self._pair(value & 0xFFFFFFFF)
            case Kind.REAL if type(value) in (int, float) and math.isfinite(float(value)):
                try:
                    return self._pair(int.from_bytes(struct.pack(">f", value), "big"))
                except OverflowError as error:
                    raise ValueError("does not fit a REAL") from error
            case Kind.STRING if isinstance(value, str):
                return self._string(value)
            case _:
                raise ValueError(f"does not fit a {kind.value}")

    def unpack(self, kind: Kind, registers: Sequence[int], at: int) -> TagValue:
        """The value whose first register is `registers[at]`. Raises ValueError where they hold no such value."""
        match kind:
            case Kind.DINT:
                first, second = registers[at], registers[at + 1]
                bits = second << 16 | first if self._swap else first << 16 | second
                return bits - (1 << 32) if bits & 0x8000_0000 else bits
            case Kind.BOOL:
                if registers[at] > 1:
                    raise ValueError(f"holds {registers[at]}, which is no BOOL (0 or 1)")
                return registers[at] == 1
            case Kind.REAL:
                first, second = registers[at], registers[at + 1]
                pair = (second, first) if self._swap else (first, second)
                return struct.unpack(">f", struct.pack(">HH", *pair))[0]
            case Kind.STRING:
                raw = b"".join(word.to_bytes(2, self._bytes) for word in registers[at : at + self._string_words])
                return raw.partition(b"\0")[0].decode("latin-1")

    def _pair(self, bits: int) -> list[int]:
        return [bits & 0xFFFF, bits >> 16] if self._swap else [bits >> 16, bits & 0xFFFF]

    def _string(self, value: str) -> list[int]:
        try:
            raw = value.encode("latin-1")
        except UnicodeEncodeError as error:
            raise ValueError("has a character that a PLC's STRING cannot hold") from error
        if len(raw) > 2 * self._string_words or b"\0" in raw:
            raise ValueError(f"does not fit a STRING of {2 * self._string_words} characters")
        raw = raw.ljust(2 * self._string_words, b"\0")
        return [int.from_bytes(raw[at : at + 2], self._bytes) for at in range(0, len(raw), 2)]
