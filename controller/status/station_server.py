"""The status server with all that it shows: nodes, methods, alarms, history. Fed from outside; knows no pipe."""

from __future__ import annotations

import time
from collections.abc import Callable

from controller.status.address_space import NAMESPACE
from controller.status.alarms.conditions import Conditions
from controller.status.commands import CommandDesk
from controller.status.history import History
from controller.status.messages import Noted, StationSnapshot
from controller.status.nodes import StatusNodes
from controller.status.process import StatusSettings
from controller.status.security.server import GuardedServer


class StationServer:
    """Built, started, then told each snapshot. One event loop's thread.

    desk: takes clients' wishes.   note: takes entries for the journal; must not block.
    """

    def __init__(self, settings: StatusSettings, desk: CommandDesk, note: Callable[[Noted], object]) -> None:
        self.server = GuardedServer(settings, note)
        self.conditions = Conditions(self.server, note)
        self.history = History(settings.history)
        self._desk = desk
        self._nodes = StatusNodes(self.server)
        self._alarms_built = False

    async def start(self) -> None:
        """Build what a client needs first, and listen. Raises ConfigError, or OSError when the address is taken."""
        await self.server.init()
        await self.server.register_namespace(NAMESPACE)
        await self._nodes.build()
        await self._desk.build(self._nodes.station)
        await self.history.attach(self.server)
        await self.server.start()

    async def build_alarms(self) -> None:
        """Add the alarms. After the start: no client has to wait for their 900 nodes."""
        await self.conditions.build()
        self._alarms_built = True

    async def show(self, snapshot: StationSnapshot) -> None:
        """The station's latest news."""
        await self._nodes.show(snapshot)
        self.history.sample(snapshot, time.time())
        await self._look(snapshot)

    async def lose_feed(self) -> None:
        """There is no news any more. To be called again and again while that lasts."""
        await self._nodes.lose_feed()
        await self._look(None)

    async def close(self) -> None:
        """Stop listening; the rest of the library's clean-up takes a second, for a clock that ends with the loop."""
        if self.server.bserver is not None:
            await self.server.bserver.stop()

    async def _look(self, snapshot: StationSnapshot | None) -> None:
        if self._alarms_built:
            await self.conditions.look(snapshot)
