"""What the translated Structured Text runs on: numbers that stay numbers of a PLC, arrays that have an end.

Stricter than any controller: a DINT that overflows, a division of a negative number and an index outside its array
each end the test, since one brand would wrap, another set a fault bit and a third stop.
"""

from __future__ import annotations

from typing import Any


class PlcFault(Exception):
    """What would put some controller into fault."""


def dint(value: int) -> int:
    """A result that a DINT must hold."""
    if -0x8000_0000 <= value <= 0x7FFF_FFFF:
        return value
    raise PlcFault(f"{value} overflows a DINT")


def quotient(dividend: int, divisor: int) -> int:
    """Integer division of numbers that are not negative."""
    if dividend < 0 or divisor <= 0:
        raise PlcFault(f"{dividend} / {divisor}: brands differ in how they round")
    return dividend // divisor


def remainder(dividend: int, divisor: int) -> int:
    """MOD of numbers that are not negative."""
    if dividend < 0 or divisor <= 0:
        raise PlcFault(f"{dividend} MOD {divisor}: some controllers fault")
    return dividend % divisor


def index(value: int, lower: int, upper: int) -> int:
    """A list index for an array's index."""
    if lower <= value <= upper:
        return value - lower
    raise PlcFault(f"index {value} outside {lower}..{upper}")


def character(string: str, place: int) -> int:
    """One character of a STRING as a number, counted from 0 as CODESYS does."""
    if 0 <= place < len(string):
        return ord(string[place])
    raise PlcFault(f"character {place} of a text of {len(string)}")


class Struct:
    """A STRUCT or the memory of a function block; a subclass is made for each declared one.

    `fields`: name and a maker of the first value. Assigning to a name that is not declared raises AttributeError.
    """

    __slots__ = ()
    fields: tuple[tuple[str, Any], ...] = ()

    def __init__(self) -> None:
        for name, make in self.fields:
            setattr(self, name, make())

    def take(self, other: Struct) -> None:
        """Copy another of the same type into this one, part by part."""
        raise NotImplementedError

    def values(self) -> dict[str, Any]:
        """What it holds, for a comparison."""
        return {name: plain(getattr(self, name)) for name, _ in self.fields}


def assigned(target: Any, value: Any) -> Any:
    """What `target := value` leaves in the target: structures and arrays are copied into what is there."""
    if isinstance(target, Struct):
        target.take(value)
        return target
    if isinstance(target, list):
        target[:] = [assigned(old, new) for old, new in zip(target, value, strict=True)]
        return target
    return value


def plain(value: Any) -> Any:
    """Structures as dictionaries, arrays as lists."""
    if isinstance(value, Struct):
        return value.values()
    return [plain(entry) for entry in value] if isinstance(value, list) else value
