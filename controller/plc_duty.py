"""The three duties towards the PLC: read its tags, write answers, write status. They share one connection.

When any of them meets a DeviceError the connection is dropped and made anew: a new session, nothing replayed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from loguru import logger

from controller.errors import ConfigError, DeviceError
from controller.plc_order import next_request
from controller.plc_rhythm import Rhythm
from controller.ports import PlcLink, StatusValue
from controller.runtime import Runtime
from statemachines.commands import Publish
from statemachines.cycle.state import awaits_write
from statemachines.events import BlockWritten, HealthReported, LinkLost, LinkUp, PlcRead, Published, SessionTold
from statemachines.handshake.state import Handshake, Link
from statemachines.sequence import distance
from statemachines.station.tags import outputs, wanted
from statemachines.vocabulary import MS, Health, Ns


@dataclass(frozen=True, slots=True)
class PlcTiming:
    """All in ns. status_gap: least time between two status writes, so that they do not crowd the answers.

    between_reads: the longest regular time from one read to the next. pulse: the PLC's shortest Trigger pulse, 0 if
    nobody knows; None where it holds Trigger until TriggerAck. rest: the longest time without a read while a model
    computes and no part is due.
    """

    connect: int = 2000 * MS
    request: int = 200 * MS
    reconnect: int = 250 * MS
    status_gap: int = 10 * MS
    between_reads: int = 2 * MS
    pulse: int | None = None
    rest: int = 20 * MS


def pulse_doubt(timing: PlcTiming, round_trip_ns: int) -> str:
    """Why a Trigger pulse may be missed; empty where none can be, as far as one read's round trip tells.

    A pulse must be seen by one read and still stand in the next, which follows at once and proves its fields.
    """
    if timing.pulse is None:
        return ""
    needed = timing.between_reads + 2 * round_trip_ns
    if timing.pulse > needed:
        return ""
    given = f"pulses last {timing.pulse / MS:g} ms" if timing.pulse else "nobody knows how long pulses last"
    return (
        f"{given}, reading needs {needed / MS:.1f} ms ({timing.between_reads / MS:g} ms between reads, two reads of "
        f"{round_trip_ns / MS:.1f} ms): hold Trigger until TriggerAck"
    )


class Sessions:
    """Numbers for sessions, never used before: 20 bits of the station's start number, 10 of the sessions in it."""

    def __init__(self, start_number: int) -> None:
        self._next = (start_number % 2**20) * 2**10 + 1

    @property
    def next(self) -> int:
        """The number that the next session will have, 1 to 2^30 - 1."""
        return self._next

    def used(self, session_id: int) -> None:
        """The core opened this session."""
        if session_id == self._next:
            self._next = self._next % (2**30 - 1) + 1


class PlcDuty:
    """Keeps the PLC link alive for a runtime."""

    def __init__(self, runtime: Runtime, link: PlcLink, timing: PlcTiming, sessions: Sessions) -> None:
        self._runtime = runtime
        self._link = link
        self._timing = timing
        self._sessions = sessions
        self._linked = asyncio.Event()
        self._fault: DeviceError | None = None
        self._written: dict[str, StatusValue] = {}
        self._writing = asyncio.Lock()
        self._answered = asyncio.Event()
        self._answered.set()
        self._rhythm = Rhythm()
        self.heartbeat = 0

    def beat(self) -> None:
        """One more heartbeat, from the loop that decides."""
        self.heartbeat = self.heartbeat % 0x3FFFFFFF + 1
        self._runtime.changed.set()

    async def say_goodbye(self) -> None:
        """Write Ready 0 and Online 0 once, so that the PLC need not wait for the heartbeat's silence."""
        if self._linked.is_set() and self._fault is None:
            with suppress(DeviceError):
                tags = outputs(self._runtime.station)
                await self._link.write_status({"Ready": tags["Ready"], "Online": tags["Online"]}, self._in(200 * MS))

    async def close(self) -> None:
        """Drop the connection, for good."""
        await self._link.close()

    def start(self, spawn: Callable[[asyncio._CoroutineLike[None]], object]) -> None:  # pyright: ignore[reportPrivateUsage]
        """Start the three tasks."""
        spawn(self._keep_linked())
        spawn(self._write_answers())
        spawn(self._write_status())

    async def _keep_linked(self) -> None:
        runtime, timing = self._runtime, self._timing
        while True:
            why = "the connection was closed"
            try:
                await self._link.connect(self._in(timing.connect))
                self._fault, self._written = None, {}
                runtime.post(LinkUp(runtime.now()))
                runtime.post(HealthReported(runtime.now(), "plc", Health.NORMAL, ""))
                logger.info("PLC connected")
                self._linked.set()
                runtime.changed.set()
                await self._poll()
            except (DeviceError, ConfigError) as error:
                why = str(error)
            finally:
                self._linked.clear()
            if runtime.station.handshake.link is not Link.OFFLINE:
                runtime.post(LinkLost(runtime.now(), why))
            runtime.post(HealthReported(runtime.now(), "plc", Health.FAILURE, why))
            logger.error("PLC link down", why=why)
            await self._link.close()
            await asyncio.sleep(timing.reconnect / 1e9)

    async def _poll(self) -> None:
        runtime, link = self._runtime, self._link
        first = True
        while True:
            reading = await link.read(wanted(runtime.station), self._in(self._timing.request))
            if self._fault is not None:
                raise self._fault
            if first:
                self._judge_pulses(runtime.now() - reading.sent_at)
                first = False
            before = runtime.station.handshake
            runtime.post(PlcRead(runtime.now(), reading.sent_at, reading.head, reading.slots, self._sessions.next))
            handshake = runtime.station.handshake
            self._sessions.used(handshake.session_id)
            self._note_parts(before, handshake)
            if not handshake.torn_reads:
                await link.changed(self._in(self._timing.request))
                await self._rest(reading.sent_at)
                await self._answers_first()

    def _note_parts(self, before: Handshake, after: Handshake) -> None:
        if after.session_id != before.session_id or after.link is not before.link:
            self._rhythm.restart()
        elif after.last_seq != before.last_seq:
            modulus = self._runtime.station.rules.contract.modulus
            self._rhythm.seen(distance(before.last_seq, after.last_seq, modulus), self._runtime.now())

    async def _rest(self, read_at: Ns) -> None:
        """Leave processor and interpreter to a model that computes, while no part is due: decision 0033.

        Never for more than half of the time that a part stays in view, should one come all the same.
        """
        runtime, timing = self._runtime, self._timing
        if runtime.judged.is_set() or runtime.recipe is None or not self._link.polls:
            return
        if runtime.station.rules.contract.four_phase:
            # Each step of its handshake waits for a read, also those of an answer without the model's word.
            return
        longest = min(timing.rest, runtime.recipe.facts.capture_window_ns // 2)
        until = min(self._rhythm.quiet_until, read_at + longest)
        if until > runtime.now():
            with suppress(TimeoutError):
                async with asyncio.timeout_at(until / 1e9):
                    await runtime.judged.wait()

    def _judge_pulses(self, round_trip_ns: int) -> None:
        """Say so at the start, in log, health and journal, where the PLC may give triggers that nobody sees."""
        doubt = pulse_doubt(self._timing, round_trip_ns)
        if doubt:
            logger.warning("trigger pulses can be missed", why=doubt)
        health = Health.OUT_OF_SPEC if doubt else Health.NORMAL
        self._runtime.post(HealthReported(self._runtime.now(), "trigger pulses", health, doubt))

    async def _write_answers(self) -> None:
        """One answer at a time, in the order in which they were decided: no slot is ever written by two."""
        runtime = self._runtime
        while True:
            command = await runtime.answers.get()
            self._answered.clear()
            try:
                shown = await self._write_answer(command)
            except DeviceError as error:
                self._fault = error
            else:
                if shown:
                    runtime.post(Published(command.part, runtime.now()))
            finally:
                self._answered.set()

    async def _answers_first(self) -> None:
        """Let an answer that is due go before what can wait: a PLC takes one request after the other.

        One answer only, so that triggers are read however many answers there are.
        """
        if not self._runtime.answers.empty():
            self._answered.clear()
        await self._answered.wait()

    async def _write_answer(self, command: Publish) -> bool:
        """Write the block and what tells the PLC of it. False when the part's session ended before the PLC was told."""
        runtime = self._runtime
        queued = runtime.station.rules.contract.four_phase
        if queued:
            # The last result's ResultValid must be 0 before its block changes.
            await self._write_signals()
        if not self._may_write(command):
            return False
        await self._link.write_answer(command.answer, self._in(self._timing.request))
        if not queued:
            return True
        runtime.post(BlockWritten(command.part, runtime.now()))
        await self._write_signals()
        return self._may_write(command)

    def _may_write(self, command: Publish) -> bool:
        return self._fault is None and awaits_write(self._runtime.station.cycles.get(command.part), command.answer)

    async def _write_status(self) -> None:
        """Write what differs from what the PLC has: signals at once, the rest at most every status_gap."""
        runtime, gap = self._runtime, self._timing.status_gap
        rest_from, alarm = runtime.now(), None
        while True:
            await self._linked.wait()
            await runtime.changed.wait()
            runtime.changed.clear()
            if self._fault is not None:
                continue
            try:
                await self._write_signals()
                await self._answers_first()
                if runtime.now() >= rest_from and await self._write_rest():
                    rest_from = self._in(gap)
                    if alarm is not None:
                        alarm.cancel()
                    alarm = asyncio.get_running_loop().call_at(rest_from / 1e9, runtime.changed.set)
            except DeviceError as error:
                self._fault = error

    async def _write_signals(self) -> None:
        """What the PLC waits for, request by request, each from the state of its moment."""
        async with self._writing:
            while request := next_request(self._difference(), signals_only=True):
                await self._write(request)

    async def _write_rest(self) -> bool:
        """Everything that differs now; what changes meanwhile waits. Returns whether anything differed."""
        async with self._writing:
            due = set(self._difference())
            left = due
            while left:
                difference = self._difference()
                if "SessionId" not in difference:
                    difference = {tag: value for tag, value in difference.items() if tag in left}
                request = next_request(difference, signals_only=False)
                if request:
                    await self._write(request)
                left = left.intersection(difference) - request.keys()
        return bool(due)

    def _difference(self) -> dict[str, StatusValue]:
        values: dict[str, StatusValue] = {**outputs(self._runtime.station), "Heartbeat": self.heartbeat}
        return {tag: value for tag, value in values.items() if self._written.get(tag) != value}

    async def _write(self, values: Mapping[str, StatusValue]) -> None:
        await self._link.write_status(values, self._in(self._timing.request))
        self._written.update(values)
        session_id = values.get("SessionId")
        if isinstance(session_id, int):
            self._runtime.post(SessionTold(session_id, self._runtime.now()))

    def _in(self, duration_ns: int) -> Ns:
        return Ns(self._runtime.now() + duration_ns)
