"""What a look at every frame costs: `python -m tests.bench.image_health`.

Microseconds of one look at a 1920 x 1200 frame, and its ratio to the plain way, measured in turns with it: a Laplacian
of the whole frame and its variance, which gives the focus only. By the clock, and in processor time, which other
programs on the computer lengthen less.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

import cv2
import numpy as np
from numpy.typing import NDArray

from models.frame import Frame
from models.optics.bands import learn
from models.optics.figures import measure
from models.optics.watch import ImageWatch
from tests.bench.figures import median, percentile

FRAMES, ROUNDS = 8, 300


def run(rounds: int = ROUNDS) -> dict[str, float]:
    """Figures in microseconds, and the ratio of the medians."""
    rng = np.random.default_rng(1)
    pictures: list[NDArray[np.uint8]] = [rng.integers(40, 200, (1200, 1920), np.uint8) for _ in range(FRAMES)]
    bands = learn("top", [measure(picture) for picture in pictures * 4])
    watch = ImageWatch(bands, lambda: datetime.now(UTC))
    looks, plain = list[tuple[float, float]](), list[tuple[float, float]]()
    for number in range(rounds):
        frame = Frame("top", pictures[number % FRAMES], number, number, "cam")
        looks.append(_microseconds(lambda frame=frame: watch.complaint(frame)))
        plain.append(_microseconds(lambda frame=frame: cv2.meanStdDev(cv2.Laplacian(frame.pixels, cv2.CV_16S))))
    (look, look_cpu), (bare, bare_cpu) = (tuple(zip(*found, strict=True)) for found in (looks, plain))
    return {
        "look p50 us": median(look),
        "look p99 us": percentile(look, 0.99),
        "look p50 cpu us": median(look_cpu),
        "plain Laplacian p50 us": median(bare),
        "plain p50 cpu us": median(bare_cpu),
        "ratio": median(look) / median(bare),
        "ratio of cpu": median(look_cpu) / median(bare_cpu),
    }


def _microseconds(work: Callable[[], object]) -> tuple[float, float]:
    """By the clock, and of processor time."""
    begin, used = time.perf_counter_ns(), time.thread_time_ns()
    work()
    return (time.perf_counter_ns() - begin) / 1000, (time.thread_time_ns() - used) / 1000


def main() -> None:
    """Print the figures."""
    cv2.setNumThreads(1)
    for name, value in run().items():
        print(f"{name:24} {value:10.3f}")


if __name__ == "__main__":
    main()
