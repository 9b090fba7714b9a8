"""The OPC UA server of the status process on its pipe to the station. Imported in that process only."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from controller.channel import Channel
from controller.errors import ConfigError
from controller.status.address_space import FEED_LOST_S
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
from controller.status.process import StatusSettings
from controller.status.security.server import quieten
from controller.status.station_server import StationServer
from controller.status.vision.machine import brought_up_to_date

SWITCH_INTERVAL_S = 0.0005
ALIVE_S = 1.0
"""How often the station hears that this process is not stuck."""
LAST_WORDS_S = 1.0
EXIT_S = 5.0
"""How long this process may outlive its pipe to the station."""
MOST_PARTS = 512
"""News of parts that wait to be told; beyond that the oldest are lost."""


def serve(settings: StatusSettings, connection: Connection) -> None:
    """Serve until the pipe closes."""
    quieten()
    # A thread that hashes a password or reads the journal gives way to an event sooner than after Python's own 5 ms.
    sys.setswitchinterval(SWITCH_INTERVAL_S)
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
        try:
            shown = await StationServer.started(self._settings, desk, channel.offer)
        except (ConfigError, OSError) as error:
            why = f"{self._settings.endpoint} cannot be served: {error}"
            await asyncio.to_thread(channel.finish, why, LAST_WORDS_S)
            return
        channel.offer(Serving(self._settings.endpoint))
        await shown.start_alarms()
        # What is there now stays: to look for garbage among it holds up events for tens of milliseconds.
        gc.collect()
        gc.freeze()
        gc.enable()
        try:
            await self._feed(shown, channel)
        finally:
            await shown.close()

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
                if self._snapshot is not None:
                    self._snapshot = brought_up_to_date(self._snapshot, message)
        self._news.set()

    async def _feed(self, shown: StationServer, channel: Channel) -> None:
        """Show each snapshot and tell of each part; when nothing comes, say so."""
        alive_at = time.monotonic()
        while not self._ended:
            try:
                async with asyncio.timeout(FEED_LOST_S):
                    await self._news.wait()
            except TimeoutError:
                await shown.lose_feed()
            self._news.clear()
            # Parts first: their ends are waited for, and a snapshot takes a while to show.
            while self._parts:
                await shown.take(self._parts.popleft())
            snapshot, self._snapshot = self._snapshot, None
            if snapshot is not None:
                await shown.show(snapshot)
            if time.monotonic() - alive_at >= ALIVE_S:
                alive_at = time.monotonic()
                channel.offer(Alive(), key="alive")
