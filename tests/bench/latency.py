"""Trigger → answer as the PLC sees it, against a bare loop: same protocol, client library, model and frames.

Rounds alternate: a soft PLC in a process of its own brings parts to the station as a person starts it (`linegate run`),
then one to the bare loop below, which does the least that can be done: read the trigger, expose, infer, write ten
values in one request. One of the two runs at a time, as on a line. Both poll every 2 ms, at the same real-time
priority. Latencies are the PLC's own; stages are what either noted itself.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from multiprocessing.synchronize import Event
from pathlib import Path

from controller.drivers.record.query import JournalReader, PartFilter
from controller.priority import raise_process, raise_thread
from controller.sim.line_run import StationProcess
from controller.sim.plc_commands import TriggerNow
from controller.sim.plc_process import SoftPlcProcess
from controller.sim.plc_settings import Protocol, SoftPlcSettings
from controller.sim.renderer_process import RendererProcess, RendererSettings
from controller.sim.source import RenderedSettings
from controller.sim.workspace import make_workspace
from tests.bench.figures import median, percentile
from tests.bench.plc_protocols import BARE, BarePlc

SPACING_S = 0.1
SKIPPED = 5
"""Parts of each round that warm it up."""

PRIORITY = "realtime"
"""Of both, so that other work on the machine meets both alike."""

STAGES = ("expose", "infer", "answer")
"""From the trigger's sight to the frame, from there to the model's word, from there to the last write's reply."""


def run_bare(protocol: Protocol, address: str, belt: str, ready: Event, stop: Event, notes: Path) -> None:
    """The bare loop, in a process of its own. notes: where the stages of its parts are written at its end."""
    raise_process(PRIORITY)
    raise_thread(PRIORITY)
    stages = asyncio.run(_bare(BARE[protocol](), address, belt, ready, stop))
    notes.write_text(json.dumps(stages), encoding="utf-8")


async def _bare(plc: BarePlc, address: str, belt: str, ready: Event, stop: Event) -> list[tuple[float, ...]]:
    from controller.sim.camera import SimCamera
    from statemachines.checkword import check_word
    from statemachines.vocabulary import Ns, PartKey
    from tests.bench.throughput import runner

    model, camera = runner(), SimCamera(belt)
    lane = ThreadPoolExecutor(1, initializer=raise_thread, initargs=(PRIORITY,))
    await camera.open(Ns(time.monotonic_ns() + 10_000_000_000))
    await plc.open(address)
    session = 4711
    await plc.write({"Depth": 8, "Online": True, "Mode": 3, "SessionId": session})
    while (await plc.read("SessionAck", "PlcEpoch"))[0] != session:
        await asyncio.sleep(0.01)
    await plc.write({"Ready": True, "Online": True})
    last, epoch = await plc.read("TriggerSeq", "PlcEpoch")
    beat, beaten = 0, 0.0
    fields = ("PartIdEcho", "EpochEcho", "SessionId", "Action", "Verdict", "Reason", "FindingCount", "Mode")
    slots = [[f"Result[{i}].{field}" for field in (*fields, "Check", "ResultSeq")] for i in range(8)]
    parts = [f"Trigger[{i}].PartId" for i in range(8)]
    stages: list[tuple[float, ...]] = []
    ready.set()
    while not stop.is_set():
        started = time.perf_counter()
        seq, part_id = await plc.read("TriggerSeq", parts[last % 8])
        if seq != last:
            last, seen = seq, time.perf_counter()
            until = Ns(time.monotonic_ns() + 50_000_000)
            frame = await camera.capture(PartKey(session, "bare", seq), "top", Ns(time.monotonic_ns()), until, until)
            exposed = time.perf_counter()
            await asyncio.get_running_loop().run_in_executor(lane, model.infer, frame.pixels)
            inferred = time.perf_counter()
            check = check_word(seq, part_id, epoch, session, 1, 1, 0, 0, 0, 0, 0, 3)
            answer = (part_id, epoch, session, 1, 1, 0, 0, 3, check, seq)
            await plc.write(dict(zip(slots[(seq - 1) & 7], answer, strict=True)))
            times = (seen, exposed, inferred, time.perf_counter())
            stages.append(tuple(1e3 * (end - begin) for begin, end in pairwise(times)))
        if started - beaten > 0.1:
            beat, beaten = beat + 1, started
            await plc.write({"Heartbeat": beat, "Online": True})
        await asyncio.sleep(max(0.0, 0.002 - (time.perf_counter() - started)))
    await plc.close()
    lane.shutdown()
    return stages


@dataclass
class Taken:
    """What one of the two took, in ms: from trigger to answer, and by stage."""

    latencies: list[float] = field(default_factory=list[float])
    stages: list[Sequence[float]] = field(default_factory=list[Sequence[float]])


def run(protocol: Protocol = "opcua", rounds: int = 6, parts: int = 100) -> dict[str, float]:
    """Alternate rounds of parts, at 600 parts/min, between bare loop and station."""
    belt = f"linegate-bench-{os.getpid()}"
    bare, linegate = Taken(), Taken()
    with (
        tempfile.TemporaryDirectory() as folder,
        RendererProcess(RendererSettings(belt, RenderedSettings(5), 0, 0.0)) as renderer,
    ):
        if not renderer.wait_filled(30):
            raise RuntimeError("the renderer did not start")
        _place_a_part(belt)
        for number in range(rounds):
            for taken, way in ((bare, _bare_round), (linegate, _station_round)):
                way(protocol, belt, Path(folder) / f"{way.__name__}{number}", parts, taken)
    return _figures(bare, linegate)


def _station_round(protocol: Protocol, belt: str, folder: Path, parts: int, taken: Taken) -> None:
    with _soft_plc(protocol) as plc:
        workspace = make_workspace(
            folder, name="bench", belt=belt, protocol=protocol, plc_address=plc.wait_ready(), ok_images="none"
        )
        station = StationProcess(workspace)
        try:
            plc.wait_live(lambda live: live.station_ready, 60)
            _trigger(plc, parts)
        finally:
            station.stop()
        taken.latencies += _latencies(plc)
    with JournalReader(workspace.folder / "data" / "journal.db") as journal:
        answered = [part for part in journal.parts(PartFilter(limit=0)) if part["published_us"]]
    stamps = ("seen_us", "captured_us", "inferred_us", "published_us")
    times = [[part[stamp] / 1e3 for stamp in stamps] for part in answered if all(part[s] is not None for s in stamps)]
    # Newest first.
    taken.stages += [[end - begin for begin, end in pairwise(row)] for row in times[:-SKIPPED]]


def _bare_round(protocol: Protocol, belt: str, folder: Path, parts: int, taken: Taken) -> None:
    context = multiprocessing.get_context("spawn")
    ready, stop = context.Event(), context.Event()
    folder.mkdir()
    notes = folder / "stages.json"
    with _soft_plc(protocol) as plc:
        arguments = (protocol, plc.wait_ready(), belt, ready, stop, notes)
        bare = context.Process(target=run_bare, args=arguments, daemon=True)
        bare.start()
        try:
            if not ready.wait(60):
                raise RuntimeError("the bare loop did not start")
            _trigger(plc, parts)
        finally:
            stop.set()
            bare.join(10)
            bare.kill()
        taken.latencies += _latencies(plc)
    taken.stages += json.loads(notes.read_text(encoding="utf-8"))[SKIPPED:]


@contextmanager
def _soft_plc(protocol: Protocol) -> Generator[SoftPlcProcess]:
    epoch = int(time.time()) & 0x3FFFFFFF
    plc = SoftPlcProcess(SoftPlcSettings(protocol=protocol, rate_ppm=0, plc_epoch=epoch, live_every_ms=2000))
    plc.start()
    try:
        yield plc
    finally:
        plc.kill()


def _place_a_part(belt: str) -> None:
    from controller.sim.belt import Belt
    from controller.sim.source import open_source

    with Belt.attach(belt) as shared:
        shared.place(1, open_source(RenderedSettings(5)).pixels(1))


def _trigger(plc: SoftPlcProcess, parts: int) -> None:
    for number in range(1, parts + 1):
        plc.command(TriggerNow(number))
        time.sleep(SPACING_S)


def _latencies(plc: SoftPlcProcess) -> list[float]:
    parts = plc.stop().parts[SKIPPED:]
    return [(part.answered_ns - part.trigger_ns) / 1e6 for part in parts if part.answers]


def _figures(bare: Taken, linegate: Taken) -> dict[str, float]:
    figures = {"parts_bare": float(len(bare.latencies)), "parts_linegate": float(len(linegate.latencies))}
    for name, share in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999)):
        ours, theirs = percentile(linegate.latencies, share), percentile(bare.latencies, share)
        figures |= {f"bare_{name}_ms": theirs, f"linegate_{name}_ms": ours, f"ratio_{name}": ours / theirs}
    for number, stage in enumerate(STAGES):
        for name, taken in (("bare", bare), ("linegate", linegate)):
            figures[f"{name}_{stage}_p50_ms"] = median([row[number] for row in taken.stages])
    return figures
