"""How long after a part's end its ResultReady event is at a client: `python -m tests.bench.result_ready`.

600 parts a minute through the real feed and the real status process to a real client, on one clock. What it measures
ends where the client's library hands the event out; what it measures begins when the answer to the PLC is out.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from asyncua import ua
from asyncua.client.client import Client

from controller.status.messages import PartAcquired, PartBegan
from controller.status.vision import cache
from controller.status.vision.nodesets import MACHINE_VISION
from controller.status.vision.system import NAME
from tests.integration.status_cache import model_cache
from tests.integration.vision_station import VisionStation, ended, serving

PARTS = 600
PERIOD_S = 0.1
PUBLISHING_MS = 5


class Arrivals:
    """When each result came."""

    def __init__(self) -> None:
        self.at: dict[str, int] = {}

    def event_notification(self, event: Any) -> None:
        self.at[event.JobId.Id] = time.monotonic_ns()


async def measure(parts: int = PARTS) -> tuple[list[float], int]:
    """Milliseconds from tell to arrival, sorted, and how many never came."""
    arrivals, told = Arrivals(), dict[str, int]()
    async with serving(VisionStation()) as station, Client(station.endpoint, timeout=30) as client:
        assert await cache.load([model_cache()]) is not None
        subscription = await client.create_subscription(PUBLISHING_MS, arrivals)
        namespace = await client.get_namespace_index(MACHINE_VISION)
        kind = client.get_node(ua.NodeId(ua.Int32(1024), ua.Int16(namespace)))
        await subscription.subscribe_events(client.get_node(f"ns=2;s={NAME}"), kind)
        begin = time.monotonic()
        for number in range(1, parts + 1):
            await asyncio.sleep(max(0.0, begin + number * PERIOD_S - time.monotonic()))
            key = f"77/plc/{number}"
            station.feed.tell(PartBegan(key, str(number), time.time_ns()))
            station.feed.tell(PartAcquired(key))
            told[key] = time.monotonic_ns()
            station.feed.tell(ended(key, str(number), time.time_ns()))
        await asyncio.sleep(1.0)
    took = sorted((arrivals.at[key] - at) / 1e6 for key, at in told.items() if key in arrivals.at)
    return took, len(told) - len(took)


def main() -> None:
    """Print the figures."""
    took, lost = asyncio.run(measure())
    at = [took[min(len(took) - 1, int(len(took) * share))] for share in (0.5, 0.99, 0.999)]
    print(f"ResultReady: {len(took)} events, p50 {at[0]:.1f} ms, p99 {at[1]:.1f} ms, p99.9 {at[2]:.1f} ms, lost {lost}")


if __name__ == "__main__":
    main()
