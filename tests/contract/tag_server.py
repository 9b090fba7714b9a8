"""An OPC UA server in the test's own process that holds the tags of the contract, built from their table."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

from asyncua import ua
from asyncua.server.server import Server
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.status_codes import StatusCodes

from controller.drivers.plc.opcua_nodes import NodeAddress, fill_pattern, parse_address
from controller.drivers.plc.tags import TAG_SETS, Direction, Profile, Tag, TagType

VariantType = ua.VariantType


@dataclass
class TagServerSettings:
    """How the pretended PLC differs from the usual one."""

    depth: int = 8
    integer: ua.VariantType = VariantType.Int32
    part_id: ua.VariantType = VariantType.Int32
    types: Mapping[str, ua.VariantType] = field(default_factory=dict[str, ua.VariantType])
    """Other types for single tags, by full name."""
    missing: frozenset[str] = frozenset()
    read_only: frozenset[str] = frozenset()
    rename: Mapping[str, str] = field(default_factory=dict[str, str])
    """Other node identifiers, by full name."""
    pattern: str = "ns=2;s=Linegate.{tag}"
    """Node id of each tag."""
    namespaces: tuple[str, ...] = ("urn:linegate:test-plc",)
    """URIs from number 2 on."""
    profile: Profile = "sequence"
    fastest_ms: float = 0.0
    """Subscriptions publish and sample no faster than this."""


def free_port() -> int:
    """A port of the loopback interface that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class TagServer:
    """The PLC's side: set tags, read what the station wrote, see the order of its writes."""

    def __init__(self, settings: TagServerSettings | None = None, port: int | None = None) -> None:
        self.settings = settings or TagServerSettings()
        self.port = port or free_port()
        self.writes: list[tuple[str, Any]] = []
        self.on_write: Callable[[str], None] | None = None
        self._server = self._made_server()
        self._tags = TAG_SETS[self.settings.profile]
        self._nodes: dict[str, Any] = {}
        self._kinds: dict[str, ua.VariantType] = {}

    @property
    def endpoint(self) -> str:
        """Where it listens."""
        return f"opc.tcp://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        await self._server.init()
        self._server.set_endpoint(self.endpoint)
        await self._secure(self._server)
        for uri in self.settings.namespaces:
            await self._server.register_namespace(uri)
        for name, tag in self._tags.names(self.settings.depth).items():
            if name not in self.settings.missing:
                await self._add(name, tag)
        await self._server.start()
        self._slow_down(self._server.iserver.subscription_service)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def subscriptions(self) -> int:
        """How many are alive."""
        return len(self._server.iserver.subscription_service.subscriptions)

    def _slow_down(self, service: Any) -> None:
        create = service.create_subscription

        async def revised(params: ua.CreateSubscriptionParameters, *others: Any, **named: Any) -> Any:
            params.RequestedPublishingInterval = max(params.RequestedPublishingInterval, self.settings.fastest_ms)
            return await create(params, *others, **named)

        service.create_subscription = revised

    def hide(self, name: str, attribute: AttributeIds) -> None:
        """Let nobody read this attribute of a tag, as servers with rights per attribute do."""

        def refuse(_node: ua.NodeId, _attribute: AttributeIds) -> ua.DataValue:
            return ua.DataValue(None, ua.StatusCode(ua.UInt32(StatusCodes.BadUserAccessDenied)))

        self._server.iserver.aspace.set_attribute_value_callback(self._nodes[name].nodeid, attribute, refuse)

    def _made_server(self) -> Server:
        return Server()

    async def _secure(self, server: Server) -> None:
        """Say who may connect, and how."""
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])

    async def add_node(self, identifier: str | NodeAddress, kind: ua.VariantType, value: Any = None) -> None:
        """A writable node besides the contract's own, for overrides. A text is an identifier in namespace 2."""
        if isinstance(identifier, str):
            identifier = NodeAddress(identifier, 2, identifier)
        start = value if value is not None else False if kind is VariantType.Boolean else 0
        node = await self._server.nodes.objects.add_variable(
            identifier.on(await self._server.get_namespace_array()), f"2:{identifier.text}", ua.Variant(start, kind)
        )
        await node.set_writable()

    async def stop(self) -> None:
        """Stop serving and cut every connection."""
        with suppress(OSError):
            await self._server.stop()

    async def set(self, name: str, value: Any) -> None:
        """Write a tag as the PLC's program does."""
        await self._server.write_attribute_value(
            self._nodes[name].nodeid, ua.DataValue(ua.Variant(value, self._kinds[name]))
        )

    async def set_status(self, name: str, code: int) -> None:
        """Give a tag a quality other than good."""
        await self._server.write_attribute_value(
            self._nodes[name].nodeid,
            ua.DataValue(ua.Variant(self._start_value(name), self._kinds[name]), ua.StatusCode(ua.UInt32(code))),
        )

    def set_as(self, name: str, value: Any, kind: ua.VariantType) -> None:
        """Let a tag change its type behind the station's back, as a download of another program does."""
        found = ua.DataValue(ua.Variant(value, kind))

        def answer(_node: ua.NodeId, _attribute: AttributeIds) -> ua.DataValue:
            return found

        self._server.iserver.aspace.set_attribute_value_callback(self._nodes[name].nodeid, AttributeIds.Value, answer)

    async def reset(self) -> None:
        """Every tag as at the start."""
        for name, tag in self._tags.names(self.settings.depth).items():
            if name in self._nodes:
                await self.set(name, self._start_value(name))
                if tag.direction is Direction.STATION_TO_PLC and name not in self.settings.read_only:
                    await self._nodes[name].set_writable()
        self.writes.clear()
        self.on_write = None

    async def get(self, name: str) -> Any:
        """A tag's present value."""
        return await self._nodes[name].read_value()

    async def forbid(self, name: str) -> None:
        """Take away the right to write a tag while the station is connected."""
        await self._nodes[name].set_writable(False)

    def _start_value(self, name: str) -> Any:
        kind = self._kinds[name]
        if kind is VariantType.Boolean:
            return False
        if kind in (VariantType.Float, VariantType.Double):
            return 0.0
        return "" if kind is VariantType.String else 0

    def _kind(self, name: str, tag: Tag) -> ua.VariantType:
        usual = {
            TagType.DINT: self.settings.integer,
            TagType.BOOL: VariantType.Boolean,
            TagType.REAL: VariantType.Float,
            TagType.PART_ID: self.settings.part_id,
        }[tag.type]
        return self.settings.types.get(name, usual)

    async def _add(self, name: str, tag: Tag) -> None:
        self._kinds[name] = self._kind(name, tag)
        renamed = self.settings.rename.get(name)
        text = f"ns=2;s={renamed}" if renamed else fill_pattern(self.settings.pattern, "", name)
        node = await self._server.nodes.objects.add_variable(
            parse_address(text).on(await self._server.get_namespace_array()),
            f"2:{name}",
            ua.Variant(self._start_value(name), self._kinds[name]),
        )
        self._nodes[name] = node
        if tag.direction is Direction.STATION_TO_PLC and name not in self.settings.read_only:
            await node.set_writable()

        async def remember(_: int, value: ua.DataValue) -> None:
            self.writes.append((name, value.Value.Value if value.Value is not None else None))
            if self.on_write is not None:
                self.on_write(name)

        if tag.direction is Direction.STATION_TO_PLC:
            self._server.iserver.aspace.add_datachange_callback(node.nodeid, AttributeIds.Value, remember)


class FreezingProxy:
    """A TCP relay that can hold everything back without closing anything: what a frozen PLC looks like."""

    def __init__(self, target_port: int, port: int = 0) -> None:
        self._target, self._wanted = target_port, port
        self._frozen = False
        self._held: dict[asyncio.StreamWriter, bytearray] = {}
        self.hung_up = asyncio.Event()
        """Set once the station has closed a connection."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None
        self.port = 0

    async def __aenter__(self) -> FreezingProxy:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._wanted)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()

    async def kill(self) -> None:
        """Stop listening and cut every connection."""
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(0)

    @property
    def endpoint(self) -> str:
        """Where it listens."""
        return f"opc.tcp://127.0.0.1:{self.port}"

    def freeze(self) -> None:
        """From now on nothing is forwarded, in either direction, and nothing is lost."""
        self._frozen = True

    def thaw(self) -> None:
        """Go on, with what was held back first."""
        self._frozen = False
        for sink, held in self._held.items():
            if not sink.is_closing():
                sink.write(bytes(held))
            held.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers += [writer, far_writer]
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(self._pump(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            if source is reader:
                task.add_done_callback(lambda _: self.hung_up.set())

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        held = self._held.setdefault(sink, bytearray())
        with suppress(OSError):
            while data := await source.read(65536):
                if self._frozen:
                    held += data
                else:
                    sink.write(data)
                    await sink.drain()
            sink.close()
