"""THE LOOP: performs the core's commands on real devices and posts what happened.

`post(event)` is the only way in: synchronous, on the loop's thread. Threads go through `call_soon_threadsafe`. All
tasks live in one TaskGroup; one that dies takes the station to failsafe and out with exit code RESTART.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from loguru import logger

from controller.captures import Captures
from controller.clock import Clock
from controller.errors import ControllerError
from controller.latch_writer import LatchWriter
from controller.ports import Camera, ImageStore, Journal, Latch, Record
from controller.recipes import Lane, LoadedRecipe, RecipeBook
from models.errors import ImageUnfit, ModelError
from models.frame import Frame
from statemachines.commands import (
    ArmDeadline,
    Capture,
    Command,
    Infer,
    LoadRecipe,
    PersistLatch,
    Publish,
    RecordEvent,
    RecordGate,
    RecordLate,
    RecordOutcome,
    RecordTrigger,
    Release,
)
from statemachines.cycle.state import Stage
from statemachines.errors import IllegalEvent
from statemachines.events import (
    DeadlinePassed,
    Event,
    Failed,
    FailsafeTripped,
    HealthReported,
    Inferred,
    RecipeLoaded,
    RecipeRefused,
    TriggerCommitted,
)
from statemachines.jobs import REPLAY
from statemachines.station.state import Station
from statemachines.station.step import step
from statemachines.vocabulary import Assessment, FaultCode, Health, Ns, Outcome, PartKey, Reason, Verdict

_LATCH_S = 5.0
"""How long the end of a station waits for the failsafe latch to be on disk."""


@dataclass(frozen=True, slots=True)
class Duration:
    """What devices took for one part, in ns; the slowest view counts."""

    capture: int = 0
    inference: int = 0


@dataclass(slots=True)
class PartWork:
    """What the shell holds for one part until the core releases it."""

    frames: dict[str, Frame] = field(default_factory=dict[str, Frame])
    timer: asyncio.TimerHandle | None = None
    capture_ns: int = 0
    inference_ns: int = 0
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True)
class Devices:
    """Everything the loop acts on."""

    cameras: Mapping[str, Camera]
    lane: Lane
    journal: Journal
    images: ImageStore | None
    latch: Latch
    recipes: RecipeBook
    clock: Clock


OutcomeListener = Callable[[Outcome, Duration], None]


@dataclass(frozen=True, slots=True)
class PartListeners:
    """Told of each part on the loop's thread; they only note it down."""

    began: Callable[[RecordTrigger], None]
    acquired: Callable[[PartKey], None]


class Runtime:
    """One station's loop."""

    def __init__(
        self,
        station: Station,
        devices: Devices,
        on_outcome: OutcomeListener | None = None,
        listeners: PartListeners | None = None,
    ) -> None:
        self.station = station
        self.recipe: LoadedRecipe | None = None
        self.replay: Mapping[str, Camera] = {}
        """By view: what jobs of a simulating station see."""
        self.answers: asyncio.Queue[Publish] = asyncio.Queue()
        self.changed = asyncio.Event()
        self.ending = asyncio.Event()
        self.judged = asyncio.Event()
        """No frame is with the models."""
        self.judged.set()
        self.exit_code = 0
        self._devices = devices
        self._on_outcome = on_outcome
        self._listeners = listeners
        self._work: dict[PartKey, PartWork] = {}
        self._recipes: dict[str, LoadedRecipe] = {}
        self._captures = Captures(devices.cameras, self.now, self.post, self._took)
        self._judging = 0
        self._inbox: deque[Event] = deque()
        self._busy = False
        self._tasks: asyncio.TaskGroup | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._loading = asyncio.Lock()
        self._latch = LatchWriter(devices.latch, self.report)

    def bind(self, tasks: asyncio.TaskGroup) -> None:
        """Give the loop its task group; before the first event."""
        self._tasks = tasks
        self._loop = asyncio.get_running_loop()

    def now(self) -> Ns:
        return self._devices.clock.now()

    # --- events in --------------------------------------------------------------------------------------------

    def post(self, event: Event) -> None:
        """Take one event: step the core, perform its commands. Events that this causes are taken afterwards."""
        self._inbox.append(event)
        if self._busy:
            return
        self._busy = True
        try:
            while self._inbox:
                self._take(self._inbox.popleft())
        finally:
            self._busy = False
        self.changed.set()

    def post_threadsafe(self, event: Event) -> None:
        """The same from any thread; harmless after the loop's end."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self.post, event)

    def committed(self, parts: tuple[PartKey, ...]) -> None:
        """The journal's callback, on its own thread."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._post_committed, parts)

    def report(self, source: str, health: Health, why: str) -> None:
        """A duty's health, from any thread."""
        self.post_threadsafe(HealthReported(self.now(), source, health, why))

    def end(self, exit_code: int) -> None:
        """Ask the station to end; the first code counts."""
        if not self.ending.is_set():
            self.exit_code = exit_code
            self.ending.set()

    def close(self) -> None:
        """After the last event: let the latch reach the disk."""
        self._latch.close(_LATCH_S)

    def _post_committed(self, parts: tuple[PartKey, ...]) -> None:
        at = self.now()
        for part in parts:
            self.post(TriggerCommitted(part, at))

    def _take(self, event: Event) -> None:
        try:
            self.station, commands = step(self.station, event)
        except IllegalEvent as error:
            logger.critical("illegal event, failsafe", event=type(event).__name__, why=str(error))
            tripped = FailsafeTripped(self.now(), FaultCode.ILLEGAL_EVENT, str(error))
            self.station, commands = step(self.station, tripped)
        for command in commands:
            self._perform(command)

    # --- commands out -----------------------------------------------------------------------------------------

    def _perform(self, command: Command) -> None:
        match command:
            case Publish():
                self.answers.put_nowait(command)
            case Capture():
                self._spawn(self._capture(command))
            case Infer():
                self._infer(command)
            case ArmDeadline():
                self._arm(command)
            case RecordOutcome():
                self._conclude(command.outcome)
            case RecordTrigger() | RecordLate() | RecordGate() | RecordEvent():
                self._append(command)
            case Release():
                self._release(command.part)
            case PersistLatch():
                self._latch.store(command.code, command.why)
            case LoadRecipe():
                self._spawn(self._load(command))

    def _spawn(self, work: asyncio._CoroutineLike[None]) -> None:  # pyright: ignore[reportPrivateUsage]
        assert self._tasks is not None, "bind() comes first"
        self._tasks.create_task(work)

    def _append(self, fact: RecordTrigger | Outcome | RecordLate | RecordGate | RecordEvent) -> None:
        if isinstance(fact, RecordTrigger) and self._listeners is not None:
            self._listeners.began(fact)
        self._devices.journal.append(Record(self._devices.clock.wall_ns(), fact))

    def _part(self, part: PartKey) -> PartWork:
        work = self._work.get(part)
        if work is None:
            work = self._work[part] = PartWork()
        return work

    def _arm(self, command: ArmDeadline) -> None:
        assert self._loop is not None
        self._part(command.part).timer = self._loop.call_at(command.deadline / 1e9, self._deadline, command.part)

    def _deadline(self, part: PartKey) -> None:
        self.post(DeadlinePassed(part, self.now()))

    async def _capture(self, command: Capture) -> None:
        view = self._loaded(command.part).views[command.view]
        rule = self.station.cycles[command.part].recipe.rule(command.view)
        replay = self.replay.get(command.view)
        if command.part.source != REPLAY:
            replay = None
        elif replay is None:
            why = f"{command.view}: there are no kept images to simulate with"
            self.post(Failed(command.part, command.view, self.now(), Reason.CAMERA, why))
            return
        await self._captures.perform(command, rule, view.camera, replay)
        cycle = self.station.cycles.get(command.part)
        if self._listeners is not None and cycle is not None and cycle.stage is Stage.INFERRING:
            self._listeners.acquired(command.part)

    def _took(self, command: Capture, frame: Frame, took_ns: int) -> None:
        work = self._part(command.part)
        work.frames[command.view] = frame
        work.capture_ns = max(work.capture_ns, took_ns)

    def _infer(self, command: Infer) -> None:
        part, view = command.part, command.view
        inspector = self._loaded(part).views[view].inspector
        loop, frame = self._loop, self._part(part).frames[view]
        assert loop is not None

        def done(result: Assessment | Exception, duration_ns: int) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._judged, part, view, result, duration_ns)

        if not self._devices.lane.submit(inspector, frame, done):
            self.post(Failed(part, view, self.now(), Reason.OVERRUN, "the inference queue is full"))
            return
        self._judging += 1
        self.judged.clear()

    def _judged(self, part: PartKey, view: str, result: Assessment | Exception, duration_ns: int) -> None:
        at, work = self.now(), self._work.get(part)
        self._judging -= 1
        if not self._judging:
            self.judged.set()
        if work is not None:
            work.inference_ns = max(work.inference_ns, duration_ns)
        if isinstance(result, Exception):
            if not isinstance(result, ModelError):
                logger.opt(exception=result).error("inspection failed in an unforeseen way", part=str(part))
            reason = Reason.IMAGE_QUALITY if isinstance(result, ImageUnfit) else Reason.MODEL
            self.post(Failed(part, view, at, reason, f"{view}: {type(result).__name__}: {result}"))
        else:
            self.post(Inferred(part, view, at, result))

    def _conclude(self, outcome: Outcome) -> None:
        self._append(outcome)
        work = self._work.get(outcome.part)
        duration = Duration()
        if work is not None:
            work.outcome = outcome
            duration = Duration(work.capture_ns, work.inference_ns)
        if self._on_outcome is not None:
            self._on_outcome(outcome, duration)

    def _release(self, part: PartKey) -> None:
        """Nothing of the part is on its way any more: keep its images, let go of the rest."""
        work = self._work.pop(part, None)
        if work is None:
            return
        if work.timer is not None:
            work.timer.cancel()
        images = self._devices.images
        if images is not None and work.outcome is not None:
            wall_ns = self._devices.clock.wall_ns()
            judged = {fact.view for fact in work.outcome.frames if fact.used}
            for view, frame in work.frames.items():
                if view in judged or work.outcome.verdict is Verdict.NO_DECISION:
                    images.keep(frame, work.outcome, wall_ns)

    # --- recipes ----------------------------------------------------------------------------------------------

    def _loaded(self, part: PartKey) -> LoadedRecipe:
        """The recipe that the part was triggered with."""
        return self._recipes[self.station.cycles[part].recipe.hash]

    async def _load(self, command: LoadRecipe) -> None:
        """Load off the loop; parts in flight go on with theirs."""
        async with self._loading:
            try:
                recipe = await asyncio.to_thread(self._devices.recipes.load, command.recipe_id, command.product)
            except (ControllerError, ModelError) as error:
                logger.error("recipe refused", recipe=command.product or command.recipe_id, why=str(error))
                self.post(RecipeRefused(self.now(), command.request_seq, str(error)))
                return
            self.install(recipe, command.request_seq)

    def install(self, recipe: LoadedRecipe, request_seq: int) -> None:
        """Put a loaded recipe in force for the parts to come."""
        in_use = {cycle.recipe.hash for cycle in self.station.cycles.values()}
        self._recipes = {key: value for key, value in self._recipes.items() if key in in_use}
        self._recipes[recipe.facts.hash] = recipe
        self.recipe = recipe
        self.post(RecipeLoaded(self.now(), recipe.facts, request_seq))
        logger.info("recipe loaded", product=recipe.facts.product, hash=recipe.facts.hash[:12])
