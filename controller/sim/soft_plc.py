"""The simulated PLC at work: its tag server, its scan, its conveyor, and the faults it can be told to make.

`run_soft_plc` is the entry point of a process of its own. The time of each trigger is kept to the microseconds of a
`select` time-out; asyncio's own selector would round it up to the millisecond.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import selectors
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, assert_never

from controller.sim import plc_commands as cmd
from controller.sim.conveyor import NS_PER_MS, arrivals
from controller.sim.four_phase_program import FourPhaseProgram
from controller.sim.four_phase_tags import FourPhaseTags
from controller.sim.gate import Passage, Source
from controller.sim.light_barrier import LightBarrier
from controller.sim.plc_image import PartId, ResultBlock, TriggerBlock
from controller.sim.plc_line import PlcOutputs, Sensors
from controller.sim.plc_settings import SoftPlcSettings
from controller.sim.plc_tags import DeclaredTag, PlcTags, TagKind, TagServer, spoiled
from controller.sim.sequence_program import SequenceProgram
from controller.sim.sequence_tags import SequenceTags
from controller.sim.tally import Tally

_TORN = 0x555555
"""Turns a right check word into a wrong one."""


_CLOSED_LOOP_LIMIT_MS = 100.0


def precise_loop() -> asyncio.AbstractEventLoop:
    """An event loop whose timers are as precise as the machine allows."""
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


class SoftPlc:
    """One simulated PLC. Everything in it runs on its event loop's thread; `post` is called there with each event."""

    def __init__(self, settings: SoftPlcSettings, post: Callable[[cmd.PlcEvent], None]) -> None:
        self._settings, self._post = settings, post
        part_ids = TagKind.TEXT if settings.part_id_kind == "text" else TagKind.WORD
        self._tags: PlcTags = (
            FourPhaseTags(part_ids, self._result_written, self._acknowledged)
            if settings.profile == "four-phase"
            else SequenceTags(settings.depth, part_ids, self._result_written, self._acknowledged)
        )
        limit = settings.answer_limit_ms
        self._tally = Tally(
            round(settings.gate_delay_ms * NS_PER_MS), None if limit is None else round(limit * NS_PER_MS)
        )
        self._program = self._download(settings.plc_epoch, settings.trigger_seq)
        self._epoch = settings.plc_epoch
        self._zero_ns = time.monotonic_ns()
        self._session = 0
        self._halted_until_ns = 0
        self._clock_held_until_ns = 0
        self._answered = asyncio.Event()
        self._awaited: PartId | None = None
        self._ejected = 0
        self._blind = 0
        self._jump = 0
        self._tear_ms: float | None = None
        self._delay_ms: float | None = None
        self._forced: dict[str, tuple[int, int]] = {}
        self._start = asyncio.Event()
        self._end = asyncio.Event()
        self._barrier = None if settings.barrier is None else LightBarrier(settings.barrier)
        self._brought_all = False
        self._finished = False

    def _download(self, plc_epoch: int, trigger_seq: int) -> SequenceProgram | FourPhaseProgram:
        setup = self._settings.setup(plc_epoch, trigger_seq)
        return FourPhaseProgram(setup) if self._settings.profile == "four-phase" else SequenceProgram(setup)

    async def serve(self) -> None:
        """Serve and run the line until told to end."""
        server = tag_server(self._settings, spoiled(self._tags.declared, self._settings.defects), self._tags.written)
        await server.build()
        self._tags.bind(server, frozenset(d.name for d in self._settings.defects if d.how != "read-only"))
        self._tags.write_trigger_seq(self._settings.trigger_seq)
        self._scan()
        if self._settings.belt is not None:
            # Its import takes the time of many scans; at the line's start the station would lose its PLC.
            import controller.sim.belt  # noqa: F401  # pyright: ignore[reportUnusedImport]
        # A collection over the server's address space would stop the PLC for tens of ms.
        gc.collect()
        gc.freeze()
        address = await server.start()
        try:
            async with asyncio.TaskGroup() as duties:
                running = [duties.create_task(duty()) for duty in (server.run, self._run, self._bring, self._tell)]
                self._post(cmd.PlcServing(address))
                await self._end.wait()
                for duty in running:
                    duty.cancel()
        finally:
            await server.stop()
            if self._barrier is not None:
                self._barrier.close()
        self._post(self._whole_tally())

    def command(self, command: cmd.PlcCommand) -> None:
        """Do what was asked. Loop thread only."""
        match command:
            case cmd.StartLine():
                self._start.set()
            case cmd.EndPlc():
                self._end.set()
            case cmd.AskTally():
                self._post(self._whole_tally())
            case cmd.TakeParts(count, keep):
                self._post(cmd.PartsTaken(self._tally.take(count, keep)))
            case cmd.SetEnable(on):
                self._program.switches.wish_enable(on)
            case cmd.SetCeiling(mode):
                self._program.switches.mode_ceiling = mode
            case cmd.PulseFaultReset(for_ms):
                self._program.switches.pulse_fault_reset(for_ms)
            case cmd.RequestRecipe(recipe_id):
                self._program.switches.request_recipe(recipe_id)
            case cmd.AcknowledgeStop():
                self._program.acknowledge_stop()
            case cmd.Halt(for_ms):
                self._halted_until_ns = time.monotonic_ns() + round(for_ms * NS_PER_MS)
            case cmd.HoldClock(for_ms):
                self._clock_held_until_ns = time.monotonic_ns() + round(for_ms * NS_PER_MS)
            case cmd.Burst(count, first_number):
                self._see(tuple(self._settings.part_id(first_number + extra) for extra in range(count)))
            case cmd.TriggerNow(part_id, impatient):
                self._see((part_id,), impatient)
            case cmd.JumpSeq(by):
                self._jump = by
            case cmd.TearSlot(repair_ms):
                self._tear_ms = repair_ms
            case cmd.DelaySeq(delay_ms):
                self._delay_ms = delay_ms
            case cmd.RestartProgram(trigger_seq, plc_epoch):
                self._restart(trigger_seq or 0, self._epoch + 1 if plc_epoch is None else plc_epoch)
            case cmd.BlindSensor(parts):
                self._blind = parts
            case cmd.ForceOutput(name, value, for_ms):
                self._forced[name] = value, time.monotonic_ns() + round(for_ms * NS_PER_MS)

    async def _run(self) -> None:
        """Scan at an even pace; scans that the machine slept through are left out."""
        loop = asyncio.get_running_loop()
        period = self._settings.scan_ms / 1000
        due = loop.time()
        while True:
            self._scan()
            if self._brought_all and self._program.idle and not self._finished:
                self._finished = True
                self._post(cmd.LineFinished())
            due = max(due + period, loop.time())
            await asyncio.sleep(due - loop.time())

    async def _bring(self) -> None:
        """Bring the parts of the schedule into view, each at its time."""
        schedule = arrivals(
            self._settings.seed, self._settings.rate_ppm, self._settings.jitter_ms, self._settings.parts
        )
        if not schedule:
            return
        await self._start.wait()
        start_ns = time.monotonic_ns()
        if self._settings.belt is not None:
            from controller.sim.belt import Belt

            with Belt.attach(self._settings.belt) as belt:
                belt.start(start_ns)
        self._post(cmd.LineStarted(start_ns))
        for number, offset in enumerate(schedule, start=1):
            if self._settings.closed_loop and number > 1:
                await self._answer_or_limit()
            await asyncio.sleep(max(start_ns + offset - time.monotonic_ns(), 0) / 1e9)
            self._answered.clear()
            if self._barrier is not None:
                self._barrier.part(number)
            self._awaited = self._settings.part_id(number)
            self._see((self._awaited,))
        self._brought_all = True

    async def _answer_or_limit(self) -> None:
        limit_ms = self._settings.answer_limit_ms or _CLOSED_LOOP_LIMIT_MS
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_ms / 1000):
                await self._answered.wait()

    async def _tell(self) -> None:
        """Send the live figures now and then."""
        while True:
            await asyncio.sleep(self._settings.live_every_ms / 1000)
            ready, program = self._tags.image().ready, self._program
            hindrance = "halted" if self._halted else program.hindrance
            figures = self._tally.live()
            self._post(
                cmd.LiveTally(time.monotonic_ns(), figures, self._session, ready, program.line_stopped, hindrance)
            )

    def _see(self, parts: tuple[PartId, ...], impatient: bool = False) -> None:
        """Parts are in front of the camera now: the PLC's event task runs at once, not with the next scan."""
        if self._halted:
            resting = self._program.fallback(self._tags.image())
            for part_id in parts:
                self._tally.untriggered(part_id, "halted", time.monotonic_ns())
                self._tally.gate_passed(Passage(part_id, 0, resting, Source.FALLBACK), self._epoch)
        else:
            self._scan(parts, impatient)

    @property
    def _halted(self) -> bool:
        return time.monotonic_ns() < self._halted_until_ns

    def _scan(self, parts: tuple[PartId, ...] = (), impatient: bool = False) -> None:
        if self._halted:
            return
        at_ns = time.monotonic_ns()
        now_ms = (at_ns - self._zero_ns) // NS_PER_MS + self._settings.clock_offset_ms
        image = self._tags.image()
        seen = Sensors(parts, self._ejected, impatient)
        self._ejected = 0
        outputs = self._program.scan(image, now_ms, self._settings.encoder.position(at_ns), seen, self._jump)
        on_wire = self._with_forces(outputs, at_ns)
        if on_wire.clear_rings:
            self._tags.clear_rings()
        if at_ns >= self._clock_held_until_ns:
            self._tags.write_clock(outputs.clock_ms)
        for block in outputs.triggers:
            self._write_trigger(block, outputs.session_ack)
        self._tags.write_outputs(on_wire)
        self._count(outputs, at_ns)
        if outputs.session_ack != self._session:
            self._session = outputs.session_ack
            self._post(cmd.SessionOpened(self._session))
        if self._settings.start == "ready" and self._session == image.session_id != 0 and image.ready and image.online:
            self._start.set()

    def _with_forces(self, outputs: PlcOutputs, at_ns: int) -> PlcOutputs:
        """What the program wrote, with the outputs that are held. The program itself does not know of them."""
        held: dict[str, Any] = {
            name: bool(value) if isinstance(getattr(outputs, name), bool) else value
            for name, (value, until_ns) in self._forced.items()
            if at_ns < until_ns
        }
        return replace(outputs, **held) if held else outputs

    def _write_trigger(self, block: TriggerBlock, session: int) -> None:
        """Write a trigger as the contract says, or with the fault that was asked for."""
        self._jump = 0
        tear_ms, delay_ms = self._tear_ms, self._delay_ms
        self._tear_ms = self._delay_ms = None
        later = asyncio.get_running_loop().call_later
        self._tags.write_slot(block, block.check if tear_ms is None else block.check ^ _TORN)
        if delay_ms is None:
            self._trigger(block, session)
        else:
            later(delay_ms / 1000, self._trigger, block, session)
        if tear_ms is not None:
            later(((delay_ms or 0) + tear_ms) / 1000, self._tags.write_slot, block, block.check)

    def _trigger(self, block: TriggerBlock, session: int) -> None:
        self._tally.triggered(block, session, self._epoch, time.monotonic_ns())
        self._tags.write_trigger_seq(block.seq)

    def _result_written(self, block: ResultBlock) -> None:
        self._tally.result_written(block, time.monotonic_ns())
        if block.part_id_echo == self._awaited:
            # Not for an earlier part's: the closed loop would have two parts on their way from then on.
            self._answered.set()

    def _acknowledged(self, seq: int, session_id: int) -> None:
        self._tally.acknowledged(seq, session_id, self._epoch)

    def _count(self, outputs: PlcOutputs, at_ns: int) -> None:
        for part_id, why in outputs.untriggered:
            self._tally.untriggered(part_id, why, at_ns)
        for block in (*outputs.latched, *outputs.late):
            self._tally.latched(block, at_ns)
        for passage in outputs.passages:
            self._tally.gate_passed(passage, self._epoch)
        for _ in range(outputs.gate_moves):
            if self._blind:
                self._blind -= 1
            else:
                asyncio.get_running_loop().call_later(self._settings.eject_ms / 1000, self._sensor)

    def _sensor(self) -> None:
        self._ejected += 1

    def _restart(self, trigger_seq: int, plc_epoch: int) -> None:
        for passage in self._program.abandon():
            self._tally.gate_passed(passage, self._epoch)
        self._epoch = plc_epoch
        self._program = self._download(plc_epoch, trigger_seq)
        self._session = 0
        self._scan()
        self._tags.write_trigger_seq(trigger_seq)

    def _whole_tally(self) -> cmd.TallyReady:
        return cmd.TallyReady(self._tally.summary(), self._tally.parts)


def tag_server(settings: SoftPlcSettings, declared: list[DeclaredTag], on_written: Callable[[str], None]) -> TagServer:
    """The tag server of the protocol that the settings name. Each protocol's library is loaded only for it."""
    match settings.protocol:
        case "opcua":
            from controller.sim.opcua_tags import OpcUaTags

            return OpcUaTags(settings.host, settings.port, declared, on_written)
        case "ethernet-ip":
            from controller.sim.logix_tags import LogixTags

            return LogixTags(settings.host, settings.port, declared, on_written)
        case "modbus":
            from controller.sim.modbus_tags import ModbusTags

            return ModbusTags(settings.host, settings.port, declared, on_written)
        case "modbus-server":
            from controller.sim.modbus_master import ModbusMaster

            return ModbusMaster(settings.host, settings.port, declared, on_written)
        case _:
            assert_never(settings.protocol)


def quieten_asyncua() -> None:
    """Keep asyncua's running commentary out of the process's output."""
    logging.getLogger("asyncua").setLevel(logging.WARNING)
    # It warns at each start that there is no encryption, which is meant here.
    logging.getLogger("asyncua.server.server").setLevel(logging.ERROR)
