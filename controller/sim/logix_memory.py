"""A Logix controller's tags: symbols, structure templates, and where each value lies.

What a programmer makes of the contract in Studio 5000, built from the declared tags: one tag of a user-defined type
("Linegate.Trigger[0].PartId"), or tags and arrays of their own ("Linegate_Trigger_PartId[0]").
Layout of templates: Rockwell 1756-PM020, "CIP Services and User-created Tag Addressing".
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from controller.sim.plc_tags import EMPTY, DeclaredTag, TagKind

_STRING_TEMPLATE = 0x0FCE
_STRING_SIZE, STRING_CHARACTERS = 88, 82
_FIRST_TEMPLATE = 0x100
_STRUCTURE, _ONE_DIMENSION = 0x8000, 0x2000
_INDEX = re.compile(r"\[(\d+)]")


@dataclass(frozen=True, slots=True)
class ValueType:
    """An elementary type, or STRING, which is a structure. code: CIP's own; None for STRING."""

    name: str
    code: int | None
    size: int
    format: str = ""

    @property
    def symbol(self) -> int:
        """As symbols and templates name it."""
        return _STRUCTURE | _STRING_TEMPLATE if self.code is None else self.code

    @property
    def tag(self) -> bytes:
        """As the tag services name it."""
        return struct.pack("<HH", 0x02A0, _STRING_TEMPLATE) if self.code is None else struct.pack("<H", self.code)

    def encode(self, value: Any) -> bytes:
        """A value as the tag services carry it."""
        if self.code is None:
            raw = str(value).encode("latin-1")[:STRING_CHARACTERS]
            return struct.pack("<I", len(raw)) + raw.ljust(_STRING_SIZE - 4, b"\0")
        return b"\xff" if value is True else b"\x00" if value is False else struct.pack(self.format, value)

    def decode(self, raw: bytes) -> Any:
        """A value that a client wrote."""
        if self.code is None:
            return raw[4 : 4 + min(struct.unpack_from("<I", raw)[0], STRING_CHARACTERS)].decode("latin-1")
        return raw != b"\0" if self.name == "BOOL" else struct.unpack(self.format, raw)[0]


TYPES: dict[str, ValueType] = {
    kind.name: kind
    for kind in (
        ValueType("BOOL", 0xC1, 1),
        ValueType("SINT", 0xC2, 1, "<b"),
        ValueType("INT", 0xC3, 2, "<h"),
        ValueType("DINT", 0xC4, 4, "<i"),
        ValueType("LINT", 0xC5, 8, "<q"),
        ValueType("UDINT", 0xC8, 4, "<I"),
        ValueType("REAL", 0xCA, 4, "<f"),
        ValueType("LREAL", 0xCB, 8, "<d"),
        ValueType("STRING", None, _STRING_SIZE),
    )
}
USUAL: Mapping[TagKind, str] = {
    TagKind.WORD: "DINT",
    TagKind.BIT: "BOOL",
    TagKind.REAL: "REAL",
    TagKind.TEXT: "STRING",
}


class LogixCell:
    """One value."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def get(self) -> Any:
        """The value."""
        return self.value

    def set(self, value: Any) -> None:
        """Replace the value at once."""
        self.value = value


@dataclass(frozen=True, slots=True)
class Leaf:
    """One value in the controller. name: its declared one; path: its Logix one."""

    name: str
    path: str
    type: ValueType
    writable: bool
    cell: LogixCell


@dataclass(frozen=True, slots=True)
class Symbol:
    """One tag of the controller or of a program. count: elements of an array, 0 for a single one."""

    instance: int
    scope: str
    name: str
    type: int
    count: int
    read_only: bool

    @property
    def symbol_type(self) -> int:
        return self.type | (_ONE_DIMENSION if self.count else 0)


@dataclass(frozen=True, slots=True)
class Template:
    """A structure's definition. content: members and names, as a client reads them."""

    handle: int
    size: int
    members: int
    content: bytes

    @property
    def words(self) -> int:
        """Its size as the template object counts it: in words, 23 bytes of it not for reading."""
        return (len(self.content) + 23 + 3) // 4


@dataclass(frozen=True)
class Memory:
    """Everything of one downloaded program."""

    leaves: dict[str, Leaf] = field(default_factory=dict[str, Leaf])
    """By Logix path in small letters: Logix does not tell them apart."""
    symbols: list[Symbol] = field(default_factory=list[Symbol])
    templates: dict[int, Template] = field(default_factory=dict[int, Template])


def build_memory(
    declared: Sequence[DeclaredTag],
    cells: dict[str, LogixCell],
    *,
    pattern: str,
    types: Mapping[str, str],
    first_instance: int,
) -> Memory:
    """Lay the declared tags out. pattern: "…{tag}" for one structure, "…{flat}" for single tags and arrays.

    types: Logix types that are not the usual one of a tag's kind. Cells that exist already keep their value.
    """
    leaves = [_leaf(tag, cells, pattern, types.get(tag.name)) for tag in declared]
    memory = Memory({leaf.path.lower(): leaf for leaf in leaves}, [], {_STRING_TEMPLATE: _string_template()})
    tree: dict[str, Any] = {}
    for leaf in leaves:
        _plant(tree, leaf)
    instance = first_instance
    for full, branch in tree.items():
        scope, _, name = full.rpartition(".")
        kind, count = _symbol_kind(branch, name, memory.templates)
        inside = list(_leaves(branch))
        read_only = "{flat}" in pattern and not any(leaf.writable for leaf in inside)
        memory.symbols.append(Symbol(instance, scope, name, kind, count, read_only))
        instance += 3
    return memory


def _leaf(tag: DeclaredTag, cells: dict[str, LogixCell], pattern: str, kind: str | None) -> Leaf:
    flat = tag.name
    if index := _INDEX.search(flat):
        flat = _INDEX.sub("", flat) + index.group()
    path = pattern.replace("{tag}", tag.name).replace("{flat}", flat.replace(".", "_"))
    cell = cells.setdefault(tag.name, LogixCell(EMPTY[tag.kind]))
    return Leaf(tag.name, path, TYPES[kind or USUAL[tag.kind]], tag.writable, cell)


def _plant(tree: dict[str, Any], leaf: Leaf) -> None:
    """Hang a leaf into the tree: member names, and [index] below the name of an array."""
    parts = _INDEX.sub(r".[\1]", leaf.path).split(".")
    if parts[0].startswith("Program:"):
        parts[:2] = [".".join(parts[:2])]
    branch = tree
    for part in parts[:-1]:
        branch = branch.setdefault(part, {})
    branch[parts[-1]] = leaf


def _leaves(branch: Any) -> Iterator[Leaf]:
    if isinstance(branch, Leaf):
        yield branch
    else:
        for below in branch.values():
            yield from _leaves(below)


def _symbol_kind(branch: Any, name: str, templates: dict[int, Template]) -> tuple[int, int]:
    """Type word and array length of a branch; makes the templates that it needs."""
    if isinstance(branch, Leaf):
        return branch.type.symbol, 0
    if "[0]" in branch:
        return _symbol_kind(branch["[0]"], name, templates)[0], len(branch)
    members: list[bytes] = []
    names: list[str] = []
    offset, host, bits = 0, 0, 8
    for member, below in branch.items():
        kind, count = _symbol_kind(below, member, templates)
        if kind == TYPES["BOOL"].code:
            if bits == 8:
                host, bits, offset = offset, 0, offset + 1
                members.append(struct.pack("<HHI", 0, 0xC2, host))
                names.append(f"ZZZZZZZZZZ{name}{len(names)}")
            members.append(struct.pack("<HHI", bits, kind, host))
            bits += 1
        else:
            size = _size(kind, templates)
            offset = -(-offset // min(size, 4)) * min(size, 4)
            members.append(struct.pack("<HHI", count, kind | (_ONE_DIMENSION if count else 0), offset))
            offset += size * max(count, 1)
            bits = 8
        names.append(member)
    number = _FIRST_TEMPLATE + len(templates)
    content = b"".join(members) + f"{name};n\0".encode() + "".join(f"{text}\0" for text in names).encode()
    templates[number] = Template(0x5000 + number, -(-offset // 4) * 4, len(members), content)
    return _STRUCTURE | number, 0


def _size(kind: int, templates: dict[int, Template]) -> int:
    if kind & _STRUCTURE:
        return templates[kind & 0xFFF].size
    return next(known.size for known in TYPES.values() if known.code == kind)


def _string_template() -> Template:
    members = struct.pack("<HHI", 0, 0xC4, 0) + struct.pack("<HHI", STRING_CHARACTERS, 0xC2 | _ONE_DIMENSION, 4)
    return Template(_STRING_TEMPLATE, _STRING_SIZE, 2, members + b"ASCIISTRING82\0LEN\0DATA\0")
