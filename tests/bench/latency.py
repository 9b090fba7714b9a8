"""Trigger → answer as the PLC sees it, against a bare asyncio loop: same client library, model and frames.

Two soft PLCs in processes of their own trigger in turn, blocks of parts alternating: one is served by the station as a
person starts it (`linegate run`), the other by the bare loop below, which does the least that can be done: read the
trigger, expose, infer, write ten values in one request. Both poll every 2 ms. Times are the PLCs' own.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import tempfile
import time
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from controller.sim.line_run import StationProcess
from controller.sim.plc_commands import TriggerNow
from controller.sim.plc_process import SoftPlcProcess
from controller.sim.plc_settings import SoftPlcSettings
from controller.sim.renderer_process import RendererProcess, RendererSettings
from controller.sim.source import RenderedSettings
from controller.sim.workspace import make_workspace
from tests.bench.figures import median, percentile

SPACING_S = 0.1


def run_bare(endpoint: str, belt: str, ready: Event, stop: Event) -> None:
    """The bare loop, in a process of its own."""
    os.nice(-10)
    asyncio.run(_bare(endpoint, belt, ready, stop))


async def _bare(endpoint: str, belt: str, ready: Event, stop: Event) -> None:
    from asyncua import ua
    from asyncua.client.client import Client

    from controller.sim.camera import SimCamera
    from statemachines.checkword import check_word
    from statemachines.vocabulary import Ns, PartKey
    from tests.bench.throughput import runner

    def node(client: Any, tag: str) -> Any:
        return client.get_node(f"ns=2;s=Linegate.{tag}")

    def value(number: int | bool) -> Any:
        kind = ua.VariantType.Boolean if isinstance(number, bool) else ua.VariantType.Int32
        return ua.DataValue(ua.Variant(number, kind))

    model, camera = runner(), SimCamera(belt)
    await camera.open(Ns(time.monotonic_ns() + 10_000_000_000))
    async with Client(endpoint, timeout=4) as client:
        session = 4711
        for tag, number in (("Depth", 8), ("Online", True), ("Mode", 3), ("SessionId", session)):
            await node(client, tag).write_value(value(number))
        while await node(client, "SessionAck").read_value() != session:
            await asyncio.sleep(0.01)
        await node(client, "Ready").write_value(value(True))
        seq_node = node(client, "TriggerSeq")
        last, beat, beaten = await seq_node.read_value(), 0, 0.0
        fields = ("PartIdEcho", "EpochEcho", "SessionId", "Action", "Verdict", "Reason", "FindingCount", "Mode")
        slots = [[node(client, f"Result[{i}].{f}") for f in (*fields, "Check", "ResultSeq")] for i in range(8)]
        parts = [node(client, f"Trigger[{i}].PartId") for i in range(8)]
        epoch = await node(client, "PlcEpoch").read_value()
        heartbeat = node(client, "Heartbeat")
        ready.set()
        while not stop.is_set():
            started = time.perf_counter()
            seq, part_id = await client.read_values([seq_node, parts[last % 8]])
            if seq != last:
                last = seq
                until = Ns(time.monotonic_ns() + 50_000_000)
                frame = await camera.capture(PartKey(session, "bare", seq), "top", until, until)
                await asyncio.get_running_loop().run_in_executor(None, model.infer, frame.pixels)
                check = check_word(seq, part_id, epoch, session, 1, 1, 0, 0, 0, 0, 0, 3)
                answer = (part_id, epoch, session, 1, 1, 0, 0, 3, check, seq)
                await client.write_values(slots[(seq - 1) & 7], [value(v) for v in answer])
            if started - beaten > 0.1:
                beat, beaten = beat + 1, started
                await heartbeat.write_value(value(beat))
            await asyncio.sleep(max(0.0, 0.002 - (time.perf_counter() - started)))


def run(blocks: int = 12, block: int = 50) -> dict[str, float]:
    """Alternate blocks of parts between station and bare loop."""
    context = multiprocessing.get_context("spawn")
    belt = f"linegate-bench-{os.getpid()}"
    ours = SoftPlcProcess(SoftPlcSettings(rate_ppm=0, plc_epoch=int(time.time()) & 0x3FFFFFFF, live_every_ms=2000))
    theirs = SoftPlcProcess(SoftPlcSettings(rate_ppm=0, plc_epoch=int(time.time()) & 0x3FFFFFFF, live_every_ms=2000))
    ready, stop = context.Event(), context.Event()
    with (
        tempfile.TemporaryDirectory() as folder,
        RendererProcess(RendererSettings(belt, RenderedSettings(5), 0, 0.0)) as renderer,
    ):
        if not renderer.wait_filled(30):
            raise RuntimeError("the renderer did not start")
        _place_a_part(belt)
        ours.start()
        theirs.start()
        bare = context.Process(target=run_bare, args=(theirs.wait_ready(), belt, ready, stop), daemon=True)
        bare.start()
        workspace = make_workspace(
            Path(folder), name="bench", belt=belt, plc_address=ours.wait_ready(), ok_images="none"
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
    }
