"""What each tag of the contract is in this controller: name, type, range and access, checked when connecting."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from controller.drivers.plc.logix_client import LogixTag, LogixValue, Refusal
from controller.drivers.plc.tags import TAG_SETS, Direction, Profile, Span, Tag, TagType, TagValue
from controller.errors import ConfigError
from controller.ports import TagReport

_INTEGERS: dict[str, tuple[int, int]] = {
    "SINT": (-(1 << 7), (1 << 7) - 1), "USINT": (0, (1 << 8) - 1),
    "INT": (-(1 << 15), (1 << 15) - 1), "UINT": (0, (1 << 16) - 1),
    "DINT": (-(1 << 31), (1 << 31) - 1), "UDINT": (0, (1 << 32) - 1),
    "LINT": (-(1 << 63), (1 << 63) - 1), "ULINT": (0, (1 << 64) - 1),
}  # fmt: skip
_LARGEST_REAL = 3.4028234663852886e38
_INDEX = re.compile(r"\[\d+]")
_NAME = re.compile(r"(Program:[A-Za-z_]\w*\.)?[A-Za-z_]\w*(\[\d+])?(\.[A-Za-z_]\w*(\[\d+])?)*")


@dataclass(frozen=True, slots=True)
class BoundTag:
    """One tag of the contract in one controller. low, high: range of an integer."""

    name: str
    tag: LogixTag
    python: type
    low: int
    high: int

    def fitting(self, value: TagValue) -> LogixValue:
        """A value to write. Raises ValueError when the controller's type cannot hold it."""
        where = f"its tag {self.tag.name}"
        if self.python is int and isinstance(value, int) and not isinstance(value, bool):
            if not self.low <= value <= self.high:
                raise ValueError(f"{self.name} = {value} is outside {self.low} to {self.high} of {where}")
            return value
        if self.python is float and isinstance(value, (int, float)) and math.isfinite(value):
            if self.tag.type == "REAL" and abs(value) > _LARGEST_REAL:
                raise ValueError(f"{self.name} = {value} is more than the REAL of {where} can hold")
            return value
        if self.python is bool and isinstance(value, bool):
            return value
        if self.python is str and isinstance(value, str):
            if len(value) > self.tag.characters or any(ord(letter) > 255 for letter in value):
                raise ValueError(f"{self.name} = {value!r} is no Latin-1 text of {self.tag.characters} for {where}")
            return value
        raise ValueError(f"{self.name} = {value!r} is no {self.python.__name__} for {where}")


@dataclass(frozen=True, slots=True)
class TagRules:
    """What the station's settings ask of the tags.

    part_id: int or str. named: tags that the settings give a name of their own; these must exist even where the
    contract calls them optional.
    """

    device: str
    part_id: type
    modulus: int
    named: frozenset[str]


def logix_names(
    device: str, profile: Profile, depth: int, pattern: str, overrides: Mapping[str, str]
) -> dict[str, str]:
    """Every tag of the contract with its name in the controller. Raises ConfigError.

    {tag} in the pattern is the contract's own name, a structure's member: Trigger[0].PartId. {flat} is a tag of its own
    with the index last: Trigger_PartId[0].
    """
    tags = TAG_SETS[profile].names(depth)
    for name in overrides:
        if name not in tags:
            raise ConfigError(device, name, overrides[name], "is no tag of the contract: check the name")
    names: dict[str, str] = {}
    for name in tags:
        text = overrides.get(name) or pattern.replace("{tag}", name).replace("{flat}", _flat(name))
        if not _NAME.fullmatch(text):
            cure = "is no Logix tag name: write it like Linegate.Ready, Linegate_Ready or Program:Main.Linegate.Ready"
            raise ConfigError(device, name, text, cure)
        names[name] = text
    return names


def bind(
    names: Mapping[str, str], found: Mapping[str, LogixTag | Refusal], tags: Mapping[str, Tag], rules: TagRules
) -> dict[str, BoundTag]:
    """Check every tag. Raises ConfigError for one that can never work."""
    bound, problems = _sorted_out(names, found, tags, rules)
    for problem in problems.values():
        raise problem
    return bound


def survey(
    names: Mapping[str, str], found: Mapping[str, LogixTag | Refusal], tags: Mapping[str, Tag], rules: TagRules
) -> tuple[TagReport, ...]:
    """Every tag as it is in the controller, whatever is wrong with the others."""
    _, problems = _sorted_out(names, found, tags, rules)
    reports: list[TagReport] = []
    for name in tags:
        known, problem = found[names[name]], problems.get(name)
        kind, access, note = "", "", "optional, not in this controller" if problem is None else ""
        if isinstance(known, LogixTag):
            kind, access, note = known.type, _access(known), ""
        reports.append(TagReport(name, names[name], kind, access, str(problem or ""), note))
    return tuple(reports)


def _sorted_out(
    names: Mapping[str, str], found: Mapping[str, LogixTag | Refusal], tags: Mapping[str, Tag], rules: TagRules
) -> tuple[dict[str, BoundTag], dict[str, ConfigError]]:
    """The tags that the station can use, and why it cannot use the others, both by name."""
    bound: dict[str, BoundTag] = {}
    problems: dict[str, ConfigError] = {}
    for name, tag in tags.items():
        known = found[names[name]]
        try:
            if isinstance(known, LogixTag):
                bound[name] = _bind_one(name, tag, known, rules)
            elif not tag.optional or name in rules.named:
                raise ConfigError(rules.device, name, names[name], known.why)
        except ConfigError as error:
            problems[name] = error
    for name, tag in tags.items():
        source = tag.echoes.replace("[i]", "[0]") if tag.echoes else ""
        if name in bound and source in bound:
            try:
                _check_echo(bound[name], bound[source], rules.device)
            except ConfigError as error:
                problems[name] = error
    return bound, problems


def _access(tag: LogixTag) -> str:
    """External Access, in the words of Studio 5000."""
    if not tag.readable:
        return "None"
    return "Read/Write" if tag.writable else "Read Only"


def _flat(name: str) -> str:
    index = _INDEX.search(name)
    return (name if index is None else _INDEX.sub("", name) + index.group()).replace(".", "_")


def _bind_one(name: str, tag: Tag, known: LogixTag, rules: TagRules) -> BoundTag:
    _check_access(name, tag, known, rules.device)
    python = _python(tag, known.type, rules)
    if python is None:
        raise ConfigError(rules.device, name, known.name, f"is {known.type}: make it {_wanted(tag, rules)}")
    low, high = _INTEGERS.get(known.type, (0, 0))
    needed = rules.modulus if tag.span is Span.SEQUENCE else tag.span.value
    if python is int and high < needed:
        cure = f"is {known.type}, too narrow: it must hold numbers up to {needed}"
        raise ConfigError(rules.device, name, known.name, cure)
    return BoundTag(name, known, python, low, high)


def _check_access(name: str, tag: Tag, known: LogixTag, device: str) -> None:
    if not known.readable:
        cure = "has External Access None: set it to Read Only or Read/Write in the tag's properties"
        raise ConfigError(device, name, known.name, cure)
    if tag.direction is Direction.STATION_TO_PLC and not known.writable:
        cure = "has External Access Read Only: set it to Read/Write in the tag's properties, the station writes it"
        raise ConfigError(device, name, known.name, cure)


def _python(tag: Tag, kind: str, rules: TagRules) -> type | None:
    match tag.type:
        case TagType.BOOL:
            return bool if kind == "BOOL" else None
        case TagType.REAL:
            return float if kind in ("REAL", "LREAL") else None
        case TagType.DINT:
            return int if kind in _INTEGERS else None
        case TagType.PART_ID:
            fits = kind == "STRING" if rules.part_id is str else kind in _INTEGERS
            return rules.part_id if fits else None


def _wanted(tag: Tag, rules: TagRules) -> str:
    if tag.type is TagType.PART_ID:
        return "a STRING" if rules.part_id is str else "a DINT (or set part_id to string)"
    return {TagType.BOOL: "a BOOL", TagType.REAL: "a REAL"}.get(tag.type, "a DINT")


def _check_echo(echo: BoundTag, source: BoundTag, device: str) -> None:
    narrow = not (echo.low <= source.low and source.high <= echo.high)
    if (echo.python is int and narrow) or echo.tag.characters < source.tag.characters:
        cure = f"is {echo.tag.type} and cannot hold every {source.name}, which is {source.tag.type}: make both the same"
        raise ConfigError(device, echo.name, echo.tag.name, cure)
