"""Which tag of the contract lies in which Modbus registers: computed from the tag table, documented, printable. Pure.

Two areas of holding registers, each without gaps. The PLC writes the first: its single tags in the order of the
contract, then the trigger slots. The station writes the second: its single tags, then the result slots, each with its
ResultSeq last. A DINT and a REAL take two registers, a BOOL one (0 or 1), a STRING its fixed length.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from controller.drivers.plc.modbus_words import Kind, Order, Words
from controller.drivers.plc.tags import TAG_SETS, Profile, Tag, TagType, TagValue, answer_values
from controller.errors import ConfigError
from statemachines.vocabulary import Answer

READ_LIMIT = 125
"""Registers in one FC3 reply (Modbus Application Protocol V1.1b3, 6.3)."""
WRITE_LIMIT = 123
"""Registers in one FC16 request (6.12)."""
_LAST = 0xFFFF
_FIVE_DIGITS = 9999


@dataclass(frozen=True)
class RegisterMap:
    """Everything that decides where a tag lies. The two areas are given by their first register, counted from 0."""

    plc_to_station: int = 0
    station_to_plc: int = 1000
    word_order: Order = "big"
    string_order: Order = "big"
    part_id: Literal["int", "string"] = "int"
    part_id_chars: int = 16
    depth: int = 8
    profile: Profile = "sequence"


@dataclass(frozen=True, slots=True)
class Place:
    """One tag's registers. name: its full name, "Result[3].Verdict"; address: its first register, counted from 0."""

    name: str
    tag: Tag
    kind: Kind
    address: int
    words: int

    @property
    def end(self) -> int:
        """The register after it."""
        return self.address + self.words

    @property
    def title(self) -> str:
        """Its registers as errors name them: as PLC tools count, and from 0."""
        return f"register {span(self.address, self.words)}, offset {self.address}"


@dataclass(frozen=True, slots=True)
class Layout:
    """The places of every tag. head, triggers: with their fields of PlcHead and TriggerSlot.

    results: per slot its fields in the order of `answer_values`, ResultSeq after them.
    """

    words: Words
    head: tuple[tuple[str, Place], ...]
    triggers: tuple[tuple[tuple[str, Place], ...], ...]
    status: tuple[Place, ...]
    results: tuple[tuple[Place, ...], ...]

    @property
    def from_plc(self) -> tuple[Place, ...]:
        """What the PLC writes, in address order."""
        return tuple(place for _, place in (*self.head, *(field for slot in self.triggers for field in slot)))

    @property
    def to_plc(self) -> tuple[Place, ...]:
        """What the station writes, in address order."""
        return (*self.status, *(place for slot in self.results for place in slot))

    def packed_status(self, values: Mapping[str, TagValue]) -> dict[Place, list[int]]:
        """Registers of some of the station's single tags, in address order. Raises ValueError, naming the tag."""
        return self._packed_of(self.status, values)

    def packed(self, values: Mapping[str, TagValue]) -> dict[Place, list[int]]:
        """Registers of any tags that the station writes, in address order. Raises ValueError, naming the tag."""
        return self._packed_of(self.to_plc, values)

    def packed_answer(self, index: int, answer: Answer) -> list[tuple[Place, list[int]]]:
        """Registers of a result slot, ResultSeq last. Raises ValueError, naming the tag."""
        values = (*answer_values(answer), answer.seq)
        return [(place, self._packed(place, value)) for place, value in zip(self.results[index], values, strict=True)]

    def _packed_of(self, places: Iterable[Place], values: Mapping[str, TagValue]) -> dict[Place, list[int]]:
        known = {place.name: place for place in places}
        for name in values.keys() - known.keys():
            raise ValueError(f"{name} is no tag that the station writes")
        return {place: self._packed(place, values[name]) for name, place in known.items() if name in values}

    def _packed(self, place: Place, value: TagValue) -> list[int]:
        try:
            return self.words.pack(place.kind, value)
        except ValueError as error:
            raise ValueError(f"{place.name} = {value!r} {error}") from error


def layout(registers: RegisterMap) -> Layout:
    """Lay out every tag. Raises ConfigError for areas that overlap or leave the 65536 registers."""
    _check(registers)
    tags = TAG_SETS[registers.profile]
    words = Words(registers.word_order, registers.string_order, (registers.part_id_chars + 1) // 2)
    slots = range(tags.slots(registers.depth))
    inward = _Cursor(registers.plc_to_station, registers.part_id, words)
    outward = _Cursor(registers.station_to_plc, registers.part_id, words)
    made = Layout(
        words,
        head=tuple((field, inward.place(tag, 0)) for field, tag in tags.head),
        triggers=tuple(tuple((field, inward.place(tag, index)) for field, tag in tags.trigger) for index in slots),
        status=tuple(outward.place(tag, 0) for tag in tags.status),
        results=tuple(tuple(outward.place(tag, index) for tag in (*tags.result, tags.result_seq)) for index in slots),
    )
    _check_areas(registers, made)
    return made


def addresses(registers: RegisterMap) -> Mapping[str, str]:
    """Every tag's full name with its registers in the 4xxxx style that most PLC tools speak: "40001-40002"."""
    made = layout(registers)
    return {place.name: span(place.address, place.words) for place in (*made.from_plc, *made.to_plc)}


def span(address: int, words: int) -> str:
    """Registers in the 4xxxx style; six digits where five do not reach."""
    first = address + (40_001 if address + words <= _FIVE_DIGITS else 400_001)
    return str(first) if words == 1 else f"{first}-{first + words - 1}"


def runs(places: Iterable[Place], limit: int) -> list[tuple[Place, ...]]:
    """Cut places in address order into runs without gaps of at most `limit` registers each."""
    found: list[list[Place]] = []
    for place in places:
        if found and found[-1][-1].end == place.address and place.end - found[-1][0].address <= limit:
            found[-1].append(place)
        else:
            found.append([place])
    return [tuple(run) for run in found]


def extent(run: Sequence[Place]) -> tuple[int, int]:
    """First register and number of registers of a run."""
    return run[0].address, run[-1].end - run[0].address


class _Cursor:
    """Hands out registers one after the other."""

    def __init__(self, start: int, part_id: Literal["int", "string"], words: Words) -> None:
        self._next, self._part_id, self._words = start, part_id, words

    def place(self, tag: Tag, index: int) -> Place:
        kind = _KINDS.get(tag.type) or (Kind.DINT if self._part_id == "int" else Kind.STRING)
        made = Place(tag.at(index), tag, kind, self._next, self._words.count(kind))
        self._next = made.end
        return made


_KINDS = {TagType.DINT: Kind.DINT, TagType.BOOL: Kind.BOOL, TagType.REAL: Kind.REAL}


def _check(registers: RegisterMap) -> None:
    depth = registers.depth
    if depth < 2 or depth & (depth - 1):
        raise ConfigError("[plc]", "depth", depth, "must be a power of two, 2 or more")
    if not 1 <= registers.part_id_chars <= 80:
        cure = "must be from 1 to 80: a result slot goes into one request"
        raise ConfigError("[plc.registers]", "part_id_chars", registers.part_id_chars, cure)


def _check_areas(registers: RegisterMap, made: Layout) -> None:
    for key, start, places in (
        ("plc_to_station", registers.plc_to_station, made.from_plc),
        ("station_to_plc", registers.station_to_plc, made.to_plc),
    ):
        if start < 0 or places[-1].end > _LAST + 1:
            cure = f"needs {places[-1].end - start} registers from 0 to {_LAST}: choose another first register"
            raise ConfigError("[plc.registers]", key, start, cure)
    inward, outward = made.from_plc, made.to_plc
    if inward[0].address < outward[-1].end and outward[0].address < inward[-1].end:
        cure = (
            f"the areas overlap: the PLC writes {inward[0].address} to {inward[-1].end - 1}, "
            f"the station {outward[0].address} to {outward[-1].end - 1}"
        )
        raise ConfigError("[plc.registers]", "station_to_plc", registers.station_to_plc, cure)
