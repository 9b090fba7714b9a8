"""What each tag of the contract is on this server: node, type, range and access, found and checked when connecting."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from asyncua import ua
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.status_codes import StatusCodes
from asyncua.ua.ua_binary import nodeid_to_binary
from loguru import logger

from controller.drivers.plc import opcua_wire as wire
from controller.drivers.plc.opcua_channel import Channel, status_name
from controller.drivers.plc.tags import Direction, Span, Tag, TagType, TagValue
from controller.errors import ConfigError, ControllerError, DeviceRefused
from statemachines.vocabulary import Ns

_BATCH = 32
"""Tags per Read while checking: three attributes each, under the 100 nodes per Read that small servers allow."""

_ATTRIBUTES = (AttributeIds.DataType, AttributeIds.Value, AttributeIds.UserAccessLevel)
_NAMESPACE_ARRAY = ua.NodeId.from_string("i=2255")
_MISSING = (StatusCodes.BadNodeIdUnknown, StatusCodes.BadNodeIdInvalid)
_READABLE, _WRITABLE = 1, 2
_INTEGERS: dict[int, tuple[int, int]] = {
    kind: (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    for kind, bits, signed in (
        (2, 8, True), (3, 8, False), (4, 16, True), (5, 16, False),
        (6, 32, True), (7, 32, False), (8, 64, True), (9, 64, False),
    )
}  # fmt: skip
_BOOLEAN, _FLOAT, _DOUBLE, _STRING, _STRUCTURE = 1, 10, 11, 12, 22


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
    whole: Callable[[str], ua.NodeId | None]
    """Where "Trigger[0]" or "Trigger" would lie, if a server had it as one value; None when it cannot be said."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one tag. bound: it can be used. problem: why it cannot. doubt: what could not be checked.

    Neither bound nor problem: an optional tag that the PLC does not have.
    """

    name: str
    node: str
    kind: str = ""
    access: str = ""
    bound: BoundTag | None = None
    problem: ControllerError | None = None
    doubt: str = ""
    missing: bool = False


Nodes = Mapping[str, tuple[Tag, ua.NodeId]]


async def bind(channel: Channel, nodes: Nodes, rules: TagRules, deadline: Ns) -> dict[str, BoundTag]:
    """Check every tag on the server. Raises ConfigError for the first that can never work, DeviceError otherwise."""
    bound: dict[str, BoundTag] = {}
    doubtful: list[str] = []
    for finding in await survey(channel, nodes, rules, deadline):
        if finding.problem is not None:
            raise finding.problem
        if finding.doubt:
            doubtful.append(finding.name)
        if finding.bound is not None:
            bound[finding.name] = finding.bound
    if doubtful:
        logger.warning("the server does not say who may use these tags", endpoint=rules.endpoint, tags=doubtful)
    return bound


async def survey(channel: Channel, nodes: Nodes, rules: TagRules, deadline: Ns) -> list[Finding]:
    """Look at every tag on the server, whatever is wrong with the others. Raises DeviceError."""
    findings: list[Finding] = []
    for batch in _batches(list(nodes.items())):
        asked = [(node, attribute) for _, (_, node) in batch for attribute in _ATTRIBUTES]
        answers = await _read(channel, asked, deadline)
        for index, (name, (tag, node)) in enumerate(batch):
            findings.append(_find(name, tag, node, answers[index * 3 : index * 3 + 3], rules))
    await _explain_missing(channel, findings, rules, deadline)
    by_name = {finding.name: finding for finding in findings}
    return [_with_echo(finding, nodes[finding.name][0], by_name, rules.endpoint) for finding in findings]


async def read_namespaces(channel: Channel, deadline: Ns) -> list[str]:
    """The server's namespace URIs by their number. Raises DeviceError."""
    (array,) = await _read(channel, [(_NAMESPACE_ARRAY, AttributeIds.Value)], deadline)
    found = array.Value.Value if array.Value is not None and wire.is_good(_code(array)) else None
    if not isinstance(found, list):
        raise DeviceRefused(channel.endpoint, "does not tell its namespaces: name them by number (ns=…)")
    return [str(uri) for uri in found]


async def _read(
    channel: Channel, asked: Sequence[tuple[ua.NodeId, AttributeIds]], deadline: Ns
) -> Sequence[ua.DataValue]:
    request = ua.ReadRequest()
    request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Neither
    request.Parameters.NodesToRead = [ua.ReadValueId(NodeId=node, AttributeId=attribute) for node, attribute in asked]
    reply = await channel.call(request, ua.ReadResponse, deadline)
    if len(reply.Results) != len(asked):
        raise DeviceRefused(channel.endpoint, "answered fewer attributes than were asked for")
    return reply.Results


def _batches(
    items: Sequence[tuple[str, tuple[Tag, ua.NodeId]]],
) -> Iterator[Sequence[tuple[str, tuple[Tag, ua.NodeId]]]]:
    for start in range(0, len(items), _BATCH):
        yield items[start : start + _BATCH]


def _find(name: str, tag: Tag, node: ua.NodeId, attributes: Sequence[ua.DataValue], rules: TagRules) -> Finding:
    text = node.to_string()
    data_type, value, access = attributes
    kind, rights = _kind(data_type, value), _rights(access)
    found = Finding(name, text, _kind_name(kind), rights or "unknown")
    try:
        if _code(value) in _MISSING or _code(data_type) in _MISSING:
            found = Finding(name, text, missing=True)
            if tag.optional and name not in rules.named:
                return found
            cure = "no such node: create the tag in the PLC or name its node here"
            raise ConfigError(rules.endpoint, name, text, cure)
        _check_access(name, tag, text, rights, _code(value), rules.endpoint)
        doubt = "" if rights else "the server does not say who may use it"
        return replace(found, bound=_bound(name, tag, node, kind, rules), doubt=doubt)
    except (ConfigError, DeviceRefused) as error:
        return replace(found, problem=error)


def _bound(name: str, tag: Tag, node: ua.NodeId, kind: int, rules: TagRules) -> BoundTag:
    text = node.to_string()
    python = _python(tag, kind, rules)
    if python is None:
        what = _kind_name(kind) or "an array or of no type that may be read"
        if kind == _STRUCTURE:
            what = "a structure; only single values can be read"
        raise ConfigError(rules.endpoint, name, text, f"is {what}: make it {_wanted(tag, rules)}")
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


def _rights(access: ua.DataValue) -> str:
    """What this user may do; nothing where the server does not say."""
    level = access.Value.Value if access.Value is not None and wire.is_good(_code(access)) else None
    if not isinstance(level, int):
        return ""
    words = ["read"] * bool(level & _READABLE) + ["write"] * bool(level & _WRITABLE)
    return ", ".join(words) or "none"


def _check_access(name: str, tag: Tag, node: str, rights: str, value_code: int, endpoint: str) -> None:
    incoming = tag.direction is Direction.PLC_TO_STATION
    wanted, word = ("read", "readable") if incoming else ("write", "writable")
    if rights and wanted not in rights:
        raise ConfigError(endpoint, name, node, f"is not {word} for this user: grant it in the PLC's OPC UA settings")
    if incoming and not wire.is_good(value_code):
        raise DeviceRefused(endpoint, f"{name} ({node}): {status_name(value_code)}")


async def _explain_missing(channel: Channel, findings: list[Finding], rules: TagRules, deadline: Ns) -> None:
    """Say so where the first field is missing because the server has its structure or array as one value."""
    for index, finding in enumerate(findings):
        slot = finding.name.rpartition(".")[0]
        if not finding.missing or finding.problem is None or not slot:
            continue
        wholes = [node for whole in dict.fromkeys((slot, slot.partition("[")[0])) if (node := rules.whole(whole))]
        answers = await _read(channel, [(node, AttributeIds.DataType) for node in wholes], deadline)
        for node, data_type in zip(wholes, answers, strict=True):
            if wire.is_good(_code(data_type)):
                cure = (
                    f"no such node, though the server has {node.to_string()}: structures and arrays are not read "
                    "as a whole; make each field visible as a node of its own"
                )
                problem = ConfigError(rules.endpoint, finding.name, finding.node, cure)
                findings[index] = replace(finding, problem=problem)
        return


def _kind(data_type: ua.DataValue, value: ua.DataValue) -> int:
    """Number of the built-in type: by DataType where that names one, else by the value's own.

    Vendors alias types, and some servers do not let everyone read DataType.
    """
    identifier = data_type.Value.Value if data_type.Value is not None and wire.is_good(_code(data_type)) else None
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
    return ua.VariantType(kind).name if 0 < kind <= 25 else ""


def _with_echo(finding: Finding, tag: Tag, found: Mapping[str, Finding], endpoint: str) -> Finding:
    """A tag that repeats another one must be able to hold all of its values."""
    source = found[tag.echoes.replace("[i]", "[0]")].bound if tag.echoes else None
    echo = finding.bound
    if echo is None or source is None or echo.python is not int:
        return finding
    if echo.low <= source.low and source.high <= echo.high:
        return finding
    cure = (
        f"is {_kind_name(echo.kind)} and cannot hold every {source.name}, which is {_kind_name(source.kind)}: "
        "give both the same type"
    )
    return replace(finding, problem=ConfigError(endpoint, echo.name, echo.node, cure))
