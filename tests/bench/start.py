"""How soon after its start a station serves its status, and what that costs it: `python -m tests.bench.start`.

The station as a person starts it, `linegate run --once`, and no PLC, on an installation where `linegate prepare` was
run. The very first start, with an empty data directory, has figures of its own. Then runs with and without a status
server alternate. Reachable: a client that was there before has read a value. Ready: what systemd is told, with the
recipe in force and every duty running.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlparse

from asyncua import ua
from asyncua.client.client import Client

from controller.sim.workspace import Workspace, make_workspace
from controller.status.address_space import node_id
from controller.status.prepare import prepare

RUNS = 10
MOST_S = 120.0


async def _reachable(endpoint: str) -> None:
    """Return once a client has read the station's name.

    Until something listens it only knocks: a client that is made a hundred times a second takes a core's tenth.
    """
    url = urlparse(endpoint)
    while True:
        with suppress(OSError, TimeoutError, ua.UaError):
            _, knock = await asyncio.open_connection(url.hostname, url.port)
            knock.close()
            async with Client(endpoint, timeout=5) as client:
                await client.get_node(node_id("Station.Name")).read_value()
                return
        await asyncio.sleep(0.01)


async def _told_ready(notices: socket.socket) -> None:
    """Return once the station has told its supervisor that it is ready."""
    while b"READY=1" not in await asyncio.get_running_loop().sock_recv(notices, 4096):
        pass


async def start_once(workspace: Workspace, *, status: bool) -> dict[str, float]:
    """Start the station, end it; seconds until it was ready, and until its status server was reachable."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices, workspace.log.open("ab") as log:
        address = workspace.folder / "notify"
        address.unlink(missing_ok=True)
        notices.bind(str(address))
        notices.setblocking(False)
        command = [sys.executable, "-m", "controller", "run", str(workspace.station), "--once"]
        environment = {**os.environ, "NOTIFY_SOCKET": str(address)}
        began, took = time.monotonic(), dict[str, float]()
        station = subprocess.Popen(command, stdout=log, stderr=log, env=environment)

        async def until(name: str, wait: asyncio.Task[None]) -> None:
            await wait
            took[name] = time.monotonic() - began

        try:
            async with asyncio.timeout(MOST_S), asyncio.TaskGroup() as tasks:
                tasks.create_task(until("ready_s", tasks.create_task(_told_ready(notices))))
                if status:
                    tasks.create_task(until("reachable_s", tasks.create_task(_reachable(workspace.status_endpoint))))
        finally:
            station.send_signal(signal.SIGTERM)
            station.wait(30)
    return took


def run(runs: int = RUNS) -> dict[str, float]:
    """Medians and extremes of so many pairs."""
    prepare()
    with tempfile.TemporaryDirectory(prefix="linegate-start-") as name:
        folder = Path(name)
        both = [
            make_workspace(folder / kind, name="bench", belt="none", plc_address="opc.tcp://127.0.0.1:9")
            for kind in ("with", "without")
        ]
        text = both[1].station.read_text().replace("[status]\n", "[status]\nenabled = false\n")
        both[1].station.write_text(text)
        loud: list[dict[str, float]] = []
        quiet: list[dict[str, float]] = []
        # The first start of each makes what later ones find: the model's compiled form, the station's key.
        first = asyncio.run(start_once(both[0], status=True))
        asyncio.run(start_once(both[1], status=False))
        for _ in range(runs):
            loud.append(asyncio.run(start_once(both[0], status=True)))
            quiet.append(asyncio.run(start_once(both[1], status=False)))
    reachable = sorted(row["reachable_s"] for row in loud)
    return {
        "first_reachable_s": first["reachable_s"],
        "reachable_s": statistics.median(reachable),
        "reachable_max_s": reachable[-1],
        "ready_s": statistics.median(row["ready_s"] for row in loud),
        "ready_without_s": statistics.median(row["ready_s"] for row in quiet),
        "ready_ratio": statistics.median(a["ready_s"] / b["ready_s"] for a, b in zip(loud, quiet, strict=True)),
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.start", description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS)
    print(json.dumps({name: round(value, 3) for name, value in run(parser.parse_args().runs).items()}))


if __name__ == "__main__":
    main()
