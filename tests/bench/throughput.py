"""Parts per second through the whole runtime over an in-process link, against a bare loop on the same model.

Bare: `runner.infer(frame)` in a plain loop. Linegate: trigger → handshake → capture → lane → decode → catalogue →
answer, with the real journal on disk; no wire, no images. Same compiled model, frames and threads; rounds alternate.
"""

from __future__ import annotations

import asyncio
import itertools
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from controller.clock import SystemClock
from controller.drivers.plc.direct import DirectPlc, DirectTags
from controller.drivers.record.journal import SqliteJournal
from controller.drivers.record.latch import FileLatch
from controller.plc_duty import PlcDuty, PlcTiming, Sessions
from controller.recipes import LoadedRecipe, LoadedView
from controller.runtime import Devices, Runtime
from controller.sim.source import RenderedSettings, open_source
from controller.sim.workspace import PACKAGES, RECIPES
from models.catalogue import load_catalogue
from models.frame import Frame
from models.inspector import Inspector
from models.lane import InferenceLane
from models.package import open_package
from models.runner import Runner
from statemachines.handshake.state import Contract
from statemachines.line import Line
from statemachines.station.state import Rules, Station
from statemachines.vocabulary import MS, Fallback, Health, Mode, Ns, PartKey, Policy, RecipeFacts
from tests.bench.figures import median

DEPTH, WINDOW = 16, 4


class MemoryCamera:
    """Hands out frames that are in memory already."""

    def __init__(self, frames: list[Frame]) -> None:
        self._frames = itertools.cycle(frames)
        self._counter = 0

    async def open(self, deadline: Ns) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""

    async def capture(self, part: PartKey, view: str, expose_at: Ns, until: Ns, deadline: Ns) -> Frame:
        self._counter += 1
        frame = next(self._frames)
        return Frame(view, frame.pixels, time.monotonic_ns(), self._counter, "memory")


def frames(count: int = 24) -> list[Frame]:
    """Rendered parts, 1920×1200."""
    source = open_source(RenderedSettings(5))
    return [Frame("top", source.pixels(n), 0, n, "memory") for n in range(1, count + 1)]


def runner() -> Runner:
    """The demo model, compiled and warm."""
    made = Runner(open_package(PACKAGES, "sim-washer", "1.0.0"))
    made.load()
    made.warm_up()
    return made


def bare(model: Runner, pictures: list[Frame], parts: int) -> float:
    """Parts per second of a plain loop."""
    started = time.perf_counter()
    for frame in itertools.islice(itertools.cycle(pictures), parts):
        model.infer(frame.pixels)
    return parts / (time.perf_counter() - started)


async def through_the_station(model: Runner, pictures: list[Frame], parts: int, folder: Path) -> float:
    """Parts per second of the runtime, several parts in flight."""
    catalogue = load_catalogue(RECIPES / "washer" / "catalogue.toml")
    facts = RecipeFacts(1, "washer", "ab" * 32, ("top",), 5000 * MS, 5000 * MS, Policy(Fallback.REJECT, False, 0))
    recipe = LoadedRecipe(facts, {"top": LoadedView("memory", Inspector(model, catalogue, 0.05))})
    started_at = time.monotonic_ns()
    tags = DirectTags(depth=DEPTH, clock_ms=lambda: (time.monotonic_ns() - started_at) // MS)
    tags.values.update({"Enable": True, "ModeCeiling": 3, "PlcEpoch": 9})
    done, ready = asyncio.Event(), asyncio.Event()
    counts = {"triggered": 0, "answered": 0}

    def top_up() -> None:
        while counts["triggered"] < parts and counts["triggered"] - counts["answered"] < WINDOW:
            counts["triggered"] += 1
            tags.trigger(counts["triggered"])
            # One trigger a read: of several in one read only the newest is captured.
            break

    def written(name: str, _value: object) -> None:
        if name == "SessionId":
            tags.values["SessionAck"] = tags.values["SessionId"]
        elif name == "Ready" and tags.values["Ready"] is True:
            ready.set()
        elif name.endswith(".ResultSeq"):
            counts["answered"] += 1
            if counts["answered"] == parts:
                done.set()
            top_up()

    tags.on_write = written
    lane = InferenceLane()
    runtime: Runtime
    journal = SqliteJournal(folder / f"{started_at}.db", lambda keys: runtime.committed(keys), _unheard)
    camera = MemoryCamera(pictures)
    devices = Devices(
        {"memory": camera}, lane, journal, None, FileLatch(folder / "latch.json"), _Book(recipe), SystemClock()
    )
    rules = Rules(Contract(depth=DEPTH), max_in_flight=DEPTH - 1)
    runtime = Runtime(Station(rules=rules, line=Line("starting", Mode.AUTO_REJECT)), devices)
    journal.open()
    duty = PlcDuty(runtime, DirectPlc(tags, poll_ms=1), PlcTiming(request=1000 * MS), Sessions(1))
    rate = 0.0
    with suppress(ExceptionGroup):
        async with asyncio.TaskGroup() as tasks:
            runtime.bind(tasks)
            runtime.install(recipe, 0)
            duty.start(tasks.create_task)
            await ready.wait()
            started = time.perf_counter()
            for _ in range(WINDOW):
                top_up()
                await asyncio.sleep(0.003)
            await done.wait()
            rate = parts / (time.perf_counter() - started)
            raise _Done
    lane.close(5)
    journal.close()
    return rate


class _Done(Exception):
    pass


def _unheard(_health: Health, _why: str) -> None:
    """Nobody listens to the journal's health here."""


class _Book:
    def __init__(self, recipe: LoadedRecipe) -> None:
        self._recipe = recipe

    def load(self, recipe_id: int, product: str) -> LoadedRecipe:
        return self._recipe


def run(rounds: int = 5, parts: int = 300) -> dict[str, float]:
    """Alternate both ways; medians and the ratio."""
    model, pictures = runner(), frames()
    plain: list[float] = []
    station: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            plain.append(bare(model, pictures, parts))
            station.append(asyncio.run(through_the_station(model, pictures, parts, Path(folder))))
    model.close()
    return {
        "bare_per_s": median(plain),
        "linegate_per_s": median(station),
        "ratio": median([s / b for s, b in zip(station, plain, strict=True)]),
    }
