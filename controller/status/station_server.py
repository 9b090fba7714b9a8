"""The status server with all that it shows: nodes, methods, the vision system, alarms, history. Knows no pipe."""

from __future__ import annotations

import time
from collections.abc import Callable

from controller.status.address_space import NAMESPACE
from controller.status.alarms.conditions import Conditions
from controller.status.alarms.instances import build_alarms
from controller.status.commands import CommandDesk, build_commands
from controller.status.history import History
from controller.status.messages import Noted, PartAcquired, PartBegan, PartEnded, StationSnapshot
from controller.status.nodes import StatusNodes, build_nodes
from controller.status.process import StatusSettings
from controller.status.security.server import GuardedServer
from controller.status.vision import cache
from controller.status.vision.machinery import Machine, build_machine
from controller.status.vision.methods import VisionMethods
from controller.status.vision.nodesets import import_nodesets, register_namespaces
from controller.status.vision.packml import PackMl, build_packml
from controller.status.vision.recipes import RecipeFolder
from controller.status.vision.results import Results
from controller.status.vision.system import VisionSystem, build_objects


class StationServer:
    """Built, started, then told each snapshot. One event loop's thread."""

    def __init__(
        self, server: GuardedServer, settings: StatusSettings, desk: CommandDesk, note: Callable[[Noted], object]
    ) -> None:
        self.server = server
        self.conditions = Conditions(server, note)
        self.history = History(settings.history)
        self._desk = desk
        self._nodes = StatusNodes(server)
        self._vision = VisionSystem(server)
        self._machine = Machine(server, settings.station)
        self._packml = PackMl(server, settings.station)
        recipes, journal = RecipeFolder(settings.recipes), settings.journal
        results = Results(journal, recipes) if journal is not None else None
        self._methods = VisionMethods(self._vision, desk, recipes, results)
        self._alarms_started = False

    @classmethod
    async def started(
        cls, settings: StatusSettings, desk: CommandDesk, note: Callable[[Noted], object]
    ) -> StationServer:
        """Build what a client needs first, and listen. Raises ConfigError, or OSError when the address is taken.

        desk: takes clients' wishes.   note: takes entries for the journal; must not block.
        """
        shown = cls(await prepared_server(settings, note), settings, desk, note)
        await shown._start()
        return shown

    async def _start(self) -> None:
        await self._nodes.start()
        self._desk.link(self.server)
        await self._vision.build()
        await self._machine.build()
        await self._packml.build()
        self._methods.link(self.server)
        await self.history.attach(self.server)
        await self.server.start()

    async def start_alarms(self) -> None:
        """Show the alarms. After the start: no client has to wait for their 900 nodes."""
        await self.conditions.start()
        self._alarms_started = True

    async def take(self, news: PartBegan | PartAcquired | PartEnded) -> None:
        """What happened to a part."""
        await self._vision.take(news)

    async def show(self, snapshot: StationSnapshot) -> None:
        """The station's latest news."""
        await self._vision.show(snapshot)
        await self._machine.show(self._vision.state, snapshot)
        await self._packml.show(snapshot)
        await self._nodes.show(snapshot)
        self.history.sample(snapshot, time.time())
        await self._look(snapshot)

    async def lose_feed(self) -> None:
        """There is no news any more. To be called again and again while that lasts."""
        await self._nodes.lose_feed()
        await self._vision.lose_feed()
        await self._machine.show(None, None)
        await self._packml.show(None)
        await self._look(None)

    async def close(self) -> None:
        """Stop listening; the rest of the library's clean-up takes a second, for a clock that ends with the loop."""
        if self.server.bserver is not None:
            await self.server.bserver.stop()

    async def _look(self, snapshot: StationSnapshot | None) -> None:
        if self._alarms_started:
            await self.conditions.look(snapshot)


async def prepared_server(settings: StatusSettings, note: Callable[[Noted], object]) -> GuardedServer:
    """A guarded server with the companion models and all nodes of the station in it, not started. Where there is no
    cache, this makes it. Raises ConfigError."""
    folder = settings.cache
    nodes = await cache.load((cache.INSTALLED, folder)) if folder is not None else None
    server = GuardedServer(settings, note, nodes)
    await server.init()
    await server.register_namespace(NAMESPACE)
    await register_namespaces(server)
    if nodes is None:
        imported = await import_nodesets(server)
        for build in (build_objects, build_machine, build_packml, build_nodes, build_commands, build_alarms):
            await build(server)
        if folder is not None:
            cache.save(folder, server, imported)
    return server
