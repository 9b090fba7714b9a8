"""Clients of the status server, as a SCADA system is one: the demo's live table, and a load of readers."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import signal
import threading
from contextlib import suppress
from multiprocessing.synchronize import Event
from typing import Any

from controller.status.address_space import NODES

NAMES = [node.name for node in NODES]
_READ_S = 0.1


def node_id(name: str) -> str:
    """Node id of a status value."""
    return f"ns=2;s={name}"


class StatusView:
    """Reads the whole status a few times a second in a thread of its own, as one OPC UA client."""

    def __init__(self, endpoint: str, period_s: float = 0.5) -> None:
        self._endpoint, self._period_s = endpoint, period_s
        self._values: dict[str, object] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="status view", daemon=True)

    @property
    def values(self) -> dict[str, object]:
        """The latest values by node name; empty until the server was reached."""
        return self._values

    def start(self) -> None:
        self._thread.start()

    def read_once(self) -> dict[str, object]:
        """A fresh reading; the latest one where the server cannot be reached."""
        with suppress(Exception):
            return asyncio.run(_read(self._endpoint))
        return self._values

    def stop(self) -> None:
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(5)

    def _run(self) -> None:
        quieten()
        while not self._stop.wait(self._period_s):
            with suppress(Exception):
                asyncio.run(self._follow())

    async def _follow(self) -> None:
        async with _client(self._endpoint) as client:
            nodes = [client.get_node(node_id(name)) for name in NAMES]
            while not self._stop.is_set():
                self._values = dict(zip(NAMES, await client.read_values(nodes), strict=True))
                await asyncio.sleep(self._period_s)


class StatusClients:
    """Several OPC UA clients in one process, each reading every status node at 10 Hz."""

    def __init__(self, endpoint: str, count: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._count = count
        self._stop = context.Event()
        self._process = context.Process(
            target=run_clients, args=(endpoint, count, self._stop), name="linegate status clients", daemon=True
        )

    def start(self) -> None:
        if self._count:
            self._process.start()

    def stop(self) -> None:
        if self._process.pid is not None:
            self._stop.set()
            self._process.join(5)
            if self._process.is_alive():
                self._process.kill()


def run_clients(endpoint: str, count: int, stop: Event) -> None:
    """Entry point of the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "nice"):
        os.nice(5)
    quieten()

    async def read_on() -> None:
        while not stop.is_set():
            with suppress(Exception):
                async with _client(endpoint) as client:
                    nodes = [client.get_node(node_id(name)) for name in NAMES]
                    while not stop.is_set():
                        await client.read_values(nodes)
                        await asyncio.sleep(_READ_S)
            await asyncio.sleep(0.5)

    async def all_clients() -> None:
        await asyncio.gather(*(read_on() for _ in range(count)))

    asyncio.run(all_clients())


def quieten() -> None:
    """asyncua tells every lost connection as an error; here it only means that the station is not up yet."""
    logging.getLogger("asyncua").setLevel(logging.CRITICAL)


def _client(endpoint: str) -> Any:
    from asyncua.client.client import Client

    return Client(endpoint, timeout=4)


async def _read(endpoint: str) -> dict[str, object]:
    async with _client(endpoint) as client:
        nodes = [client.get_node(node_id(name)) for name in NAMES]
        return dict(zip(NAMES, await client.read_values(nodes), strict=True))
