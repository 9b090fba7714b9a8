"""The OPC UA server of the status process: joins channel, nodes and commands. Imported in that process only."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections import deque
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from asyncua import ua
from asyncua.server.server import Server

from controller.channel import Channel
from controller.status.address_space import FEED_LOST_S, NAMESPACE
from controller.status.commands import CommandDesk
from controller.status.messages import (
    PROTOCOL,
    Alive,
    CommandResult,
    PartAcquired,
    PartBegan,
    PartEnded,
    Serving,
    StationSnapshot,
)
from controller.status.nodes import StatusNodes
from controller.status.process import StatusSettings
from controller.status.vision import cache
from controller.status.vision.machinery import Machine, build_machine
from controller.status.vision.methods import VisionMethods
from controller.status.vision.nodesets import import_nodesets, register_namespaces
from controller.status.vision.recipes import RecipeFolder
from controller.status.vision.results import Results
from controller.status.vision.system import VisionSystem, build_objects

ALIVE_S = 1.0
"""How often the station hears that this process is not stuck."""
LAST_WORDS_S = 1.0
EXIT_S = 5.0
"""How long this process may outlive its pipe to the station."""
MOST_CLIENTS = 64
MOST_SUBSCRIPTIONS = 2 * MOST_CLIENTS
MOST_QUEUED = 50
"""Changes of one node that wait for one subscription, and notifications that wait for its acknowledgement. The library
keeps 10,000 and 5,000: behind a client that was frozen and subscribed to everything they grew by 0.3 MB a second."""
MOST_PARTS = 512
"""News of parts that wait to be told; beyond that the oldest are lost."""
SESSION_S = 120.0
"""What a client that says nothing holds here is freed after so long."""


def serve(settings: StatusSettings, connection: Connection) -> None:
    """Serve until the pipe closes."""
    logging.getLogger("asyncua").setLevel(logging.WARNING)
    # It warns at each start that there is no encryption, which is meant here.
    logging.getLogger("asyncua.server.server").setLevel(logging.ERROR)
    # It warns of three nodes of the DI model with two parents each, which is how they are meant.
    logging.getLogger("asyncua.common.xmlimporter").setLevel(logging.ERROR)
    asyncio.run(_Service(settings).run(connection))


class _Service:
    """What lives from the server's start to its end."""

    def __init__(self, settings: StatusSettings) -> None:
        self._settings = settings
        self._snapshot: StationSnapshot | None = None
        self._parts: deque[PartBegan | PartAcquired | PartEnded] = deque(maxlen=MOST_PARTS)
        self._parts_dropped = 0
        self._news = asyncio.Event()
        self._ended = False

    async def run(self, connection: Connection) -> None:
        """Build, start, feed, stop."""
        loop = asyncio.get_running_loop()
        desk = CommandDesk(lambda command: channel.offer(command))

        def take(message: Any) -> None:
            loop.call_soon_threadsafe(self._take, desk, message)

        def closed(_why: str) -> None:
            self._ended = True
            # Whatever this process hangs in: it must not outlive its station.
            last = threading.Timer(EXIT_S, os._exit, (1,))
            last.daemon = True
            last.start()
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._news.set)

        channel = Channel(connection, PROTOCOL, PROTOCOL.to_child, take, closed)
        channel.start()
        server = await prepared_server(self._settings)
        nodes = StatusNodes(server)
        await nodes.build()
        await desk.build(nodes.station)
        vision = VisionSystem(server)
        await vision.build()
        machine = Machine(server, self._settings.station)
        await machine.build()
        recipes = RecipeFolder(self._settings.recipes)
        journal = self._settings.journal
        VisionMethods(vision, desk, recipes, Results(journal, recipes) if journal is not None else None).link(server)
        try:
            await server.start()
        except OSError as error:
            why = f"{self._settings.endpoint} cannot be served: {error}"
            await asyncio.to_thread(channel.finish, why, LAST_WORDS_S)
            return
        channel.offer(Serving(self._settings.endpoint))
        try:
            await self._feed(nodes, vision, machine, channel)
        finally:
            # Only the listener: stopping the rest takes a second, for a clock that ends with the loop anyway.
            if server.bserver is not None:
                await server.bserver.stop()

    def _take(self, desk: CommandDesk, message: Any) -> None:
        """Sort a message of the station. On the event loop."""
        match message:
            case CommandResult():
                desk.answered(message)
                return
            case StationSnapshot():
                self._snapshot = message
            case _:
                if len(self._parts) == self._parts.maxlen:
                    self._parts_dropped += 1
                self._parts.append(message)
        self._news.set()

    async def _feed(self, nodes: StatusNodes, vision: VisionSystem, machine: Machine, channel: Channel) -> None:
        """Show each snapshot and tell of each part; when nothing comes, say so."""
        alive_at = time.monotonic()
        while not self._ended:
            try:
                async with asyncio.timeout(FEED_LOST_S):
                    await self._news.wait()
            except TimeoutError:
                await nodes.lose_feed()
                await vision.lose_feed()
                await machine.show(None, None)
            self._news.clear()
            # Parts first: their ends are waited for, and a snapshot takes a while to show.
            while self._parts:
                await vision.take(self._parts.popleft())
            snapshot, self._snapshot = self._snapshot, None
            if snapshot is not None:
                await vision.show(snapshot)
                await machine.show(vision.state, snapshot)
                await nodes.show(snapshot)
            if time.monotonic() - alive_at >= ALIVE_S:
                alive_at = time.monotonic()
                channel.offer(Alive(), key="alive")


async def prepared_server(settings: StatusSettings) -> Server:
    """A server with the companion models and the vision system in it, not started. The first one makes the cache."""
    nodes = await cache.load(settings.cache) if settings.cache is not None else None
    server = Server(iserver=cache.CachedServer(nodes))
    await server.init()
    # asyncua gives every client that calls itself "admin" all rights otherwise, without a password.
    server.iserver.allow_remote_admin = False
    _bound(server)
    server.set_endpoint(settings.endpoint)
    server.set_server_name(f"Linegate {settings.station}")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    await server.register_namespace(NAMESPACE)
    await register_namespaces(server)
    if nodes is None:
        imported = await import_nodesets(server)
        await build_objects(server)
        await build_machine(server)
        if settings.cache is not None:
            cache.save(settings.cache, server, imported)
    return server


def _bound(server: Server) -> None:
    """Bound what clients can make this process hold: they share the memory of the computer that decides."""
    inner = server.iserver
    inner.max_connections = MOST_CLIENTS
    inner.max_subscriptions = MOST_SUBSCRIPTIONS
    inner.max_monitored_item_queue_size = MOST_QUEUED
    inner.max_unacked_messages_per_subscription = MOST_QUEUED
    inner.max_session_timeout_ms = SESSION_S * 1000
