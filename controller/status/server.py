"""The OPC UA server of the status process: joins channel, nodes and commands. Imported in that process only."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from controller.channel import Channel
from controller.errors import ConfigError
from controller.status.address_space import FEED_LOST_S
from controller.status.commands import CommandDesk
from controller.status.messages import PROTOCOL, Alive, CommandResult, Serving, StationSnapshot
from controller.status.process import StatusSettings
from controller.status.security.server import quieten
from controller.status.station_server import StationServer

ALIVE_S = 1.0
"""How often the station hears that this process is not stuck."""
LAST_WORDS_S = 1.0
EXIT_S = 5.0
"""How long this process may outlive its pipe to the station."""


def serve(settings: StatusSettings, connection: Connection) -> None:
    """Serve until the pipe closes."""
    quieten()
    asyncio.run(_Service(settings).run(connection))


class _Service:
    """What lives from the server's start to its end."""

    def __init__(self, settings: StatusSettings) -> None:
        self._settings = settings
        self._snapshot: StationSnapshot | None = None
        self._news = asyncio.Event()
        self._ended = False

    async def run(self, connection: Connection) -> None:
        """Build, start, feed, stop."""
        loop = asyncio.get_running_loop()
        desk = CommandDesk(lambda command: channel.offer(command))

        def take(message: Any) -> None:
            if isinstance(message, CommandResult):
                loop.call_soon_threadsafe(desk.answered, message)
            else:
                self._snapshot = message
                loop.call_soon_threadsafe(self._news.set)

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
        shown = StationServer(self._settings, desk, channel.offer)
        try:
            await shown.start()
        except (ConfigError, OSError) as error:
            why = f"{self._settings.endpoint} cannot be served: {error}"
            await asyncio.to_thread(channel.finish, why, LAST_WORDS_S)
            return
        channel.offer(Serving(self._settings.endpoint))
        await shown.build_alarms()
        try:
            await self._feed(shown, channel)
        finally:
            await shown.close()

    async def _feed(self, shown: StationServer, channel: Channel) -> None:
        """Show each snapshot; when none comes, say so."""
        alive_at = time.monotonic()
        while not self._ended:
            try:
                async with asyncio.timeout(FEED_LOST_S):
                    await self._news.wait()
            except TimeoutError:
                await shown.lose_feed()
            self._news.clear()
            snapshot, self._snapshot = self._snapshot, None
            if snapshot is not None:
                await shown.show(snapshot)
            if time.monotonic() - alive_at >= ALIVE_S:
                alive_at = time.monotonic()
                channel.offer(Alive(), key="alive")
