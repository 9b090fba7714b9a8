"""`make cameras`: the line on GenTL cameras that it triggers itself, with spoilt frames, judged part by part.

Two views and a redundant camera through harvesters, 600 parts/min. Which frames are spoilt follows from the seed, so
each part is known to be decidable or not; the mark in every kept image says whose frame it was.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path

from rich.console import Console

from controller.errors import DeviceError
from controller.sim.demo import FAULT, print_report
from controller.sim.light_barrier import (
    COSTS_THE_FRAME,
    UNPLUGGED_FOR,
    BarrierSettings,
    FrameFault,
    fault_of,
)
from controller.sim.line_run import LineReport, LineSettings, barrier, run_line
from controller.sim.tally import PartTally
from controller.sim.view_set import ViewSet
from statemachines.vocabulary import Reason, Verdict

EXPECTED = frozenset({Reason.CAMERA, Reason.IMAGE_QUALITY, Reason.DEADLINE})
"""Reasons that a part without a usable frame may end in: none came, it was no picture of a part, it came too late."""

REPLUG_LIMIT_S = 1.0
_WARM_UP = 0.2
_SAMPLE_S = 2.0


@dataclass
class MemoryWatch:
    """Memory of the station's processes over the run, in MB by process."""

    samples: list[dict[int, float]] = field(default_factory=list[dict[int, float]])
    _next: float = 0.0

    def look(self, pid: int) -> None:
        """One sample, if one is due."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _SAMPLE_S
            self.samples.append({process: _own_mb(process) for process in _family(pid)})

    @property
    def growth(self) -> float:
        """Middle of the second half against the middle of the first, after warm-up, as a share."""
        warm = [sum(sample.values()) for sample in self.samples[round(len(self.samples) * _WARM_UP) :]]
        half = len(warm) // 2
        if half < 1:
            return 0.0
        before, after = sorted(warm[:half]), sorted(warm[half:])
        return after[len(after) // 2] / before[len(before) // 2] - 1

    def as_json(self) -> dict[str, list[float]]:
        """By process, in the order of their start, some fifty samples of its memory."""
        some = self.samples[:: max(len(self.samples) // 50, 1)]
        processes = sorted({process for sample in self.samples for process in sample})
        return {str(pid): [round(sample.get(pid, 0.0), 1) for sample in some] for pid in processes}


def _family(pid: int) -> list[int]:
    """The process and all below it. A process belongs to the thread that started it."""
    found = [pid]
    for thread in Path("/proc").glob(f"{pid}/task/*/children"):
        with suppress(OSError):
            found += [
                process for child in thread.read_text(encoding="ascii").split() for process in _family(int(child))
            ]
    return found


def _own_mb(pid: int) -> float:
    """What the process made itself, and its share of what it shares. Files that it maps are left out: its share of a
    library changes with every other program that maps the same."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith(("Pss_Anon:", "Pss_Shmem:"))) / 1024


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of the parts. spoilt: parts that must not be decided. trusted: such parts that were decided all the
    same. wrong_reason: such that ended in a reason that says something else. lost: parts with good frames that were
    not decided, by reason."""

    parts: int
    spoilt: int
    trusted: int
    wrong_reason: int
    lost: dict[str, int]
    faults: dict[str, int]
    replug_s: tuple[float, ...] = ()


def judge(parts: Sequence[PartTally], settings: BarrierSettings, views: ViewSet) -> Judged:
    """Hold each part against what was done to its frames."""
    faults: Counter[str] = Counter()
    lost: Counter[str] = Counter()
    spoilt = trusted = wrong_reason = 0
    for part in parts:
        assert isinstance(part.part_id, int)
        drawn = {name: fault_of(settings, index, part.part_id) for index, name in enumerate(views.cameras)}
        faults.update(fault.name for fault in drawn.values() if fault is not None)
        decided = part.answers > 0 and part.verdict != Verdict.NO_DECISION
        if _undecidable(drawn, views):
            spoilt += 1
            trusted += decided
            wrong_reason += part.answers > 0 and not decided and part.reason not in EXPECTED
        elif not decided and not _unplugged(settings, part.part_id):
            lost[Reason(part.reason).name if part.answers else "NOT ANSWERED"] += 1
    return Judged(len(parts), spoilt, trusted, wrong_reason, dict(lost), dict(faults), _replugs(parts, settings))


def _undecidable(drawn: dict[str, FrameFault | None], views: ViewSet) -> bool:
    gone = {name for name, fault in drawn.items() if fault in COSTS_THE_FRAME}
    first, *others = views.cameras[: views.views]
    stand_in = views.redundant and views.cameras[-1] not in gone
    return any(name in gone for name in others) or (first in gone and not stand_in)


def _unplugged(settings: BarrierSettings, number: int) -> bool:
    """The first camera was away, or had a second to come back."""
    every = settings.unplug_every
    return bool(every) and number >= every and number % every < 2 * UNPLUGGED_FOR


def _replugs(parts: Sequence[PartTally], settings: BarrierSettings) -> tuple[float, ...]:
    """From each time that the cable was put back to the first good answer, s; infinite where none came before the
    next unplugging."""
    every, found = settings.unplug_every, list[float]()
    if not every:
        return ()
    by_number = {part.part_id: part for part in parts}
    for start in range(every + UNPLUGGED_FOR, len(parts) - every + UNPLUGGED_FOR, every):
        plugged = by_number[start].trigger_ns
        row = (by_number[number] for number in range(start, start + every - UNPLUGGED_FOR) if number in by_number)
        good = next((p.answered_ns for p in row if p.answers and p.verdict != Verdict.NO_DECISION), None)
        found.append(float("inf") if good is None else (good - plugged) / 1e9)
    return tuple(found)


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest rank."""
    return sorted(values)[max(ceil(share * len(values)) - 1, 0)]


@dataclass(frozen=True, slots=True)
class Trial:
    """A whole run."""

    report: LineReport
    judged: Judged
    memory: MemoryWatch

    @property
    def safe(self) -> bool:
        """One answer for each part, never from another part's frame, and every spoilt part in its reason."""
        return self.report.faultless and not self.judged.trusted and not self.judged.wrong_reason

    def as_json(self) -> dict[str, object]:
        judged = self.judged
        return {
            "line": self.report.as_json(),
            "spoilt": judged.spoilt,
            "trusted": judged.trusted,
            "wrong_reason": judged.wrong_reason,
            "lost": judged.lost,
            "faults": judged.faults,
            "memory_growth": self.memory.growth,
            "memory_mb": self.memory.as_json(),
            "replug_s": list(judged.replug_s),
        }


def run_trial(settings: LineSettings, folder: Path) -> Trial:
    """Run the line and judge it. Raises DeviceError when the simulation itself fails."""
    memory = MemoryWatch()
    report = run_line(settings, folder, watch=memory.look)
    return Trial(report, judge(report.tally.parts, barrier(settings, folder), settings.views), memory)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the trial that the command line asks for. Returns 0, FAULT, or 3 when the simulation itself failed."""
    args = _parser().parse_args(arguments)
    console = Console()
    shutil.rmtree(args.out, ignore_errors=True)
    views = ViewSet(args.views, not args.no_redundant, args.width)
    settings = LineSettings(
        parts=args.parts,
        rate_ppm=args.rate,
        seed=args.seed,
        camera="gentl",
        acquisition="hardware",
        views=views,
        fault_share=args.faults / 100,
        unplug_every=args.unplug_every,
    )
    console.print(f"{args.parts} parts at {args.rate:g} parts/min, cameras {', '.join(views.cameras)}")
    try:
        trial = run_trial(settings, args.out)
    except DeviceError as error:
        console.print(f"the simulation failed: {error}")
        return 3
    print_report(console, trial.report)
    judged = trial.judged
    console.print(f"spoilt frames: {judged.faults}")
    console.print(f"parts without a usable frame: {judged.spoilt}, decided all the same: {judged.trusted}")
    console.print(f"of them with a reason that does not fit: {judged.wrong_reason}")
    console.print(f"parts with good frames that were not decided: {judged.lost or 0}")
    console.print(f"memory, second half against first: {trial.memory.growth:+.1%}")
    late = False
    if judged.replug_s:
        p95 = percentile(judged.replug_s, 0.95)
        late = not p95 < REPLUG_LIMIT_S
        console.print(f"cable back to first good part: p95 {p95:.2f} s of {len(judged.replug_s)}")
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(trial.as_json(), indent=2), encoding="utf-8")
    return 0 if trial.safe and not late else FAULT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m controller.sim.frame_trial",
        description=__doc__,
        epilog="example: python -m controller.sim.frame_trial --parts 20000 --out build/cameras",
    )
    parser.add_argument("--parts", type=int, default=20_000)
    parser.add_argument("--rate", type=float, default=600.0, help="parts per minute (default 600)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--views", type=int, choices=(1, 2, 3, 4), default=2)
    parser.add_argument("--no-redundant", action="store_true", help="no camera stands in for the first")
    parser.add_argument("--width", type=int, default=960, help="of a frame in pixels (default 960)")
    parser.add_argument("--faults", type=float, default=1.0, metavar="PERCENT", help="of all frames (default 1)")
    parser.add_argument("--unplug-every", type=int, default=0, metavar="PARTS", help="pull the first camera's cable")
    parser.add_argument("--out", type=Path, required=True, help="where configuration, journal and images go")
    parser.add_argument("--json", type=Path, help="write all figures there")
    return parser


if __name__ == "__main__":
    sys.exit(main())
