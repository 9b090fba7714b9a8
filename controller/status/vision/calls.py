"""Methods of the companion models as asyncua calls them: arguments checked against the declaration, results typed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from enum import IntEnum
from typing import Any

from asyncua import ua
from asyncua.server.address_space import AddressSpace
from asyncua.server.server import Server
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes

from controller.status.access import method_access
from controller.status.commands import one_line
from controller.status.vision.instances import supertypes

LONGEST_TEXT = 500


class Error(IntEnum):
    """The models' Error argument: 0 is OK, what is below 0 is the application's own."""

    OK = 0
    REFUSED = -1
    UNKNOWN = -2
    EXISTS = -3
    IN_FORCE = -4
    UNREADABLE = -5
    TIMEOUT = -6


class Refused(Exception):
    """The call fails as a whole, with this status code."""

    def __init__(self, code: int) -> None:
        super().__init__(hex(code))
        self.code = code


_BUILT_IN = frozenset(kind.value for kind in ua.VariantType if kind.value)
Declared = tuple[ua.Argument, ua.VariantType]
"""An argument and the built-in type that it is sent as."""
Work = Callable[..., Awaitable[Sequence[Any]]]
"""Takes one plain value for each input argument, returns one for each output argument."""


def link(server: Server, node_id: ua.NodeId, work: Work) -> None:
    """Let a method node call `work`. Raises KeyError where access.py does not know the method."""
    method_access(str(node_id.Identifier))
    space = server.iserver.aspace
    inputs, outputs = _arguments(server, node_id, "InputArguments"), _arguments(server, node_id, "OutputArguments")

    async def serve(_parent: ua.NodeId, *variants: ua.Variant) -> Any:
        try:
            results = await work(*_checked(inputs, variants))
        except Refused as refused:
            return ua.StatusCode(ua.UInt32(refused.code))
        return [_variant(declared, value) for declared, value in zip(outputs, results, strict=True)]

    space[node_id].call = serve


def text(value: Any) -> str:
    """A client's text, or Bad_InvalidArgument where it is longer than anything that belongs into the journal."""
    found = "" if value is None else str(value)
    if len(found) > LONGEST_TEXT:
        raise Refused(StatusCodes.BadInvalidArgument)
    return one_line(found)


def _arguments(server: Server, method: ua.NodeId, name: str) -> list[Declared]:
    space = server.iserver.aspace
    for reference in space[method].references:
        if reference.IsForward and reference.BrowseName.Name == name:
            held = space[reference.NodeId].attributes[AttributeIds.Value].value
            found: list[ua.Argument] = list(held.Value.Value or []) if held is not None and held.Value else []
            return [(argument, built_in(space, argument.DataType)) for argument in found]
    return []


def _checked(inputs: list[Declared], variants: Sequence[ua.Variant]) -> list[Any]:
    if len(variants) < len(inputs):
        raise Refused(StatusCodes.BadArgumentsMissing)
    if len(variants) > len(inputs):
        raise Refused(StatusCodes.BadTooManyArguments)
    return [_plain(declared, variant) for declared, variant in zip(inputs, variants, strict=True)]


def _plain(declared: Declared, variant: ua.Variant) -> Any:
    (argument, sent_as), value = declared, variant.Value
    kind = argument.DataType
    if argument.ValueRank >= 1:
        if value is not None and not isinstance(value, list):
            raise Refused(StatusCodes.BadInvalidArgument)
        return value or []
    structure = ua.uatypes.extension_objects_by_datatype.get(kind)
    if structure is not None:
        if value is not None and not isinstance(value, structure):
            raise Refused(StatusCodes.BadInvalidArgument)
        return structure() if value is None else value
    if isinstance(value, list) or variant.VariantType != sent_as:
        raise Refused(StatusCodes.BadInvalidArgument)
    return value


def built_in(space: AddressSpace, kind: ua.NodeId) -> ua.VariantType:
    """The built-in type that a data type is sent as: the first one among itself and the types above it."""
    for data_type in (kind, *supertypes(space, kind)):
        number = data_type.Identifier if data_type.NamespaceIndex == 0 else 0
        if number == ObjectIds.Enumeration:
            return ua.VariantType.Int32
        if number in _BUILT_IN:
            return ua.VariantType(number)
    return ua.VariantType.Variant


def _variant(declared: Declared, value: Any) -> ua.Variant:
    argument, sent_as = declared
    return ua.Variant(value, sent_as, is_array=argument.ValueRank >= 1)
