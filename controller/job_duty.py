"""Jobs of OPC UA clients: what they ask for becomes events of the core, and a series of jobs is kept going.

The core alone decides whether a job may run (only while the PLC's Enable is 0); here its numbers are given out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from controller.drivers.camera.folder import FolderCamera
from controller.drivers.record.images import safe_name
from controller.errors import ConfigError, DeviceError
from controller.ports import Camera
from controller.runtime import Runtime
from controller.status.feed import StatusFeed
from controller.status.messages import HoldStation, Simulate, StartJob, StartSeries, StopJobs
from statemachines.events import HoldRequested, JobRequested, JobSeriesRequested, JobsStopped
from statemachines.jobs import OPCUA, REPLAY
from statemachines.vocabulary import MS, Hold, Ns, PartKey

SERIES_PERIOD_S = 0.25
"""Pause between two jobs of a series: a person watches them, and each leaves a row in the journal."""
OPEN_LIMIT_NS = 1_500 * MS

JobCommand = StartJob | StartSeries | StopJobs | HoldStation | Simulate


class JobDuty:
    """Takes the wishes of clients that concern jobs and the station's hold.

    session_id: a number that no session had yet; jobs are counted up within it. images: where kept images lie.
    """

    def __init__(self, runtime: Runtime, session_id: Callable[[], int], images: Path) -> None:
        self._runtime, self._session_id = runtime, session_id
        self._replay = ReplayCameras(images)
        self._number = 0
        self._series_part_id = self._series_meas_id = ""
        self._series_who = ""
        self._news = asyncio.Event()
        self._wishes: asyncio.Queue[tuple[StatusFeed, Simulate]] = asyncio.Queue(16)

    @property
    def simulating(self) -> bool:
        """Jobs see kept images."""
        return bool(self._runtime.replay)

    def obey(self, feed: StatusFeed, command: JobCommand) -> None:
        """A client asked for something. On the deciding loop."""
        match command:
            case StartJob():
                self._start(feed, command)
            case StartSeries():
                self._start_series(feed, command)
            case StopJobs():
                self._stop(feed, command)
            case HoldStation():
                self._hold(feed, command)
            case Simulate():
                try:
                    self._wishes.put_nowait((feed, command))
                except asyncio.QueueFull:
                    feed.answer(command.id, False, "too many wishes wait already")

    async def close(self) -> None:
        """Let go of the kept images."""
        await self._replay.close()

    async def run(self) -> None:
        """Keep a series of jobs going, and open and close the kept images, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_going())
            tasks.create_task(self._simulate())

    def _start(self, feed: StatusFeed, command: StartJob) -> None:
        because = self._runtime.station.no_job_because
        if because is not None:
            feed.answer(command.id, False, because)
            return
        key = self._request(command.part_id, command.who, command.meas_id)
        feed.answer(command.id, True, "the job runs", str(key))

    def _start_series(self, feed: StatusFeed, command: StartSeries) -> None:
        because = self._runtime.station.no_job_because
        if because is not None:
            feed.answer(command.id, False, because)
            return
        self._series_part_id, self._series_who = command.part_id, command.who
        self._series_meas_id = command.meas_id
        self._runtime.post(JobSeriesRequested(self._runtime.now(), command.who))
        key = self._request(command.part_id, command.who, command.meas_id)
        feed.answer(command.id, True, "jobs run one after the other", str(key))
        self._news.set()

    def _stop(self, feed: StatusFeed, command: StopJobs) -> None:
        self._runtime.post(JobsStopped(self._runtime.now(), command.abort, command.who, command.why))
        feed.answer(command.id, True, "given up" if command.abort else "no further job")

    def _hold(self, feed: StatusFeed, command: HoldStation) -> None:
        if command.hold not in tuple(Hold):
            feed.answer(command.id, False, f"hold {command.hold} is none of 0, 1, 2")
            return
        self._runtime.post(HoldRequested(self._runtime.now(), Hold(command.hold), command.who, command.why))
        feed.answer(command.id, True, f"from the next part on: {Hold(command.hold).name}")

    def _request(self, part_id: str, who: str, meas_id: str) -> PartKey:
        self._number += 1
        source = REPLAY if self.simulating else OPCUA
        key = PartKey(self._session_id(), source, self._number)
        self._runtime.post(JobRequested(self._runtime.now(), key, part_id, who, meas_id))
        return key

    async def _keep_going(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            while self._runtime.station.jobs.series:
                await asyncio.sleep(SERIES_PERIOD_S)
                # Whoever stopped the series meanwhile, or the job that is not done yet, is heard first.
                station = self._runtime.station
                if station.jobs.series and station.no_job_because is None:
                    self._request(self._series_part_id, self._series_who, self._series_meas_id)

    async def _simulate(self) -> None:
        while True:
            feed, command = await self._wishes.get()
            if not command.on:
                self._runtime.replay = {}
                await self._replay.close()
                feed.answer(command.id, True, "jobs see through the cameras")
                continue
            recipe = self._runtime.station.recipe
            try:
                # A redundant view is seldom judged, so there may be no image of it, and nothing that needs one.
                views = () if recipe is None else tuple(v for v in recipe.views if not recipe.rule(v).stands_in_for)
                self._runtime.replay = await self._replay.open(views, Ns(self._runtime.now() + OPEN_LIMIT_NS))
            except (ConfigError, DeviceError) as error:
                feed.answer(command.id, False, f"there are no kept images to simulate with: {error}")
            else:
                feed.answer(command.id, True, "jobs see kept images")


class ReplayCameras:
    """For each view a camera that plays the images which the station kept of it."""

    def __init__(self, images: Path) -> None:
        self._images = images
        self._cameras: dict[str, FolderCamera] = {}

    async def open(self, views: tuple[str, ...], deadline: Ns) -> Mapping[str, Camera]:
        """All views' cameras. Raises ConfigError where a view has no kept image, DeviceError."""
        for view in views:
            if view not in self._cameras:
                pattern = f"**/*-{safe_name(view)}*.[jp]*g"
                self._cameras[view] = FolderCamera(f"replay {view}", self._images, pattern)
            await self._cameras[view].open(deadline)
        return {view: self._cameras[view] for view in views}

    async def close(self) -> None:
        """Stop reading."""
        for camera in self._cameras.values():
            await camera.close()
