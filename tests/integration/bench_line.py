"""A whole runtime on a workbench: real loop, core and lane; PLC tags, camera and model under the test's thumb."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np

from controller.clock import SystemClock
from controller.drivers.plc.direct import DirectPlc, DirectTags
from controller.drivers.plc.tags import FOUR_PHASE, SEQUENCE
from controller.errors import DeviceTimeout, RecordError
from controller.plc_duty import PlcDuty, PlcTiming, Sessions
from controller.ports import PlcLink, Record
from controller.recipes import LoadedRecipe, LoadedView
from controller.runtime import Devices, Runtime
from models.frame import Frame
from models.lane import InferenceLane
from statemachines import health
from statemachines.checkword import answer_check
from statemachines.commands import RecordEvent, RecordLate, RecordTrigger
from statemachines.handshake.state import Contract
from statemachines.line import Line
from statemachines.station.state import Rules, Station
from statemachines.vocabulary import (
    MS,
    Action,
    Answer,
    Assessment,
    Fallback,
    FaultCode,
    Mode,
    Ns,
    Outcome,
    PartKey,
    Policy,
    Reason,
    RecipeFacts,
    Severity,
    Verdict,
)

GOOD = Assessment(Verdict.OK, (), 0.1, "nothing found")
BAD = Assessment(Verdict.NG, (), 0.9, "scratch 2.4 mm > 2.0 mm: major")


class Model:
    """A model that does what it is told; `release` lets a hanging one return."""

    def __init__(self) -> None:
        self.result: Assessment | Exception = GOOD
        self.hang = False
        self.started = threading.Event()
        self.release = threading.Event()

    def inspect(self, frame: Frame) -> Assessment:
        self.started.set()
        if self.hang:
            self.release.wait(20)
        if isinstance(self.result, Exception):
            raise self.result
        return self.result

    def warm_up(self) -> None:
        """Nothing to warm."""

    def cancel(self) -> None:
        """A model that hangs here does not listen."""


class Eye:
    """A camera that does what it is told."""

    def __init__(self, name: str = "eye") -> None:
        self.name = name
        self.exposure_ns: int | None = None
        self.counter = 0
        self.silent = False
        self.repeat = False
        self.exposure_shift_ns = 0
        self.gate: asyncio.Event | None = None
        self.captured: list[PartKey] = []

    async def open(self, deadline: Ns) -> None:
        """Always open."""

    async def close(self) -> None:
        """Nothing to let go of."""

    async def capture(self, part: PartKey, view: str, expose_at: Ns, until: Ns, deadline: Ns) -> Frame:
        self.captured.append(part)
        exposed_at = time.monotonic_ns() + self.exposure_shift_ns
        if self.silent:
            await asyncio.sleep(max(0, deadline - time.monotonic_ns()) / 1e9)
            raise DeviceTimeout("eye", "no frame before the deadline")
        if self.gate is not None:
            await self.gate.wait()
        if not self.repeat:
            self.counter += 1
        return Frame(view, np.zeros((4, 4), np.uint8), exposed_at, self.counter, self.name, self.exposure_ns)


@dataclass
class Notes:
    """A journal in memory that commits at once, or when told to."""

    records: list[Record] = field(default_factory=list[Record])
    commit: Callable[[tuple[PartKey, ...]], None] | None = None
    hold: bool = False
    held: list[PartKey] = field(default_factory=list[PartKey])

    def append(self, record: Record) -> bool:
        self.records.append(record)
        if isinstance(record.fact, RecordTrigger):
            if self.hold:
                self.held.append(record.fact.part)
            elif self.commit is not None:
                self.commit((record.fact.part,))
        return True

    def outcomes(self) -> list[Outcome]:
        return [r.fact for r in self.records if isinstance(r.fact, Outcome)]

    def late(self) -> list[RecordLate]:
        return [r.fact for r in self.records if isinstance(r.fact, RecordLate)]

    def events(self, kind: str) -> list[RecordEvent]:
        return [r.fact for r in self.records if isinstance(r.fact, RecordEvent) and r.fact.kind == kind]


@dataclass
class Memory:
    """A latch in memory."""

    code: FaultCode = FaultCode.NONE
    why: str = ""
    broken: bool = False

    def load(self) -> tuple[FaultCode, str]:
        return self.code, self.why

    def store(self, code: FaultCode, why: str) -> None:
        if self.broken:
            raise RecordError("latch: disk full")
        self.code, self.why = code, why


class Recipes:
    """Recipes by number."""

    def __init__(self, *recipes: LoadedRecipe) -> None:
        self._recipes = recipes

    def load(self, recipe_id: int, product: str) -> LoadedRecipe:
        for recipe in self._recipes:
            if recipe_id == recipe.facts.id or product == recipe.facts.product:
                return recipe
        raise RecordError(f"no recipe {recipe_id or product}")


def facts(
    number: int = 1, deadline_ms: int = 150, window_ms: int = 100, views: tuple[str, ...] = ("top",)
) -> RecipeFacts:
    policy = Policy(Fallback.REJECT, divert_lane=False, stop_after_passes=0)
    return RecipeFacts(number, f"p{number}", f"{number:02x}" * 32, views, deadline_ms * MS, window_ms * MS, policy)


@dataclass
class Line1:
    """What a test acts on and looks at."""

    runtime: Runtime
    duty: PlcDuty
    tags: DirectTags
    eye: Eye
    model: Model
    notes: Notes
    latch: Memory
    lane: InferenceLane
    answers: list[Answer]
    hand: Hand | None = None

    @property
    def plc(self) -> Hand:
        """The PLC of a four-phase line."""
        assert self.hand is not None, "a line of the sequence profile"
        return self.hand

    async def until(self, condition: Callable[[], bool], what: str, timeout_s: float = 10.0) -> None:
        """Wait for a condition that the loop brings about."""
        try:
            async with asyncio.timeout(timeout_s):
                while not condition():
                    await asyncio.sleep(0.001)
        except TimeoutError:
            raise AssertionError(f"waited in vain for {what}; station: {self.runtime.station}") from None

    async def ready(self) -> None:
        """Ready in the PLC, and of the station's present session."""
        await self.until(lambda: self.tags.values["Ready"] is True and self.runtime.station.ready, "Ready")

    async def answer_for(self, seq: int) -> Answer:
        await self.until(lambda: any(a.seq == seq for a in self.answers), f"the answer of {seq}")
        return next(a for a in self.answers if a.seq == seq)

    async def trigger(self, part_id: int = 4711, recipe_id: int = 1) -> Answer:
        if self.hand is None:
            return await self.answer_for(self.tags.trigger(part_id, recipe_id))
        await self.until(lambda: self.tags.values["TriggerAck"] is False, "TriggerAck 0")
        return await self.answer_for(self.hand.trigger(part_id, recipe_id))

    async def ended(self, count: int) -> list[Outcome]:
        await self.until(lambda: len(self.notes.outcomes()) >= count, f"{count} outcomes in the journal")
        return self.notes.outcomes()


class Echo:
    """The PLC side of a session: echoes SessionId, decodes each answer as its ResultSeq comes in."""

    def __init__(self, tags: DirectTags, answers: list[Answer]) -> None:
        self._tags, self._answers = tags, answers
        self.acknowledge = True
        tags.on_write = self.written

    def written(self, name: str, value: object) -> None:
        values = self._tags.values
        if name == "SessionId" and self.acknowledge:
            values["SessionAck"] = values["SessionId"]
            self._tags.changed.set()
        if name.endswith(".ResultSeq"):
            slot = name.removesuffix("ResultSeq")
            answer = decode(values, slot, "ResultSeq")
            assert values[slot + "Check"] == answer_check(answer), "torn answer"
            self._answers.append(answer)


class Hand:
    """The PLC side of the four-phase profile, one step for each of the station's; tests let it leave steps out."""

    def __init__(self, tags: DirectTags, answers: list[Answer]) -> None:
        self._tags, self._answers = tags, answers
        self.holds = True
        """Keep Trigger at 1 until TriggerAck; else it never falls by itself."""
        self.acknowledges = True
        self.releases = True
        self.wakes = True
        """Let the link read at once after each change; else only the polling interval counts."""
        self.order: list[tuple[str, object]] = []
        tags.on_write = self.written

    def trigger(self, part_id: int, recipe_id: int = 1, trigger_id: int | None = None) -> int:
        """Fields and TriggerId first, then Trigger 0→1. Returns the TriggerId."""
        values = self._tags.values
        number = int(values["TriggerId"]) % self._tags.modulus + 1 if trigger_id is None else trigger_id
        clock = 0 if self._tags.clock_ms is None else self._tags.clock_ms()
        values.update({"PartId": part_id, "TrigClockMs": clock, "RecipeId": recipe_id, "TriggerId": number})
        self.set("Trigger", True)
        return number

    def set(self, name: str, value: bool) -> None:
        self._tags.values[name] = value
        if self.wakes:
            self._tags.changed.set()

    def written(self, name: str, value: object) -> None:
        values = self._tags.values
        if name in ("TriggerIdAck", "TriggerAck", "ResultValid", "Result.TriggerId", "SessionId", "Ready"):
            self.order.append((name, value))
        if name == "TriggerAck" and value and self.holds:
            assert values["TriggerIdAck"] == values["TriggerId"], "acknowledged for another trigger"
            self.set("Trigger", False)
        if name == "ResultValid" and value:
            answer = decode(values, "Result.", "TriggerId")
            assert values["Result.Check"] == answer_check(answer), "torn answer"
            self._answers.append(answer)
            if self.acknowledges:
                self.set("ResultAck", True)
        if name == "ResultValid" and not value and self.releases:
            self.set("ResultAck", False)


def decode(values: Mapping[str, object], slot: str, number_tag: str) -> Answer:
    """An answer from the tags of its result block."""

    def number(name: str) -> int:
        value = values[slot + name]
        assert isinstance(value, int)
        return value

    part_id, score = values[slot + "PartIdEcho"], values[slot + "Score"]
    assert isinstance(part_id, (int, str))
    assert isinstance(score, float)
    return Answer(
        number(number_tag),
        part_id,
        number("EpochEcho"),
        number("SessionId"),
        Action(number("Action")),
        Verdict(number("Verdict")),
        Reason(number("Reason")),
        number("DefectCode"),
        Severity(number("Severity")),
        number("FindingCount"),
        score,
        number("LatencyUs"),
        Mode(number("Mode")),
    )


@asynccontextmanager
async def workbench(
    mode: Mode = Mode.AUTO_REJECT,
    recipe: RecipeFacts | None = None,
    latch: Memory | None = None,
    timing: PlcTiming = PlcTiming(request=100 * MS, reconnect=20 * MS),
    plc_lost_ms: int = 500,
    connected: bool = True,
    contract: Contract = Contract(),
    poll_ms: float = 1.0,
    eyes: Mapping[str, Eye] = MappingProxyType({}),
    link: Callable[[DirectTags, float], PlcLink] = DirectPlc,
) -> AsyncGenerator[Line1]:
    """A running station; ends with the block, leaving nothing behind. eyes: cameras of their own, by view."""
    started = time.monotonic_ns()
    kinds = FOUR_PHASE if contract.four_phase else SEQUENCE
    tags = DirectTags(clock_ms=lambda: (time.monotonic_ns() - started) // MS, tags=kinds)
    tags.values.update({"Enable": True, "ModeCeiling": 3, "PlcEpoch": 9})
    answers: list[Answer] = []
    hand = Hand(tags, answers) if contract.four_phase else None
    if hand is None:
        Echo(tags, answers)
    eye, model, notes, lane = Eye(), Model(), Notes(), InferenceLane()
    latch = latch or Memory()
    code, why = latch.load()
    first = recipe or facts()
    book = Recipes(*(_loaded(facts_, model, eyes) for facts_ in (first, facts(2))))
    station = Station(
        rules=Rules(replace(contract, plc_lost_ns=plc_lost_ms * MS), max_in_flight=contract.depth - 1),
        line=Line("failsafe" if code else "starting", mode),
        latch=health.restored(code, why, Ns(started)),
    )
    runtime = Runtime(station, Devices({"eye": eye, **eyes}, lane, notes, None, latch, book, SystemClock()))
    notes.commit = runtime.committed
    duty = PlcDuty(runtime, link(tags, poll_ms), timing, Sessions(1))
    stop = asyncio.Event()

    async def rest() -> None:
        await stop.wait()
        raise _Done

    try:
        async with asyncio.TaskGroup() as tasks:
            runtime.bind(tasks)
            runtime.install(book.load(first.id, ""), 0)
            tasks.create_task(rest())
            if connected:
                duty.start(tasks.create_task)
            yield Line1(runtime, duty, tags, eye, model, notes, latch, lane, answers, hand)
            model.release.set()
            stop.set()
    except* _Done:
        pass
    finally:
        model.release.set()
        runtime.close()
        assert lane.close(5.0), "the lane's thread is stuck"


class _Done(Exception):
    """The test is over."""


def _loaded(recipe: RecipeFacts, model: Model, eyes: Mapping[str, Eye]) -> LoadedRecipe:
    views = {view: LoadedView(view if view in eyes else "eye", model) for view in recipe.views}
    return LoadedRecipe(recipe, views)
