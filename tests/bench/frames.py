"""From the light barrier's edge to an array in the deciding process: `python -m tests.bench.frames`.

A simulated GenTL camera of 1920 x 1200 that the edge triggers, through the driver that a station has; in turns with it
in the same run the shortest loop around harvesters, in a process of its own, where no deciding process needs the array.
Then how soon the deciding loop answers while three such cameras work at 600 parts/min, and while none does.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import socket
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack, closing
from multiprocessing.connection import Connection
from pathlib import Path

from controller.drivers.camera.genicam import GenicamCamera
from controller.drivers.camera.genicam_messages import GenicamSettings
from controller.errors import DeviceError
from controller.priority import raise_process, raise_thread
from controller.sim.gentl import build_producer
from statemachines.vocabulary import MS, Ns, PartKey
from tests.bench.bare_harvesters import run_bare
from tests.bench.figures import median, percentile

WIDTH, HEIGHT = 1920, 1200
EXPOSURE_US = 3000.0
"""Long enough for the simulation to draw the frame meanwhile: what comes after it is the way and nothing else."""
PERIOD_S, LINE_S = 0.03, 0.1
NAMES = ("TOP", "SIDE", "SPARE")
BARE = "BARE"
WINDOW_MS = 10


class Rig:
    """The simulated cameras, told of edges."""

    def __init__(self, folder: Path) -> None:
        self.producer = str(build_producer())
        self._described = folder / "cams"
        self._described.write_text("".join(f"{name} {WIDTH} {HEIGHT}\n" for name in (*NAMES, BARE)))
        os.environ["LINEGATE_GENTL_CONFIG"] = str(self._described)
        self._voice = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)

    def edge(self, name: str) -> int:
        at = time.monotonic_ns()
        self._voice.sendto(b"edge", f"{self._described}.{name}")
        return at

    def close(self) -> None:
        self._voice.close()


class Deciding:
    """What a station does with its cameras: the part is announced, its frame is awaited."""

    def __init__(self, rig: Rig) -> None:
        self._rig, self._part, self.lost = rig, 0, 0
        features: dict[str, bool | int | float | str] = {"ExposureTime": EXPOSURE_US, "TestPattern": "FrameCounter"}
        self.cameras = {
            name: GenicamCamera(GenicamSettings(name, rig.producer, name, "hardware", features=features, pool=8))
            for name in NAMES
        }

    async def open(self) -> None:
        for camera in self.cameras.values():
            await camera.open(Ns(time.monotonic_ns() + 60_000 * MS))

    async def close(self) -> None:
        for camera in self.cameras.values():
            await camera.close()

    async def frame_us(self, name: str) -> float:
        """Microseconds from the edge to the array, beyond the exposure. Raises RuntimeError for another frame."""
        self._part += 1
        expose_at = time.monotonic_ns()
        until, deadline = Ns(expose_at + WINDOW_MS * MS), Ns(expose_at + 1000 * MS)
        part = PartKey(1, "bench", self._part)
        waiting = asyncio.ensure_future(
            self.cameras[name].capture(part, name, Ns(expose_at), until, deadline),
        )
        await asyncio.sleep(0)
        edge_at = self._rig.edge(name)
        try:
            frame = await waiting
        except DeviceError:
            # A computer that is busy with something else.
            self.lost += 1
            return float("inf")
        took = (time.monotonic_ns() - edge_at) / 1000 - EXPOSURE_US
        own = frame.pixels.shape == (HEIGHT, WIDTH) and int(frame.pixels[0, 0]) == frame.counter & 0xFF
        if not own or frame.pixels.flags.owndata:
            raise RuntimeError(f"{name}: frame {frame.counter} is another frame's, or a second copy of it")
        return took


class Bare:
    """The bare loop's process."""

    def __init__(self, rig: Rig) -> None:
        context = multiprocessing.get_context("spawn")
        self._rig = rig
        self._talk, theirs = context.Pipe()
        self._process = context.Process(target=run_bare, args=(rig.producer, BARE, EXPOSURE_US, theirs), daemon=True)
        self._process.start()

    async def open(self) -> None:
        await _heard(self._talk)

    async def frame_us(self) -> float:
        edge_at = self._rig.edge(BARE)
        number, pixel, at = await _heard(self._talk)
        if pixel != number & 0xFF:
            raise RuntimeError(f"bare: frame {number} is another frame's")
        return (at - edge_at) / 1000 - EXPOSURE_US

    def close(self) -> None:
        self._talk.send("end")
        self._process.join(10)


async def _heard(talk: Connection) -> tuple[int, int, int]:
    """The next word of another process, without a thread in the way."""
    heard, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_reader(talk.fileno(), heard.set)
    try:
        async with asyncio.timeout(60):
            await heard.wait()
    finally:
        loop.remove_reader(talk.fileno())
    return talk.recv()


def tick(period_s: float, count: int, talk: socket.socket) -> None:
    """In a process of its own: send the time, again and again."""
    with talk:
        for _ in range(count):
            time.sleep(period_s)
            talk.send(time.monotonic_ns().to_bytes(8, "little"))
        talk.send(b"")


async def lag_us(seconds: float) -> list[float]:
    """How long the loop takes to hear of what another process sends it every 5 ms, microseconds. A timer of the loop
    itself would not do: epoll rounds it to a millisecond."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    ours.setblocking(False)
    found, over = list[float](), asyncio.Event()

    def hear() -> None:
        sent = ours.recv(8)
        if sent:
            found.append((time.monotonic_ns() - int.from_bytes(sent, "little")) / 1000)
        else:
            over.set()

    context = multiprocessing.get_context("spawn")
    process = context.Process(target=tick, args=(0.005, round(seconds / 0.005), theirs), daemon=True)
    process.start()
    theirs.close()
    loop = asyncio.get_running_loop()
    loop.add_reader(ours.fileno(), hear)
    try:
        async with asyncio.timeout(seconds + 60):
            await over.wait()
    finally:
        loop.remove_reader(ours.fileno())
        ours.close()
    process.join(10)
    return found


async def _line(deciding: Deciding, over: asyncio.Event) -> None:
    """600 parts/min before all three cameras."""
    begin = time.monotonic()
    while not over.is_set():
        async with asyncio.TaskGroup() as tasks:
            for name in NAMES:
                tasks.create_task(deciding.frame_us(name))
        # The line does not catch up: parts that come closer than their windows would take each other's frames.
        await asyncio.sleep(LINE_S - (time.monotonic() - begin) % LINE_S)


async def _lag_with_the_line(deciding: Deciding, seconds: float) -> list[float]:
    over = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_line(deciding, over))
        found = await lag_us(seconds)
        over.set()
    return found


async def _measured(blocks: int, frames: int, seconds: float, tell: Callable[[str], None]) -> dict[str, float]:
    ours, bare, idle, armed = list[float](), list[float](), list[float](), list[float]()
    with tempfile.TemporaryDirectory(prefix="lg-") as folder, closing(Rig(Path(folder))) as rig:
        idle += await lag_us(seconds)
        async with AsyncExitStack() as stack:
            deciding, harvesters = Deciding(rig), Bare(rig)
            stack.push_async_callback(deciding.close)
            await deciding.open()
            stack.callback(harvesters.close)
            await harvesters.open()
            for block in range(blocks):
                for _ in range(frames):
                    ours.append(await deciding.frame_us(NAMES[0]))
                    await asyncio.sleep(PERIOD_S)
                for _ in range(frames):
                    bare.append(await harvesters.frame_us())
                    await asyncio.sleep(PERIOD_S)
                tell(f"block {block + 1} of {blocks}")
            lost = deciding.lost
        async with AsyncExitStack() as stack:
            deciding = Deciding(rig)
            stack.push_async_callback(deciding.close)
            await deciding.open()
            armed += await _lag_with_the_line(deciding, seconds)
            lost += deciding.lost
    figures: dict[str, float] = {}
    for name, found in (("frame", ours), ("bare loop", bare), ("lag, 3 cameras", armed), ("lag, none", idle)):
        figures |= {f"{name} p50 us": median(found), f"{name} p99 us": percentile(found, 0.99)}
    return figures | {"frames": len(ours), "lost": float(lost), "ratio p50": median(ours) / median(bare)}


def run(blocks: int = 10, frames: int = 50, seconds: float = 10.0) -> dict[str, float]:
    """Figures in microseconds beyond the exposure, and the ratio of the medians."""
    return asyncio.run(_measured(blocks, frames, seconds, lambda _text: None))


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.frames", description=__doc__)
    parser.add_argument("--blocks", type=int, default=10, help="of 50 frames, for each of the two (default 10)")
    parser.add_argument("--seconds", type=float, default=10.0, help="to look at the loop's lag, each time (default 10)")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    # As the station does: a deciding loop goes before what else there is on its computer.
    raise_process("realtime")
    raise_thread("realtime")
    figures = run(args.blocks, seconds=args.seconds)
    if args.json:
        print(json.dumps(figures, indent=2))
        return
    for name, value in figures.items():
        print(f"{name:24} {value:10.1f}")


if __name__ == "__main__":
    main()
