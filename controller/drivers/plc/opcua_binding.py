"""What each tag of the contract is on this server: node, type, range and access, found and checked when connecting."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from asyncua import ua
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.status_codes import StatusCodes
from asyncua.ua.ua_binary import nodeid_to_binary

from controller.drivers.plc import opcua_wire as wire
from controller.drivers.plc.opcua_channel import Channel, status_name
from controller.drivers.plc.tags import Direction, Span, Tag, TagType, TagValue
from controller.errors import ConfigError, DeviceRefused
from statemachines.vocabulary import Ns

_BATCH = 32
"""Tags per Read while checking: three attributes each, under the 100 nodes per Read that small servers allow."""

_ATTRIBUTES = (AttributeIds.DataType, AttributeIds.Value, AttributeIds.UserAccessLevel)
_MISSING = (StatusCodes.BadNodeIdUnknown, StatusCodes.BadNodeIdInvalid)
_READABLE, _WRITABLE = 1, 2
_INTEGERS: dict[int, tuple[int, int]] = {
    kind: (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    for kind, bits, signed in (
        (2, 8, True), (3, 8, False), (4, 16, True), (5, 16, False),
        (6, 32, True), (7, 32, False), (8, 64, True), (9, 64, False),
    )
}  # fmt: skip
_BOOLEAN, _FLOAT, _DOUBLE, _STRING = 1, 10, 11, 12


@dataclass(frozen=True, slots=True)
class BoundTag:
    """One tag on one server. kind: number of the built-in type; low, high: range of an integer."""

    name: str
    node: str
    node_bytes: bytes
    kind: int
    python: type
    low: int
    high: int
    prefix: bytes

    def packed(self, value: TagValue) -> bytes:
        """A value to write, encoded as the server's own type. Raises ValueError when it does not fit."""
        if self.python is int and isinstance(value, int) and not isinstance(value, bool):
            if not self.low <= value <= self.high:
                raise ValueError(f"{self.name} = {value} is outside {self.low} to {self.high} of its node {self.node}")
            return self.prefix + wire.SCALARS[self.kind].pack(value)
        if self.python is float and isinstance(value, (int, float)) and math.isfinite(value):
            return self.prefix + wire.SCALARS[self.kind].pack(value)
        if self.python in (bool, str) and isinstance(value, self.python):
            return self.prefix + wire.pack_value(self.kind, value)
        raise ValueError(f"{self.name} = {value!r} is no {self.python.__name__} for its node {self.node}")


@dataclass(frozen=True, slots=True)
class TagRules:
    """What the station's settings ask of the tags."""

    endpoint: str
    part_id: type
    """int or str."""
    modulus: int
    named: frozenset[str]
    """Tags that the settings give a node of their own: these must exist even where the contract calls them optional."""


async def bind(
    channel: Channel, nodes: Mapping[str, tuple[Tag, ua.NodeId]], rules: TagRules, deadline: Ns
) -> dict[str, BoundTag]:
    """Check every tag on the server. Raises ConfigError for one that can never work, DeviceError otherwise."""
    bound: dict[str, BoundTag] = {}
    for batch in _batches(list(nodes.items())):
        request = ua.ReadRequest()
        request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Neither
        request.Parameters.NodesToRead = [
            ua.ReadValueId(NodeId=node, AttributeId=attribute) for _, (_, node) in batch for attribute in _ATTRIBUTES
        ]
        reply = await channel.call(request, ua.ReadResponse, deadline)
        if len(reply.Results) != len(request.Parameters.NodesToRead):
            raise DeviceRefused(rules.endpoint, "answered fewer attributes than were asked for")
        for index, (name, (tag, node)) in enumerate(batch):
            found = _bind_one(name, tag, node, reply.Results[index * 3 : index * 3 + 3], rules)
            if found is not None:
                bound[name] = found
    for name, (tag, _) in nodes.items():
        if tag.echoes:
            _check_echo(bound[name], bound[tag.echoes.replace("[i]", "[0]")], rules.endpoint)
    return bound


def _batches(
    items: Sequence[tuple[str, tuple[Tag, ua.NodeId]]],
) -> Iterator[Sequence[tuple[str, tuple[Tag, ua.NodeId]]]]:
    for start in range(0, len(items), _BATCH):
        yield items[start : start + _BATCH]


def _bind_one(
    name: str, tag: Tag, node: ua.NodeId, attributes: Sequence[ua.DataValue], rules: TagRules
) -> BoundTag | None:
    text = node.to_string()
    data_type, value, access = attributes
    code = _code(data_type)
    if code in _MISSING:
        if tag.optional and name not in rules.named:
            return None
        raise ConfigError(rules.endpoint, name, text, "no such node: create the tag in the PLC or name its node here")
    if not wire.is_good(code) or not wire.is_good(_code(access)):
        worst = code if not wire.is_good(code) else _code(access)
        raise DeviceRefused(rules.endpoint, f"{name} ({text}): {status_name(worst)}")
    _check_access(name, tag, text, access, rules.endpoint)
    kind = _kind(data_type, value)
    python = _python(tag, kind, rules)
    if python is None:
        raise ConfigError(rules.endpoint, name, text, f"is {_kind_name(kind)}: make it {_wanted(tag, rules)}")
    low, high = _INTEGERS.get(kind, (0, 0))
    needed = rules.modulus if tag.span is Span.SEQUENCE else tag.span.value
    if python is int and high < needed:
        raise ConfigError(
            rules.endpoint, name, text, f"is {_kind_name(kind)}, too narrow: it must hold numbers up to {needed}"
        )
    raw = nodeid_to_binary(node)
    return BoundTag(name, text, raw, kind, python, low, high, wire.write_prefix(raw, kind))


def _code(item: ua.DataValue) -> int:
    return int(item.StatusCode.value) if item.StatusCode is not None else 0


def _check_access(name: str, tag: Tag, node: str, access: ua.DataValue, endpoint: str) -> None:
    level = access.Value.Value if access.Value is not None else None
    wanted, word = (_READABLE, "readable") if tag.direction is Direction.PLC_TO_STATION else (_WRITABLE, "writable")
    if not isinstance(level, int) or not level & wanted:
        raise ConfigError(endpoint, name, node, f"is not {word} for this user: grant it in the PLC's OPC UA settings")


def _kind(data_type: ua.DataValue, value: ua.DataValue) -> int:
    """Number of the built-in type: by DataType where that names one, else by the value's own (vendors alias types)."""
    identifier = data_type.Value.Value if data_type.Value is not None else None
    if isinstance(identifier, ua.NodeId) and identifier.NamespaceIndex == 0 and isinstance(identifier.Identifier, int):
        kind = int(identifier.Identifier)
        if 1 <= kind <= _STRING:
            return 0 if value.Value is not None and value.Value.is_array else kind
    if wire.is_good(_code(value)) and value.Value is not None and not value.Value.is_array:
        return int(value.Value.VariantType.value)
    return 0


def _python(tag: Tag, kind: int, rules: TagRules) -> type | None:
    match tag.type:
        case TagType.BOOL:
            return bool if kind == _BOOLEAN else None
        case TagType.REAL:
            return float if kind in (_FLOAT, _DOUBLE) else None
        case TagType.DINT:
            return int if kind in _INTEGERS else None
        case TagType.PART_ID:
            fits = kind == _STRING if rules.part_id is str else kind in _INTEGERS
            return rules.part_id if fits else None


def _wanted(tag: Tag, rules: TagRules) -> str:
    if tag.type is TagType.PART_ID:
        return "a STRING" if rules.part_id is str else "a DINT (or set part_id to string)"
    return {TagType.BOOL: "a BOOL", TagType.REAL: "a REAL"}.get(tag.type, "a DINT")


def _kind_name(kind: int) -> str:
    return ua.VariantType(kind).name if 0 < kind <= 25 else "an array or a type without a value"


def _check_echo(echo: BoundTag, source: BoundTag, endpoint: str) -> None:
    if echo.python is int and not (echo.low <= source.low and source.high <= echo.high):
        raise ConfigError(
            endpoint,
            echo.name,
            echo.node,
            f"is {_kind_name(echo.kind)} and cannot hold every {source.name}, which is {_kind_name(source.kind)}: "
            "give both the same type",
        )
