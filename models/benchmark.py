"""How fast a package is on this computer: every graph, number of threads and precision, timed in turns."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.package import ModelPackage
from models.runner import Runner


@dataclass(frozen=True, slots=True)
class Timing:
    """One way to run a package; milliseconds from the frame at the input's size to the outputs."""

    precision: str
    threads: int
    p50_ms: float
    p99_ms: float
    max_ms: float


@dataclass(frozen=True, slots=True)
class Benchmark:
    """All timings, and the fastest of the graphs that the gate let pass, with one thread unless more gain a third."""

    cpu: str
    timings: tuple[Timing, ...]
    chosen: Timing

    def facts(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)

    def table(self) -> str:
        """For people."""
        rows = [f"{self.cpu}", f"{'graph':8}{'threads':>8}{'p50 ms':>10}{'p99 ms':>10}{'max ms':>10}"]
        for t in self.timings:
            mark = "  chosen" if t == self.chosen else ""
            rows.append(f"{t.precision:8}{t.threads:8}{t.p50_ms:10.2f}{t.p99_ms:10.2f}{t.max_ms:10.2f}{mark}")
        return "\n".join(rows)


def benchmark(package: ModelPackage, runs: int = 200, threads: Sequence[int] = ()) -> Benchmark:
    """Time every graph on noise, all of them in turns, so that a busy moment hits each alike. Raises ModelRejected.

    BF16 is the FP32 graph in another precision; a processor that has none computes it in FP32.
    """
    if runs < 1:
        raise ValueError(f"runs is {runs}, wanted at least 1")
    counts = threads or sorted({1, min(2, os.cpu_count() or 1)})
    graphs: list[str] = list(package.manifest.graphs)
    if "fp32" in graphs and "bf16" not in graphs:
        graphs.append("bf16")
    ways = [(precision, count) for precision in graphs for count in counts]
    runners = [_loaded(package, precision, count) for precision, count in ways]
    spec = package.manifest.input
    shape = (spec.height, spec.width) if spec.channels == 1 else (spec.height, spec.width, 3)
    pixels = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    times: list[list[float]] = [[] for _ in ways]
    try:
        for _ in range(runs):
            for runner, kept in zip(runners, times, strict=True):
                started = time.perf_counter()
                runner.infer(pixels)
                kept.append((time.perf_counter() - started) * 1e3)
    finally:
        for runner in runners:
            runner.close()
    timings = tuple(_timing(*way, np.array(kept)) for way, kept in zip(ways, times, strict=True))
    return Benchmark(_cpu(), timings, choose(timings, package.manifest.preferred))


def choose(timings: Sequence[Timing], preferred: str) -> Timing:
    """The fastest way with a graph that may ship: the preferred one, or one of more digits.

    More threads only where they save a third: a part in flight beside this one wants a core too.
    """
    order = ["int8", "bf16", "fp32"]
    allowed = [t for t in timings if order.index(t.precision) >= order.index(preferred)]
    best = min(allowed, key=lambda t: t.p50_ms)
    single = [t for t in allowed if t.threads == 1]
    if not single:
        return best
    one = min(single, key=lambda t: t.p50_ms)
    return best if best.p50_ms < one.p50_ms * 2 / 3 else one


def _loaded(package: ModelPackage, precision: str, threads: int) -> Runner:
    hint = "bf16" if precision == "bf16" else "f32"
    about = package.manifest.model_copy(update={"precision_hint": hint})
    graph = precision if precision in package.manifest.graphs else "fp32"
    runner = Runner(replace(package, manifest=about), graph=graph, threads=threads)
    runner.load()
    runner.warm_up()
    return runner


def _timing(precision: str, threads: int, kept: NDArray[np.float64]) -> Timing:
    p50, p99 = (round(float(value), 3) for value in np.percentile(kept, [50, 99]))
    return Timing(precision, threads, p50, p99, round(float(kept.max()), 3))


def _cpu() -> str:
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as file:
            return next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), "unknown")
    except OSError:
        return "unknown"
