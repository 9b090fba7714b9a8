"""The PLC link over EtherNet/IP: Linegate is a client of a Logix controller's tags.

One packet per poll, one per status, two per answer. A blocking client library works in a thread of its own, one for
each connection. After any error the connection and its client are thrown away, by whoever calls: this driver never
reconnects by itself and never retries.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from controller.drivers.plc.logix_binding import BoundTag, TagRules, bind, logix_names, survey
from controller.drivers.plc.logix_client import LogixClient, LogixTag, LogixValue, Refusal
from controller.drivers.plc.logix_connection import LogixConnection
from controller.drivers.plc.logix_pycomm import PycommClient
from controller.drivers.plc.pacing import Pace
from controller.drivers.plc.tags import TAG_SETS, Profile, TagValue, answer_values
from controller.errors import ConfigError, DeviceRefused, DeviceUnavailable
from controller.ports import PlcReading, StatusValue, TagReport
from statemachines.vocabulary import MS, Answer, Ns, PlcHead, TriggerSlot

_FLOOR_NS = 5 * MS
"""Least time for a request: an answer once handed over may be retried past its deadline (rule f)."""
_PLANS = 256
"""Read requests kept ready; a station asks for runs of at most `depth` neighbours, far fewer than this."""


@dataclass(frozen=True)
class EthernetIpPlcSettings:
    """How to reach the tags. address: host, or host:port; route: slot of the controller, or a CIP route to it.

    pattern: {tag} stands for "Trigger[0].PartId", {flat} for "Trigger_PartId[0]". overrides: tag to Logix name, where
    the pattern does not fit. modulus: sequence numbers run from 1 to it. on_start: first thing on the link's thread.
    """

    address: str
    route: str = "0"
    depth: int = 8
    pattern: str = "Linegate.{tag}"
    overrides: Mapping[str, str] = field(default_factory=dict[str, str])
    poll_ms: float = 2.0
    request_timeout_ms: float = 200.0
    part_id: Literal["int", "string"] = "int"
    modulus: int = 1 << 30
    profile: Profile = "sequence"
    on_start: Callable[[], None] = lambda: None


def addresses(settings: EthernetIpPlcSettings) -> Mapping[str, str]:
    """Every tag of the contract by its full name, with its tag in the controller. Raises ConfigError."""
    if settings.depth < 2 or settings.depth & (settings.depth - 1):
        raise ConfigError(settings.address, "depth", settings.depth, "must be a power of two, 2 or more")
    return logix_names(settings.address, settings.profile, settings.depth, settings.pattern, settings.overrides)


@dataclass(frozen=True, slots=True)
class _ReadPlan:
    """One prepared read. tags: what comes back, the head first; slots: their trigger fields, their places by name."""

    tags: tuple[BoundTag, ...]
    wire: tuple[LogixTag, ...]
    slots: tuple[Mapping[str, int], ...]


class EthernetIpPlc:
    """PlcLink over EtherNet/IP. All methods on one event loop; requests may overlap, and are sent one by one."""

    def __init__(
        self, settings: EthernetIpPlcSettings, client: Callable[[str, str], LogixClient] = PycommClient
    ) -> None:
        """Raises ConfigError for settings that can never work."""
        self._settings = settings
        self._new_client = client
        self._tags = TAG_SETS[settings.profile]
        self._names = addresses(settings)
        self._connection: LogixConnection | None = None
        self._last: LogixConnection | None = None
        self._pace = Pace(int(settings.poll_ms * MS))
        self._bound: dict[str, BoundTag] = {}
        self._head: tuple[tuple[str, BoundTag], ...] = ()
        self._plans: dict[tuple[int, ...], _ReadPlan] = {}
        self._results: tuple[tuple[BoundTag, ...], ...] = ()
        self.notices: tuple[str, ...] = ()
        """Nothing: what was asked for is what it does."""

    @property
    def polls(self) -> bool:
        """Always: nobody tells it of a change."""
        return True

    async def connect(self, deadline: Ns) -> None:
        """Connect, upload the tag list, check every tag. Raises ConfigError or DeviceError; then closed again."""
        await self.close()
        connection, found = await self._upload(deadline)
        try:
            self._prepare(bind(self._names, found, self._tags.names(self._settings.depth), self._rules()))
            self._connection = connection
        finally:
            if self._connection is None:
                await connection.close()
        self._pace.restart()

    async def read(self, seqs: Sequence[int], deadline: Ns) -> PlcReading:
        """The head, TriggerSeq first, then one slot for each of `seqs`; one packet if it fits. Raises DeviceError."""
        connection = self._connected()
        key = tuple(self._tags.slot_of(seq, self._settings.depth) for seq in seqs)
        plan = self._plans.get(key) or self._plan(key)
        sent_at = Ns(time.monotonic_ns())
        self._pace.started(sent_at)
        values = await connection.run(lambda client: client.read(plan.wire, self._until(deadline)))
        for tag, value in zip(plan.tags, values, strict=True):
            if type(value) is not tag.python:
                raise self._not_done(tag, "read", value)
        # Types were checked just now, value by value, against those of the tags.
        head: dict[str, Any] = {name: value for (name, _), value in zip(self._head, values, strict=False)}
        slots: list[dict[str, Any]] = [{name: values[at] for name, at in places.items()} for places in plan.slots]
        return PlcReading(sent_at, PlcHead(**head), tuple(TriggerSlot(**fields) for fields in slots))

    async def changed(self, deadline: Ns) -> None:
        """Return when the next read is due, or at the deadline. Raises DeviceError when the connection is lost."""
        self._connected()
        await self._pace.due(deadline)

    async def write_status(self, values: Mapping[str, StatusValue], deadline: Ns) -> None:
        """Write single tags by contract name. Raises DeviceError, naming the tag that was refused."""
        connection = self._connected()
        status = {tag.name for tag in self._tags.status}
        for name in values:
            if name not in status:
                raise DeviceRefused(self._settings.address, f"{name} is no tag that the station writes")
        tags = [self._bound[name] for name in values]
        fitting = self._fitting(tags, tuple(values.values()))
        await connection.run(lambda client: self._write(client, tags, fitting, deadline))

    async def write_answer(self, answer: Answer, deadline: Ns) -> None:
        """Write a result block, ResultSeq in a second request after the first succeeded. Raises DeviceError."""
        connection = self._connected()
        *fields, seq = self._results[self._tags.slot_of(answer.seq, self._settings.depth)]
        block = self._fitting(fields, answer_values(answer))
        number = self._fitting((seq,), (answer.seq,))

        def write(client: LogixClient) -> None:
            self._write(client, fields, block, deadline)
            self._write(client, (seq,), number, deadline)

        await connection.run(write)

    async def survey(self, deadline: Ns) -> tuple[TagReport, ...]:
        """Look at every tag in the controller's own list, on a connection of its own. Raises DeviceError."""
        connection, found = await self._upload(deadline)
        await connection.close()
        return survey(self._names, found, self._tags.names(self._settings.depth), self._rules())

    async def read_tags(self, names: Sequence[str], deadline: Ns) -> dict[str, StatusValue | None]:
        """Any tags by full name; None for one that is not there or cannot be read. Raises DeviceError."""
        connection = self._connected()
        found: dict[str, StatusValue | None] = dict.fromkeys(names)
        known = [self._bound[name] for name in names if name in self._bound]
        wire = [tag.tag for tag in known]
        values = await connection.run(lambda client: client.read(wire, self._until(deadline)))
        for tag, value in zip(known, values, strict=True):
            found[tag.name] = None if isinstance(value, Refusal) else value
        return found

    async def write_tags(self, values: Mapping[str, StatusValue], deadline: Ns) -> None:
        """Any tags by full name, in as few messages as the connection allows. Raises DeviceError."""
        connection = self._connected()
        missing = [name for name in values if name not in self._bound]
        if missing:
            raise DeviceRefused(self._settings.address, f"{missing[0]} is no tag of this controller")
        tags = [self._bound[name] for name in values]
        fitting = self._fitting(tags, tuple(values.values()))
        await connection.run(lambda client: self._write(client, tags, fitting, deadline))

    async def close(self) -> None:
        """Drop the connection: never raises, at most half a second. Requests still in flight fail."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _upload(self, deadline: Ns) -> tuple[LogixConnection, Mapping[str, LogixTag | Refusal]]:
        """A new connection, and what the controller says of every tag by its name there. Raises DeviceError."""
        settings = self._settings
        if self._last is not None and not self._last.ended:
            raise DeviceUnavailable(settings.address, "the last connection attempt has not come back yet")
        connection = LogixConnection(self._new_client(settings.address, settings.route), settings.on_start)
        self._last = connection
        names = frozenset(self._names.values())
        try:
            return connection, await connection.run(lambda client: client.open(names, deadline))
        except BaseException:
            await connection.close()
            raise

    def _rules(self) -> TagRules:
        settings = self._settings
        part_id = int if settings.part_id == "int" else str
        return TagRules(settings.address, part_id, settings.modulus, frozenset(settings.overrides))

    def _until(self, deadline: Ns) -> Ns:
        """When one request must be over. On the client's thread: time spent in its queue counts."""
        now = time.monotonic_ns()
        return Ns(min(max(deadline, now + _FLOOR_NS), now + int(self._settings.request_timeout_ms * MS)))

    def _write(self, client: LogixClient, tags: Sequence[BoundTag], values: Sequence[LogixValue], deadline: Ns) -> None:
        outcomes = client.write([tag.tag for tag in tags], values, self._until(deadline))
        for tag, refusal in zip(tags, outcomes, strict=True):
            if refusal is not None:
                raise self._not_done(tag, "written", refusal)

    def _fitting(self, tags: Sequence[BoundTag], values: Sequence[TagValue]) -> list[LogixValue]:
        try:
            return [tag.fitting(value) for tag, value in zip(tags, values, strict=True)]
        except ValueError as error:
            raise DeviceRefused(self._settings.address, str(error)) from error

    def _connected(self) -> LogixConnection:
        if self._connection is None:
            raise DeviceUnavailable(self._settings.address, "not connected")
        self._connection.check()
        return self._connection

    def _prepare(self, bound: dict[str, BoundTag]) -> None:
        tags = self._tags
        self._bound, self._plans = bound, {}
        self._head = tuple((name, bound[tag.name]) for name, tag in tags.head if tag.name in bound)
        self._results = tuple(
            tuple(bound[tag.at(index)] for tag in (*tags.result, tags.result_seq))
            for index in range(tags.slots(self._settings.depth))
        )

    def _plan(self, key: tuple[int, ...]) -> _ReadPlan:
        tags = [tag for _, tag in self._head]
        slots: list[Mapping[str, int]] = []
        for index in key:
            places: dict[str, int] = {}
            for name, tag in self._tags.trigger:
                found = self._bound.get(tag.at(index))
                if found is not None:
                    places[name] = len(tags)
                    tags.append(found)
            slots.append(places)
        plan = _ReadPlan(tuple(tags), tuple(tag.tag for tag in tags), tuple(slots))
        if len(self._plans) < _PLANS:
            self._plans[key] = plan
        return plan

    def _not_done(self, tag: BoundTag, what: str, why: LogixValue | Refusal) -> DeviceRefused:
        reason = why.why if isinstance(why, Refusal) else f"{why!r} is no {tag.python.__name__}"
        return DeviceRefused(self._settings.address, f"{tag.name} ({tag.tag.name}) not {what}: {reason}")
