"""A pretended station that obeys like a real one: the status process is real, and so are its clients."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from controller.stage_latency import StageLatency
from controller.status.feed import StatusFeed
from controller.status.messages import (
    ChangeRecipe,
    HoldStation,
    PartAcquired,
    PartBegan,
    PartEnded,
    ResetFailsafe,
    SetMode,
    Simulate,
    StartJob,
    StartSeries,
    StationSnapshot,
    StatusCommand,
    StopJobs,
)
from statemachines.handshake.state import Link
from statemachines.vocabulary import Health, Hold
from tests.integration.status_access import free_endpoint, settings

TIMEOUT_S = 60.0
HASH = "ab" * 32


def first_snapshot() -> StationSnapshot:
    empties: dict[Any, Any] = {str: "", int: 0, bool: False, float: 0.0}
    values: dict[str, Any] = {field.name: empties.get(field.type) for field in msgspec.structs.fields(StationSnapshot)}
    values |= {
        "station": "press 3",
        "state": "running_shadow",
        "mode_ceiling": 3,
        "plc_link": Link.WAITING.value,
        "recipe_product": "washer",
        "recipe_id": 1,
        "recipe_hash": HASH,
        "last_parts": [],
        "reports": [],
        "latencies": {"total": StageLatency(0, 0, 0, 0, 0)},
    }
    return StationSnapshot(**values)


def ended(key: str, part_id: str, now_ns: int, verdict: str = "OK") -> PartEnded:
    return PartEnded(
        key=key,
        part_id=part_id,
        verdict=verdict,
        reason="DECIDED",
        action="NONE",
        mode="SHADOW",
        answered=False,
        decided=True,
        score=0.25,
        why="fine",
        findings=[],
        product="washer",
        recipe_hash=HASH,
        began_wall_ns=now_ns,
        ended_wall_ns=now_ns + 20_000_000,
        capture_us=4000,
        processing_us=3000,
        told_ns=0,
    )


class VisionStation:
    """The parent's side. Jobs end when the test says so, unless `brisk`."""

    def __init__(self, recipes: Path | None = None, journal: Path | None = None, *, brisk: bool = False) -> None:
        self.endpoint = free_endpoint()
        self.commands: list[StatusCommand] = []
        self.now = first_snapshot()
        self.brisk = brisk
        self.jobs = 0
        self.healthy = asyncio.Event()
        told = settings(self.endpoint, recipes=recipes, journal=journal)
        self.feed = StatusFeed(told)
        self.feed.connect(self.obey, self._told)

    def _told(self, _source: str, health: Health, _why: str) -> None:
        if health is Health.NORMAL:
            self.healthy.set()

    def set(self, **changes: Any) -> None:
        """Change the station and tell."""
        self.now = msgspec.structs.replace(self.now, **changes)
        self.feed.offer(self.now)

    def obey(self, command: StatusCommand) -> None:
        """As controller.snapshots and controller.job_duty do, without a core behind."""
        self.commands.append(command)
        match command:
            case StartJob():
                self._start(command.id, command.part_id, series=False)
            case StartSeries():
                self._start(command.id, command.part_id, series=True)
            case StopJobs():
                self.feed.answer(command.id, True, "")
                if self.now.job_series or command.abort or self.brisk:
                    self.end_job()
                else:
                    self.set(job_series=False)
            case HoldStation():
                over = self.now.failsafe and command.hold == Hold.HALTED
                self.feed.answer(command.id, True, "")
                self.set(hold=command.hold, held_over_failsafe=over)
            case ResetFailsafe():
                self.feed.answer(command.id, True, "")
                self.set(reset_granted=True)
            case ChangeRecipe():
                self.feed.answer(command.id, True, "")
                self.set(recipe_loading=True)
                if self.brisk:
                    asyncio.get_running_loop().call_later(0.2, self.loaded, command.product)
            case Simulate():
                self.feed.answer(command.id, True, "")
                self.set(simulating=command.on)
            case SetMode():
                self.feed.answer(command.id, True, "")
                if self.brisk:
                    self.set(failsafe=True)
                    asyncio.get_running_loop().call_later(0.5, lambda: self.set(failsafe=False))

    def loaded(self, product: str) -> None:
        self.set(recipe_loading=False, recipe_product=product, recipe_hash=(product[:1].encode().hex() * 32)[:64])

    def _start(self, command_id: int, part_id: str, *, series: bool) -> None:
        self.jobs += 1
        key = f"77/opcua/{self.jobs}"
        self.feed.tell(PartBegan(key, part_id, 1_700_000_000_000_000_000, series))
        self.feed.answer(command_id, True, "", key)
        self.set(job=key, job_series=series)
        self.feed.tell(PartAcquired(key))
        if self.brisk and not series:
            asyncio.get_running_loop().call_later(0.3, self.end_job)

    def end_job(self) -> None:
        """The running job ends."""
        key = self.now.job
        if key:
            self.feed.tell(ended(key, "sample", 1_700_000_000_000_000_000))
        self.set(job="", job_series=False)

    async def tell(self) -> None:
        while True:
            self.feed.offer(self.now)
            await asyncio.sleep(0.1)


@asynccontextmanager
async def serving(station: VisionStation) -> AsyncGenerator[VisionStation]:
    """The station with its status process up."""
    tasks = [asyncio.create_task(station.feed.run()), asyncio.create_task(station.tell())]
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await station.healthy.wait()
        yield station
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


Condition = Callable[[], bool]
