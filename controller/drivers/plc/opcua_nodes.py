"""Where each tag of the contract lies on an OPC UA server: node ids as vendors write them, namespaces by URI.

A server may number its namespaces anew after a firmware update or a download; an address by URI is turned into a
number at each connect. Syntax: OPC UA Part 6, chapter 5.3.1.10.
"""

from __future__ import annotations

import re
import uuid
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote

from asyncua import ua

from controller.drivers.plc.tags import TagSet
from controller.errors import ConfigError

Style = Literal["linegate", "siemens", "codesys", "beckhoff", "kepware"]

_SYNTAX = re.compile(r"(?:ns=(?P<index>\d{1,5});|nsu=(?P<uri>[^;]+);)?(?P<kind>[isgb])=(?P<identifier>.+)", re.DOTALL)
_EXAMPLE = "write it like ns=2;s=Name, nsu=urn:uri;s=Name, ns=3;i=1001, ns=3;g=<GUID> or ns=3;b=<base64>"


@dataclass(frozen=True, slots=True)
class StylePreset:
    """How one vendor writes node ids. root: where the tags lie unless the settings say otherwise."""

    pattern: str
    root: str


STYLES: Mapping[Style, StylePreset] = {
    "linegate": StylePreset("ns=2;s={root}.{tag}", "Linegate"),
    "siemens": StylePreset('nsu=http://www.siemens.com/simatic-s7-opcua;s="{root}".{quoted}', "DB_Linegate"),
    "codesys": StylePreset("nsu=CODESYSSPV3/3S/IecVarAccess;s=|var|{root}.{tag}", "PLC.Application.GVL.Linegate"),
    "beckhoff": StylePreset("nsu=urn:BeckhoffAutomation:Ua:PLC1;s={root}.{tag}", "GVL.Linegate"),
    "kepware": StylePreset("nsu=KEPServerEX;s={root}.{tag}", "Channel1.Device1.Linegate"),
}


@dataclass(frozen=True, slots=True)
class NodeAddress:
    """A node id whose namespace may still be a URI."""

    text: str
    namespace: int | str
    identifier: int | str | uuid.UUID | bytes

    def on(self, namespaces: Sequence[str]) -> ua.NodeId:
        """The node id on a server with these namespaces. Raises KeyError where it has no such URI."""
        index = self.namespace
        if isinstance(index, str):
            if index not in namespaces:
                raise KeyError(index)
            index = namespaces.index(index)
        # asyncua names the identifier's type after int alone; it takes all four.
        return ua.NodeId(self.identifier, index)  # pyright: ignore[reportArgumentType]

    def resolved(self, namespaces: Sequence[str], where: str, tag: str) -> ua.NodeId:
        """The same for a tag of the contract. Raises ConfigError."""
        try:
            return self.on(namespaces)
        except KeyError as error:
            cure = f"the server has no namespace {self.namespace}: take one of {', '.join(namespaces)}"
            raise ConfigError(where, tag, self.text, cure) from error


def parse_address(text: str) -> NodeAddress:
    """A node id as people write it. Raises ValueError, which says how."""
    found = _SYNTAX.fullmatch(text)
    if found is None:
        raise ValueError(f"is no node id: {_EXAMPLE}")
    # A URI with ; or % in it is written with %3B and %25.
    namespace = unquote(found["uri"]) if found["uri"] else int(found["index"] or 0)
    if isinstance(namespace, int) and namespace > 0xFFFF:
        raise ValueError(f"has namespace {namespace}: 65535 is the highest")
    raw, kind = found["identifier"], found["kind"]
    identifier: int | str | uuid.UUID | bytes = raw
    try:
        if kind == "i":
            identifier = int(raw)
        elif kind == "g":
            identifier = uuid.UUID(raw)
        elif kind == "b":
            identifier = b64decode(raw, validate=True)
    except (ValueError, Base64Error) as error:
        raise ValueError(f"has no valid {kind}= part: {_EXAMPLE}") from error
    if isinstance(identifier, int) and not 0 <= identifier < 1 << 32:
        raise ValueError(f"has the number {identifier}: 4294967295 is the highest")
    return NodeAddress(text, namespace, identifier)


def fill_pattern(pattern: str, root: str, tag: str) -> str:
    """The address of one tag. {tag}: its name; {quoted}: each of its parts in quotes; {root}: where the tags lie."""
    quoted = ".".join(re.sub(r"^([^\[]+)", r'"\1"', part) for part in tag.split("."))
    return pattern.replace("{root}", root).replace("{tag}", tag).replace("{quoted}", quoted)


def tag_addresses(
    tags: TagSet, depth: int, pattern: str, root: str, overrides: Mapping[str, str], where: str
) -> dict[str, NodeAddress]:
    """Every tag with its address. where: who to name in errors. Raises ConfigError."""
    names = tags.names(depth)
    for name in overrides:
        if name not in names:
            raise ConfigError(where, name, overrides[name], "is no tag of the contract: check the name")
    addresses: dict[str, NodeAddress] = {}
    taken: dict[str, str] = {}
    for name in names:
        text = overrides.get(name) or fill_pattern(pattern, root, name)
        try:
            addresses[name] = parse_address(text)
        except ValueError as error:
            raise ConfigError(where, name, text, str(error)) from error
        if text in taken:
            raise ConfigError(where, name, text, f"is the node of {taken[text]} too: each tag needs its own")
        taken[text] = name
    return addresses
