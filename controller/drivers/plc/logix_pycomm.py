"""pycomm3 as the Logix client: the only file that knows it.

pycomm3 opens the connection and uploads tags and templates. Reading and writing are messages of our own, sent through
its packets: its `read` and `write` take each tag's path and type apart again on every poll, and its `write` of one tag
puts the request into the packet twice.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from pycomm3 import LogixDriver
from pycomm3.exceptions import PycommError, RequestError, ResponseError
from pycomm3.packets.ethernetip import SendUnitDataRequestPacket
from pycomm3.packets.util import tag_request_path

from controller.drivers.plc import logix_wire as wire
from controller.drivers.plc.logix_client import LogixTag, LogixValue, Refusal
from controller.drivers.plc.logix_socket import EchoSocket
from controller.errors import ConfigError, DeviceError, DeviceRefused, DeviceTimeout, DeviceUnavailable
from statemachines.vocabulary import Ns

_OVERHEAD = 16
"""Of a connected message: sequence count, service, path, count of services."""
_INDEX = re.compile(r"\[(\d+)]$")


class PycommClient:
    """LogixClient on pycomm3. host: with a port where it is not 44818; route: the controller's slot, or a CIP route."""

    def __init__(self, host: str, route: str) -> None:
        self._host, self._route = host, route
        self._socket = EchoSocket()
        try:
            self._driver = LogixDriver(f"{host}/{route}", init_tags=False)
        except RequestError as error:
            cure = "is no route: give the controller's slot (0), or port and link in turn (backplane/2/enet/10.0.0.7)"
            raise ConfigError(host, "route", route, cure) from error
        # The library makes a socket of its own only where it has none.
        self._driver._sock = self._socket  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]
        self._usable = False
        self._room = 0

    def open(self, names: Collection[str], until: Ns) -> Mapping[str, LogixTag | Refusal]:
        """Connect, upload the tags that have the names' common beginning, find each name among them."""
        with self._within(until):
            if not self._driver.open():
                raise DeviceRefused(self._host, "granted no session")
            if str(self._driver.info.get("product_name", "")).startswith("2080"):
                cure = "Micro800 controllers take no multiple services in one message: use Modbus TCP"
                raise ConfigError(self._host, "plc.kind", "ethernet_ip", cure)
            self._room = int(str(self._driver.connection_size)) - _OVERHEAD
            found: dict[str, LogixTag | Refusal] = {}
            scopes: dict[str, list[str]] = {}
            for name in names:
                scopes.setdefault(_scope(name), []).append(name)
            for scope, members in scopes.items():
                known = self._upload(scope, [name[len(scope) :] for name in members])
                found |= {name: _find(known, name, scope) for name in members}
            return found

    def read(self, tags: Sequence[LogixTag], until: Ns) -> list[LogixValue | Refusal]:
        """One or more messages of Read Tag services."""
        addresses = [_address(tag) for tag in tags]
        replies = self._serve([address.read for address in addresses], [a.reply_size for a in addresses], until)
        return [wire.value_in(address, reply) for address, reply in zip(addresses, replies, strict=True)]

    def write(self, tags: Sequence[LogixTag], values: Sequence[LogixValue], until: Ns) -> list[Refusal | None]:
        """One or more messages of Write Tag services."""
        requests = [wire.packed(_address(tag), value) for tag, value in zip(tags, values, strict=True)]
        replies = self._serve(requests, [wire.WRITE_REPLY_SIZE] * len(requests), until)
        return [wire.failure_in(reply, wire.WRITE) for reply in replies]

    def close(self, until: Ns) -> None:
        """Close connection and session where they still work: the controller need not wait for their time-out."""
        self._socket.until = until
        try:
            if self._usable:
                self._driver.close()
        except (PycommError, OSError):
            self.abort()
        finally:
            self._socket.close()

    def abort(self) -> None:
        """Shut the socket down; `close` gives it back."""
        self._usable = False
        self._socket.abort()

    @contextmanager
    def _within(self, until: Ns) -> Generator[None]:
        """Let nothing last longer, and turn the library's errors into ours."""
        self._socket.until, self._usable = until, False
        try:
            yield
        except (PycommError, OSError, struct.error) as error:
            raise _translated(self._host, error) from error
        self._usable = True

    def _upload(self, scope: str, names: Sequence[str]) -> Mapping[str, Mapping[str, Any]] | Refusal:
        """The definitions of one scope ("" or "Program:Name.") that begin as the names do."""
        beginning = _beginning([re.split(r"[.\[]", name, maxsplit=1)[0] for name in names])
        program = scope.removeprefix("Program:").removesuffix(".") or None
        if program is None:
            listed = self._driver.get_tag_list(cache=False, tag_namespace_filter=beginning)
            return {tag["tag_name"]: tag for tag in listed}
        # Where only a program's tags are listed the library has no table of programs yet, and needs one.
        self._driver.info.setdefault("programs", {})
        try:
            listed = self._driver.get_tag_list(program, cache=False, tag_namespace_filter=beginning)
        except ResponseError as error:
            if _cause(error, OSError) is not None:
                raise
            return Refusal(f"no tags of program {program} are listed ({_innermost(error)}): check its name")
        return {tag["tag_name"]: tag for tag in listed}

    def _serve(self, requests: Sequence[bytes], reply_sizes: Sequence[int], until: Ns) -> list[bytes]:
        """The services' replies in order, from as many messages as their sizes need."""
        replies: list[bytes] = []
        with self._within(until):
            for batch in wire.batches(requests, reply_sizes, self._room):
                replies += self._exchange(batch)
        return replies

    def _exchange(self, requests: Sequence[bytes]) -> list[bytes]:
        """One message with these services."""
        driver = self._driver
        packet = SendUnitDataRequestPacket(driver._sequence)  # pyright: ignore[reportPrivateUsage]
        raw = driver.send(packet.add(wire.MANY, wire.many(requests))).raw
        if raw[8:12] != b"\0\0\0\0":
            raise DeviceRefused(self._host, f"refused the message (encapsulation status {raw[8:12].hex()})")
        try:
            return wire.replies_in(raw[46:], len(requests))
        except wire.BadMessage as error:
            raise DeviceRefused(self._host, f"did not serve the message: {error}") from error


def _address(tag: LogixTag) -> wire.Address:
    assert isinstance(tag.address, wire.Address)
    return tag.address


def _beginning(names: Collection[str]) -> str:
    """What all names begin with."""
    first, last = min(names), max(names)
    return first[: next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))]


def _scope(name: str) -> str:
    return ".".join(name.split(".")[:1]) + "." if name.startswith("Program:") else ""


def _find(known: Mapping[str, Mapping[str, Any]] | Refusal, name: str, scope: str) -> LogixTag | Refusal:
    """One name among the uploaded definitions."""
    if isinstance(known, Refusal):
        return known
    members: Any = known
    found: Any = None
    access = "Unknown"
    for part in name[len(scope) :].split("."):
        bare = _INDEX.sub("", part)
        found = members.get(scope + bare if found is None else bare)
        if found is None:
            return Refusal(f"no such tag: the controller has no {bare}; create it, or give its name here")
        access = found.get("external_access", access)
        if (wrong := _wrong_index(part, bare, found)) is not None:
            return Refusal(wrong)
        members = found["data_type"].get("internal_tags", {}) if isinstance(found["data_type"], dict) else {}
    return _described(name, found, access)


def _wrong_index(part: str, bare: str, found: Mapping[str, Any]) -> str | None:
    """Why a name with or without an index does not fit the array, or none, that the controller has."""
    elements = int(found["dimensions"][0] if found.get("dim") else found.get("array", 0))
    index = _INDEX.search(part)
    if found.get("dim", 0) > 1:
        return f"{bare} has several dimensions: make it an array of one"
    if index is None:
        return f"{bare} is an array: make it a single tag, or name one element here" if elements else None
    if int(index.group(1)) >= elements:
        size = f"has {elements} elements only" if elements else "is no array"
        return f"{bare} {size}: make it an array as long as depth says"
    return None


def _described(name: str, found: Mapping[str, Any], access: str) -> LogixTag:
    path = tag_request_path(name, {}, False)
    assert path is not None
    kind, characters = str(found["data_type_name"]), 0
    address: wire.Address | None = None
    if kind in wire.CODES:
        address = wire.elementary(path, kind)
    elif isinstance(found["data_type"], dict) and "string" in found["data_type"]:
        kind, characters = "STRING", int(found["data_type"]["string"])
        template = found["data_type"]["template"]
        address = wire.string(path, template["structure_handle"], template["structure_size"])
    readable = access not in ("None", "Reserved")
    return LogixTag(name, kind, readable, readable and access != "Read Only", characters, address)


def _translated(host: str, error: Exception) -> DeviceError:
    if _cause(error, TimeoutError) is not None:
        return DeviceTimeout(host, "no answer in time")
    if (broken := _cause(error, OSError)) is not None:
        return DeviceUnavailable(host, f"connection lost ({broken})")
    return DeviceRefused(host, f"answered what cannot be used ({_innermost(error)})")


def _cause(error: BaseException | None, kind: type[BaseException]) -> BaseException | None:
    while error is not None and not isinstance(error, kind):
        error = error.__cause__
    return error


def _innermost(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error
