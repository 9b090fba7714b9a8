"""The PLC link over OPC UA: Linegate is a client of the PLC's own server.

One Read per poll, one Write per status, two Writes per answer. The connection is dropped after any error, by whoever
calls: this driver never reconnects by itself and never retries.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from asyncua import ua
from loguru import logger

from controller.drivers.plc import opcua_wire as wire
from controller.drivers.plc.opcua_binding import BoundTag, Nodes, TagRules, bind, read_namespaces, survey
from controller.drivers.plc.opcua_channel import Channel, status_name
from controller.drivers.plc.opcua_nodes import NodeAddress, fill_pattern, parse_address, tag_addresses
from controller.drivers.plc.opcua_security import SecuritySettings
from controller.drivers.plc.opcua_watch import TooSlow, Watch
from controller.drivers.plc.pacing import Pace
from controller.drivers.plc.tags import TAG_SETS, Profile, TagValue, answer_values
from controller.errors import ConfigError, DeviceRefused, DeviceUnavailable
from controller.ports import PlcReading, StatusValue, TagReport
from statemachines.vocabulary import MS, Answer, Ns, PlcHead, TriggerSlot

_WATCHED = frozenset({"TriggerSeq", "Enable", "SessionAck", "Trigger", "ResultAck"})
_MOST_AT_ONCE = 64
"""Tags per Read for a person who looks; small servers take no more than 100."""

_LOCK_OUT_NS = 30_000 * MS
"""How long a name and password that were refused are not tried again."""

_PLANS = 256
"""Read requests kept ready; a station asks for runs of at most `depth` neighbours, far fewer than this."""


@dataclass(frozen=True)
class OpcUaPlcSettings:
    """How to reach the tags.

    pattern: node id of a tag, with {tag}, {quoted} and {root} as in `opcua_nodes.fill_pattern`. overrides: tag
    ("Trigger[0].PartId") to node id, where the pattern does not fit.

    trigger "poll": read every `poll_ms`; "subscribe": read when the server reports a change, at most every
    `publishing_ms`, and at least every 50 ms. modulus: sequence numbers run from 1 to it.
    """

    endpoint: str
    depth: int = 8
    pattern: str = "ns=2;s={root}.{tag}"
    root: str = "Linegate"
    overrides: Mapping[str, str] = field(default_factory=dict[str, str])
    trigger: Literal["poll", "subscribe"] = "poll"
    poll_ms: float = 2.0
    publishing_ms: float = 10.0
    request_timeout_ms: float = 200.0
    part_id: Literal["int", "string"] = "int"
    modulus: int = 1 << 30
    profile: Profile = "sequence"
    security: SecuritySettings = SecuritySettings()


def addresses(settings: OpcUaPlcSettings) -> Mapping[str, str]:
    """Every tag of the contract by its full name with its node id as text. Raises ConfigError."""
    return {name: address.text for name, address in _addresses(settings).items()}


@dataclass(frozen=True, slots=True)
class _ReadPlan:
    """One prepared Read. tags: what comes back, the head first; slots: their trigger fields, six places each."""

    payload: bytes
    tags: tuple[BoundTag, ...]
    types: tuple[type, ...]
    slots: tuple[tuple[int | None, ...], ...]


class OpcUaPlc:
    """PlcLink over OPC UA. All methods on one event loop; requests may overlap."""

    def __init__(self, settings: OpcUaPlcSettings) -> None:
        """Raises ConfigError for settings that can never work."""
        self._settings = settings
        self._tags = TAG_SETS[settings.profile]
        self._endpoint = settings.endpoint
        self._addresses = _addresses(settings)
        self._channel: Channel | None = None
        self._watch: Watch | None = None
        self._pace = Pace(int(settings.poll_ms * MS))
        self._bound: dict[str, BoundTag] = {}
        self._head: tuple[tuple[str, BoundTag], ...] = ()
        self._plans: dict[tuple[int, ...], _ReadPlan] = {}
        self._status: dict[str, BoundTag] = {}
        self._results: tuple[tuple[BoundTag, ...], ...] = ()
        self._locked_out: tuple[int, ConfigError] | None = None
        self.notices: tuple[str, ...] = ()
        """What does not keep this connection from working, but from working as it was asked for."""

    @property
    def polls(self) -> bool:
        """Unless the server tells of changes."""
        return self._watch is None

    async def connect(self, deadline: Ns) -> None:
        """Connect, check every tag, prepare the requests. Raises ConfigError or DeviceError; then closed again."""
        await self.close()
        self._stay_out_for_a_while()
        channel = Channel(self._endpoint, int(self._settings.request_timeout_ms * MS), self._settings.security)
        connected = False
        try:
            await self._open(channel, deadline)
            nodes, rules = await self._locate(channel, deadline)
            self._prepare(await bind(channel, nodes, rules, deadline))
            self._watch, self.notices = None, ()
            if self._settings.trigger == "subscribe":
                await self._subscribe(channel, nodes, deadline)
            self._channel, connected = channel, True
        finally:
            if not connected:
                await channel.close()
        self._pace.restart()

    async def read(self, seqs: Sequence[int], deadline: Ns) -> PlcReading:
        """One Read: the head, TriggerSeq first, then one slot for each of `seqs`. Raises DeviceError."""
        channel = self._connected()
        depth = self._settings.depth
        key = tuple(self._tags.slot_of(seq, depth) for seq in seqs)
        plan = self._plans.get(key) or self._plan(key)
        sent_at = Ns(time.monotonic_ns())
        self._pace.started(sent_at)
        values = await channel.read(plan.payload, len(plan.tags), deadline)
        if tuple(map(type, values)) != plan.types:
            raise self._wrong_value(plan, values)
        head = self._head
        # Types were checked just now, value by value, against those of the tags.
        fields: dict[str, Any] = {name: value for (name, _), value in zip(head, values, strict=False)}
        slots = tuple(
            TriggerSlot(
                **{
                    name: values[place]
                    for (name, _), place in zip(self._tags.trigger, places, strict=True)
                    if place is not None
                }  # pyright: ignore[reportArgumentType]
            )
            for places in plan.slots
        )
        return PlcReading(sent_at, PlcHead(**fields), slots)

    async def changed(self, deadline: Ns) -> None:
        """Return when the next read is due, or at the deadline. Raises DeviceError when the connection is lost."""
        channel = self._connected()
        await channel.renew_if_due()
        if self._watch is not None:
            await self._watch.changed(deadline)
        else:
            await self._pace.due(deadline)

    async def write_status(self, values: Mapping[str, StatusValue], deadline: Ns) -> None:
        """One Write of single tags by contract name. Raises DeviceError, naming the tag that was refused."""
        channel = self._connected()
        tags = [self._status_tag(name) for name in values]
        await self._write(channel, tags, tuple(values.values()), deadline)

    async def write_answer(self, answer: Answer, deadline: Ns) -> None:
        """Write a result block, ResultSeq in a second request after the first succeeded. Raises DeviceError.

        A deadline in the past still gets 5 ms a request: an answer once handed over may be retried (rule f).
        """
        channel = self._connected()
        *fields, seq = self._results[self._tags.slot_of(answer.seq, self._settings.depth)]
        await self._write(channel, fields, answer_values(answer), deadline)
        await self._write(channel, (seq,), (answer.seq,), deadline)

    async def survey(self, deadline: Ns) -> tuple[TagReport, ...]:
        """Look at every tag on a connection of its own, whatever is wrong with it. Raises DeviceError, ConfigError."""
        channel = Channel(self._endpoint, int(self._settings.request_timeout_ms * MS), self._settings.security)
        try:
            await self._open(channel, deadline)
            findings = await survey(channel, *await self._locate(channel, deadline), deadline)
        finally:
            await channel.close()
        return tuple(
            TagReport(
                found.name,
                self._addresses[found.name].text,
                found.kind,
                found.access,
                str(found.problem or ""),
                "optional, not in this PLC" if found.missing and found.problem is None else found.doubt,
            )
            for found in findings
        )

    async def read_tags(self, names: Sequence[str], deadline: Ns) -> dict[str, StatusValue | None]:
        """Any tags by full name; None for one that the PLC does not have or cannot tell. Raises DeviceError."""
        channel = self._connected()
        found: dict[str, StatusValue | None] = dict.fromkeys(names)
        known = [tag for name in names if (tag := self._bound.get(name)) is not None]
        for start in range(0, len(known), _MOST_AT_ONCE):
            some = known[start : start + _MOST_AT_ONCE]
            values = await channel.read(wire.read_payload([tag.node_bytes for tag in some]), len(some), deadline)
            for tag, value in zip(some, values, strict=True):
                found[tag.name] = None if isinstance(value, wire.BadStatus) else value
        return found

    async def write_tags(self, values: Mapping[str, StatusValue], deadline: Ns) -> None:
        """One Write of any tags by full name. Raises DeviceError."""
        channel = self._connected()
        missing = [name for name in values if name not in self._bound]
        if missing:
            raise DeviceRefused(self._endpoint, f"{missing[0]} is no tag of this PLC")
        await self._write(channel, [self._bound[name] for name in values], tuple(values.values()), deadline)

    async def close(self) -> None:
        """Drop the connection: never raises, at most half a second. Requests still in flight fail."""
        channel, watch = self._channel, self._watch
        self._channel = self._watch = None
        if watch is not None:
            await watch.close()
        if channel is not None:
            await channel.close()

    async def _write(
        self, channel: Channel, tags: Sequence[BoundTag], values: Sequence[TagValue], deadline: Ns
    ) -> None:
        try:
            packed = [tag.packed(value) for tag, value in zip(tags, values, strict=True)]
        except ValueError as error:
            raise DeviceRefused(self._endpoint, str(error)) from error
        codes = await channel.write(wire.write_payload(packed), len(packed), deadline)
        if any(codes):
            for tag, code in zip(tags, codes, strict=True):
                if not wire.is_good(code):
                    raise DeviceRefused(self._endpoint, f"{tag.name} ({tag.node}) not written: {status_name(code)}")

    async def _open(self, channel: Channel, deadline: Ns) -> None:
        try:
            await channel.open(deadline)
        except ConfigError as error:
            if error.key.startswith("plc.security.user_"):
                self._locked_out = time.monotonic_ns() + _LOCK_OUT_NS, error
            raise

    def _stay_out_for_a_while(self) -> None:
        """Not try again at once what the server refused: PLCs lock out a user after a few wrong passwords."""
        if self._locked_out is not None:
            until, error = self._locked_out
            if time.monotonic_ns() < until:
                raise ConfigError(error.file, error.key, error.value, error.cure)
            self._locked_out = None

    async def _locate(self, channel: Channel, deadline: Ns) -> tuple[Nodes, TagRules]:
        """Every tag with its node id on this server, and what to ask of it. Raises ConfigError."""
        namespaces: list[str] = []
        if any(isinstance(address.namespace, str) for address in self._addresses.values()):
            namespaces = await read_namespaces(channel, deadline)
        settings = self._settings
        tags = self._tags.names(settings.depth)
        nodes = {
            name: (tags[name], address.resolved(namespaces, self._endpoint, name))
            for name, address in self._addresses.items()
        }

        def whole(name: str) -> ua.NodeId | None:
            try:
                return parse_address(fill_pattern(settings.pattern, settings.root, name)).on(namespaces)
            except (ValueError, KeyError):
                return None

        kind = int if settings.part_id == "int" else str
        return nodes, TagRules(self._endpoint, kind, settings.modulus, frozenset(settings.overrides), whole)

    async def _subscribe(self, channel: Channel, nodes: Nodes, deadline: Ns) -> None:
        """Subscribe, or poll where the server is slower than was asked for: a trigger must not wait for it."""
        settings = self._settings
        watched = [nodes[tag.name][1] for _, tag in self._tags.head if tag.name in _WATCHED]
        try:
            self._watch = await Watch.open(channel, watched, settings.publishing_ms, deadline)
        except TooSlow as slow:
            notice = f"{slow}, {settings.publishing_ms:g} ms were asked for: polling every {settings.poll_ms:g} ms"
            self.notices = (notice,)
            logger.warning("the PLC's subscription is too slow", endpoint=self._endpoint, why=notice)

    def _connected(self) -> Channel:
        if self._channel is None:
            raise DeviceUnavailable(self._endpoint, "not connected")
        return self._channel

    def _status_tag(self, name: str) -> BoundTag:
        tag = self._status.get(name)
        if tag is None:
            raise DeviceRefused(self._endpoint, f"{name} is no tag that the station writes")
        return tag

    def _prepare(self, bound: dict[str, BoundTag]) -> None:
        tags = self._tags
        self._bound, self._plans = bound, {}
        self._head = tuple((name, bound[tag.name]) for name, tag in tags.head if tag.name in bound)
        self._status = {tag.name: bound[tag.name] for tag in tags.status}
        self._results = tuple(
            tuple(bound[tag.at(index)] for tag in (*tags.result, tags.result_seq))
            for index in range(tags.slots(self._settings.depth))
        )

    def _plan(self, key: tuple[int, ...]) -> _ReadPlan:
        tags = [tag for _, tag in self._head]
        slots: list[tuple[int | None, ...]] = []
        for index in key:
            places: list[int | None] = []
            for _, tag in self._tags.trigger:
                found = self._bound.get(tag.at(index))
                places.append(None if found is None else len(tags))
                if found is not None:
                    tags.append(found)
            slots.append(tuple(places))
        payload = wire.read_payload([tag.node_bytes for tag in tags])
        plan = _ReadPlan(payload, tuple(tags), tuple(tag.python for tag in tags), tuple(slots))
        if len(self._plans) < _PLANS:
            self._plans[key] = plan
        return plan

    def _wrong_value(self, plan: _ReadPlan, values: Sequence[wire.WireValue | wire.BadStatus]) -> DeviceRefused:
        for tag, value in zip(plan.tags, values, strict=True):
            if isinstance(value, wire.BadStatus):
                return DeviceRefused(self._endpoint, f"{tag.name} ({tag.node}) not read: {status_name(value.code)}")
            if type(value) is not tag.python:
                return DeviceRefused(self._endpoint, f"{tag.name} ({tag.node}) = {value!r}: no {tag.python.__name__}")
        raise AssertionError("every value has its tag's type")


def _addresses(settings: OpcUaPlcSettings) -> dict[str, NodeAddress]:
    """Every tag with its address. Raises ConfigError."""
    if settings.depth < 2 or settings.depth & (settings.depth - 1):
        raise ConfigError(settings.endpoint, "depth", settings.depth, "must be a power of two, 2 or more")
    tags = TAG_SETS[settings.profile]
    return tag_addresses(tags, settings.depth, settings.pattern, settings.root, settings.overrides, settings.endpoint)
