"""The composition root: with camera_kinds and plc_links the only place that names concrete classes and joins them."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from types import FrameType

from loguru import logger

from controller.camera_kinds import camera_of
from controller.clock import SystemClock
from controller.config import StationConfig
from controller.drivers.record.images import FolderImageStore, ImagePolicy
from controller.drivers.record.journal import SqliteJournal
from controller.drivers.record.latch import FileLatch
from controller.errors import ConfigError, DeviceError, RecordError
from controller.exit_codes import RESTART
from controller.job_duty import JobDuty
from controller.lane_watch import LaneWatch
from controller.part_news import PartNews
from controller.plc_duty import PlcDuty, PlcTiming, Sessions
from controller.plc_links import plc_link
from controller.ports import Camera, WatchedCamera
from controller.priority import raise_thread
from controller.recipe_book import FolderRecipeBook
from controller.recipes import LoadedRecipe
from controller.runtime import Devices, Duration, PartListeners, Runtime
from controller.snapshots import SnapshotDuty
from controller.status.feed import StatusFeed
from controller.status.messages import StatusCommand
from controller.view_watch import ViewWatch
from controller.watchdog import HangGuard, LoopProbe, SystemdNotifier
from models.lane import InferenceLane
from statemachines import health
from statemachines.events import HealthReported, Stopped
from statemachines.handshake.state import Contract
from statemachines.line import Line
from statemachines.station.state import Rules, Station
from statemachines.vocabulary import MS, FaultCode, Health, Mode, Ns, Outcome, PartKey

CAMERA_RETRY_S = 1.0
CAMERA_OPEN_MS = 20_000
"""A camera's process loads an SDK: a second, and ten on a busy computer. Ended too soon, it only begins anew."""
CAMERAS_FIRST_S = 10.0
"""How long the PLC is told of no station while cameras open. Then it runs without the one that does not come up."""


class StationProcess:
    """Everything that one station owns, from opening to closing.

    feed: to the status process, which may be starting already; None where there is none.
    """

    def __init__(self, config: StationConfig, feed: StatusFeed | None = None) -> None:
        self._config, self._feed = config, feed
        clock = SystemClock()
        self._latch = FileLatch(config.latch_path)
        self._recipes = FolderRecipeBook(config)
        priority = config.station.process_priority
        self._lane = InferenceLane(on_start=partial(raise_thread, priority))
        self._cameras = {camera.name: camera_of(camera) for camera in config.cameras}
        self._journal = SqliteJournal(
            config.journal_path,
            self._committed,
            partial(self._report, "journal"),
            queue_rows=config.journal.queue_rows,
            fsync_ms=config.journal.fsync_ms,
        )
        self._images = FolderImageStore(
            config.images_path,
            config.images.budget_mb * 1_000_000,
            ImagePolicy(config.images.ok, config.images.every, config.images.jpeg_quality),
            partial(self._report, "images"),
            self._journal.image_kept,
            queue_frames=config.images.queue_frames,
        )
        devices = Devices(self._cameras, self._lane, self._journal, self._images, self._latch, self._recipes, clock)
        self._news = PartNews(clock.wall_ns)
        listeners = PartListeners(self._news.began, self._news.acquired)
        self._runtime = Runtime(_initial(config, self._latch, clock.now()), devices, self._took, listeners)
        self._jobs = JobDuty(self._runtime, self._next_session, config.images_path)
        self._notifier = SystemdNotifier()
        self._probe = LoopProbe(self._beat, config.plc.heartbeat_ms)
        self._guard = HangGuard(self._probe, config.watchdog.loop_hang_s, self._loop_hangs)
        self._snapshots = SnapshotDuty(
            self._runtime, config.station.name, config.status.snapshot_ms, self._probe.lag_ms, self._drops, self._jobs
        )
        self._sessions: Sessions | None = None
        self._duty: PlcDuty | None = None

    async def run(self) -> int:
        """Open everything, run until the end, close everything. Raises ControllerError or ModelError."""
        try:
            start_number, recipe = await self._open()
            self._sessions = Sessions(start_number)
            duty = PlcDuty(self._runtime, plc_link(self._config), _timing(self._config), self._sessions)
            self._duty = duty
            await self._serve(duty, recipe)
        finally:
            self._guard.stop()
            self._notifier.stopping()
            await self._close()
        return self._runtime.exit_code

    async def _open(self) -> tuple[int, LoadedRecipe]:
        """Open the journal while the model compiles; a station that cannot inspect refuses to start."""
        feed = self._feed
        # Its own task, not the group's: what goes wrong here is the start's error as it is.
        telling = asyncio.create_task(self._snapshots.run(feed)) if feed is not None else None
        try:
            return await asyncio.gather(
                asyncio.to_thread(self._open_records),
                asyncio.to_thread(self._recipes.load, 0, self._config.station.initial_recipe),
            )
        finally:
            if telling is not None:
                telling.cancel()
                await asyncio.wait([telling])
                if not telling.cancelled():
                    telling.result()

    async def _serve(self, duty: PlcDuty, recipe: LoadedRecipe) -> None:
        """Run all duties until the station is asked to end, or one of them dies."""
        runtime = self._runtime
        gc.collect()
        gc.freeze()
        gc.enable()
        raise_thread(self._config.station.process_priority)
        try:
            async with asyncio.TaskGroup() as tasks:
                runtime.bind(tasks)
                runtime.install(recipe, 0)
                self._start_duties(tasks)
                tasks.create_task(self._greet_plc(tasks, duty))
                _on_signals(lambda: runtime.end(0))
                self._guard.start()
                self._notifier.ready()
                await runtime.ending.wait()
                await self._farewell()
                raise _Ended
        except* _Ended:
            pass
        except* Exception as group:  # noqa: BLE001 - whatever a duty dies of, the station must latch
            self._task_died(_first(group))

    async def _greet_plc(self, tasks: asyncio.TaskGroup, duty: PlcDuty) -> None:
        """Begin to talk to the PLC: a line that is told Ready sends parts at once, and cameras should see the first."""
        opening = [tasks.create_task(self._keep_open(name, camera)) for name, camera in self._cameras.items()]
        await asyncio.wait(opening, timeout=CAMERAS_FIRST_S)
        duty.start(tasks.create_task)

    def _start_duties(self, tasks: asyncio.TaskGroup) -> None:
        config, runtime = self._config, self._runtime
        inference = config.inference
        watch = LaneWatch(runtime, self._lane, inference.hard_limit_ms * MS, inference.grace_ms * MS)
        tasks.create_task(watch.run())
        tasks.create_task(ViewWatch(runtime, partial(datetime.now, UTC)).run())
        tasks.create_task(self._probe.run())
        feed = self._feed
        if feed is not None:
            feed.connect(self._obey, runtime.report, self._snapshots.note)
            self._news.connect(runtime, feed)
            tasks.create_task(feed.run())
            tasks.create_task(self._jobs.run())
            tasks.create_task(self._snapshots.run(feed))

    def _obey(self, command: StatusCommand) -> None:
        if self._feed is not None:
            self._snapshots.obey(self._feed, command)

    def _next_session(self) -> int:
        return self._sessions.next if self._sessions is not None else 0

    def _report(self, source: str, state: Health, why: str) -> None:
        self._runtime.report(source, state, why)

    def _committed(self, parts: tuple[PartKey, ...]) -> None:
        self._runtime.committed(parts)

    def _open_records(self) -> int:
        """Open journal and images; the station's start number. A journal that cannot be used refuses to start."""
        self._config.station.data_dir.mkdir(parents=True, exist_ok=True)
        self._images.open()
        try:
            opened = self._journal.open()
        except RecordError as error:
            raise ConfigError(str(self._config.journal_path), "journal", "", str(error)) from error
        if opened.lost:
            logger.warning("parts of the last run had no outcome and were journalled as lost", parts=opened.lost)
        return opened.start_number

    async def _keep_open(self, name: str, camera: Camera) -> None:
        """Open a camera, again and again until it is; captures fail meanwhile, each for its own part only."""
        if isinstance(camera, WatchedCamera):
            camera.watch(partial(self._camera_says, name))
        while True:
            try:
                await camera.open(Ns(self._runtime.now() + CAMERA_OPEN_MS * MS))
            except (DeviceError, ConfigError) as error:
                self._camera_says(name, str(error))
                await asyncio.sleep(CAMERA_RETRY_S)
            else:
                self._camera_says(name, "")
                logger.info("camera open", camera=name)
                return

    def _camera_says(self, name: str, why: str) -> None:
        """A camera is gone, or back (""): a failure, unless the recipe in force can do without what it sees."""
        runtime, state = self._runtime, Health.NORMAL
        if why:
            recipe = runtime.recipe
            views = [] if recipe is None else [view for view, seen in recipe.views.items() if seen.camera == name]
            spared = recipe is not None and all(recipe.facts.may_do_without(view) for view in views)
            state = Health.MAINTENANCE if spared else Health.FAILURE
        runtime.post(HealthReported(runtime.now(), f"camera:{name}", state, why))

    async def _farewell(self) -> None:
        """Tell the PLC and the journal that the station stops, if the link still works."""
        self._runtime.post(Stopped(self._runtime.now()))
        if self._duty is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    await self._duty.say_goodbye()

    async def _close(self) -> None:
        self._runtime.close()
        if self._duty is not None:
            await self._duty.close()
        for camera in self._cameras.values():
            await camera.close()
        await self._jobs.close()
        self._lane.close(0.5)
        self._images.close(5.0)
        self._journal.close(5.0)

    def _beat(self) -> None:
        """One beat of the deciding loop: the PLC's Heartbeat and systemd's watchdog hang on it."""
        if self._duty is not None:
            self._duty.beat()
        self._notifier.watchdog()

    def _took(self, outcome: Outcome, duration: Duration) -> None:
        self._snapshots.took(outcome, duration)
        self._news.ended(outcome, duration)

    def _drops(self) -> tuple[int, int]:
        return self._images.stats().dropped, self._journal.stats().dropped

    def _loop_hangs(self, why: str) -> None:
        """On the guard's thread, just before the process ends."""
        self._latch.store(FaultCode.LOOP_HUNG, why)

    def _task_died(self, error: BaseException) -> None:
        """A duty ended that never should: latch on disk before anything else, then ask for a new process."""
        why = f"{type(error).__name__}: {error}"
        logger.opt(exception=error).critical("a duty died, failsafe", why=why)
        # Behind whatever is still on its way to the disk, so that this is what stands there.
        self._runtime.close()
        with suppress(RecordError):
            self._latch.store(FaultCode.TASK_DIED, why)
        self._runtime.end(RESTART)


class _Ended(Exception):
    """The station was asked to end; takes the task group down."""


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _initial(config: StationConfig, latch: FileLatch, now: Ns) -> Station:
    """The station before its first event: what was latched is latched again."""
    code, why = latch.load()
    if code is not FaultCode.NONE:
        logger.critical("failsafe is still latched", code=code.name, why=why)
    plc = config.plc
    contract = Contract(
        depth=plc.depth,
        modulus=plc.sequence_modulus,
        plc_lost_ns=plc.plc_lost_ms * MS,
        profile=plc.profile,
        phase_ns=plc.phase_timeout_ms * MS,
    )
    return Station(
        rules=Rules(contract, plc.max_in_flight, plc.fault_reset_from_plc),
        line=Line("failsafe" if code is not FaultCode.NONE else "starting", Mode[config.station.initial_mode]),
        latch=health.restored(code, why, now),
    )


def _timing(config: StationConfig) -> PlcTiming:
    plc = config.plc
    return PlcTiming(
        connect=plc.connect_timeout_ms * MS,
        request=round(plc.request_timeout_ms * MS),
        reconnect=plc.reconnect_ms * MS,
        between_reads=round(plc.longest_between_reads_ms * MS),
        pulse=None if plc.trigger_pulse_ms is None else round(plc.trigger_pulse_ms * MS),
    )


def _call(loop: asyncio.AbstractEventLoop, work: Callable[[], None]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(work)


def _on_signals(end: Callable[[], None]) -> None:
    """End on Ctrl-C and SIGTERM; on Windows through the interpreter, since its loops take no signal handlers."""
    loop = asyncio.get_running_loop()
    for number in _signals():
        try:
            loop.add_signal_handler(number, end)
        except NotImplementedError:
            signal.signal(number, _from_interpreter(loop, end))


def _from_interpreter(
    loop: asyncio.AbstractEventLoop, end: Callable[[], None]
) -> Callable[[int, FrameType | None], None]:
    return lambda _number, _frame: _call(loop, end)


def _signals() -> Iterable[signal.Signals]:
    return (signal.SIGINT, signal.SIGTERM, *((signal.SIGBREAK,) if sys.platform == "win32" else ()))
