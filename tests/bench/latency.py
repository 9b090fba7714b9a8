"""Trigger → answer as the PLC sees it, against a bare loop: same protocol, client library, model and frames.

Two soft PLCs in processes of their own trigger in turn, blocks of parts alternating: one is served by the station as a
person starts it (`linegate run`), the other by the bare loop below, which does the least that can be done: read the
trigger, expose, infer, write ten values in one request. Both poll every 2 ms, at the same real-time priority. Times
are the PLCs' own.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.synchronize import Event
from pathlib import Path

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
PRIORITY = "realtime"
"""Of both, so that other work on the machine meets both alike."""


def run_bare(protocol: Protocol, address: str, belt: str, ready: Event, stop: Event) -> None:
    """The bare loop, in a process of its own."""
    raise_process(PRIORITY)
    raise_thread(PRIORITY)
    asyncio.run(_bare(BARE[protocol](), address, belt, ready, stop))


async def _bare(plc: BarePlc, address: str, belt: str, ready: Event, stop: Event) -> None:
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
    ready.set()
    while not stop.is_set():
        started = time.perf_counter()
        seq, part_id = await plc.read("TriggerSeq", parts[last % 8])
        if seq != last:
            last = seq
            until = Ns(time.monotonic_ns() + 50_000_000)
            frame = await camera.capture(PartKey(session, "bare", seq), "top", Ns(time.monotonic_ns()), until, until)
            await asyncio.get_running_loop().run_in_executor(lane, model.infer, frame.pixels)
            check = check_word(seq, part_id, epoch, session, 1, 1, 0, 0, 0, 0, 0, 3)
            answer = (part_id, epoch, session, 1, 1, 0, 0, 3, check, seq)
            await plc.write(dict(zip(slots[(seq - 1) & 7], answer, strict=True)))
        if started - beaten > 0.1:
            beat, beaten = beat + 1, started
            await plc.write({"Heartbeat": beat, "Online": True})
        await asyncio.sleep(max(0.0, 0.002 - (time.perf_counter() - started)))
    await plc.close()
    lane.shutdown()


def run(protocol: Protocol = "opcua", blocks: int = 12, block: int = 50) -> dict[str, float]:
    """Alternate blocks of parts, at 600 parts/min, between station and bare loop."""
    context = multiprocessing.get_context("spawn")
    belt = f"linegate-bench-{os.getpid()}"
    plc = SoftPlcSettings(protocol=protocol, rate_ppm=0, plc_epoch=int(time.time()) & 0x3FFFFFFF, live_every_ms=2000)
    ours, theirs = SoftPlcProcess(plc), SoftPlcProcess(plc)
    ready, stop = context.Event(), context.Event()
    with (
        tempfile.TemporaryDirectory() as folder,
        RendererProcess(RendererSettings(belt, RenderedSettings(5), 0, 0.0)) as renderer,
    ):
        if not renderer.wait_filled(30):
            raise RuntimeError("the renderer did not start")
        _place_a_part(belt)
        for started in (ours, theirs):
            started.start()
        bare = context.Process(target=run_bare, args=(protocol, theirs.wait_ready(), belt, ready, stop), daemon=True)
        bare.start()
        workspace = make_workspace(
            Path(folder),
            name="bench",
            belt=belt,
            protocol=protocol,
            plc_address=ours.wait_ready(),
            ok_images="none",
        )
        station = StationProcess(workspace)
        try:
            ours.wait_live(lambda live: live.station_ready, 60)
            if not ready.wait(60):
                raise RuntimeError("the bare loop did not start")
            _trigger_in_turn((ours, theirs), blocks, block)
            stop.set()
            station.stop()
            return _figures(ours, theirs, skip=5)
        finally:
            stop.set()
            station.stop()
            bare.join(5)
            bare.kill()
            ours.kill()
            theirs.kill()


def _place_a_part(belt: str) -> None:
    from controller.sim.belt import Belt
    from controller.sim.source import open_source

    with Belt.attach(belt) as shared:
        shared.place(1, open_source(RenderedSettings(5)).pixels(1))


def _trigger_in_turn(plcs: tuple[SoftPlcProcess, SoftPlcProcess], blocks: int, block: int) -> None:
    number = 0
    for index in range(blocks * 2):
        for _ in range(block):
            number += 1
            plcs[index % 2].command(TriggerNow(number))
            time.sleep(SPACING_S)


def _figures(ours: SoftPlcProcess, theirs: SoftPlcProcess, skip: int) -> dict[str, float]:
    latencies = [
        [(p.answered_ns - p.trigger_ns) / 1e6 for p in plc.stop().parts if p.answers][skip:] for plc in (ours, theirs)
    ]
    linegate, bare = latencies
    return {
        "parts_each": float(len(bare)),
        "answered_by_linegate": float(len(linegate)),
        "bare_p50_ms": median(bare),
        "linegate_p50_ms": median(linegate),
        "ratio_p50": median(linegate) / median(bare),
        "bare_p99_ms": percentile(bare, 0.99),
        "linegate_p99_ms": percentile(linegate, 0.99),
        "ratio_p99": percentile(linegate, 0.99) / percentile(bare, 0.99),
        "bare_p999_ms": percentile(bare, 0.999),
        "linegate_p999_ms": percentile(linegate, 0.999),
    }
