"""The shortest loop around harvesters that gives an array: what `tests.bench.frames` holds ours against."""

from __future__ import annotations

import time
from multiprocessing.connection import Connection
from typing import Any

import numpy as np


def run_bare(producer: str, serial: str, exposure_us: float, talk: Connection) -> None:
    """In a process of its own: copy each frame that comes, tell its number, its first pixel and when it was an array.

    Ends when the other side says so. Entry point of a spawned process.
    """
    from harvesters.core import Harvester

    harvester: Any = Harvester()
    harvester.add_file(producer)
    harvester.update()
    acquirer = harvester.create({"serial_number": serial})
    nodes = acquirer.remote_device.node_map
    nodes.ExposureTime.value = exposure_us
    nodes.TestPattern.value = "FrameCounter"
    nodes.TriggerSource.value = "Line0"
    nodes.TriggerMode.value = "On"
    acquirer.start()
    talk.send("armed")
    while not talk.poll():
        buffer = acquirer.try_fetch(timeout=0.1)
        if buffer is None:
            continue
        part = buffer.payload.components[0]
        array = np.array(part.data).reshape(part.height, part.width)
        at = time.monotonic_ns()
        number = buffer.module.frame_id
        buffer.queue()
        talk.send((number, int(array[0, 0]), at))
    acquirer.stop()
    acquirer.destroy()
    harvester.reset()
