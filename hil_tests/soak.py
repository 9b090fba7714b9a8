"""The soak: a closed loop as fast as answers come, with random faults, until so many parts or so much time are over.

`python -m hil_tests.soak --protocol opcua --parts 100000 --seed 1`. The same seed gives the same faults in the same
order at the same distances. At the end every single part of the PLC's tally is held against the journal.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from controller.sim.belt import ExposureFault
from controller.sim.plc_commands import Burst, Halt, LineFinished, LiveTally, RestartProgram, SetEnable
from controller.sim.tally import TallySummary
from hil_tests.agreement import Agreement, Outage, compare
from hil_tests.rig import Rig, RigBroken, RigOptions, State, dwell
from hil_tests.rigfile import RigFileError, find_rig
from hil_tests.shaper import Shape

_LEAD_NS = 250_000_000
"""A part that was triggered so shortly before an outage may have been caught by it on its way."""

_FAR_NS = 1 << 62
_DEPTH = 8
_KEEP = 4096
_TAKE = 5000
_RECOVER_S = 60.0
_ZEROS = ("duplicate", "wrong_part", "late_acted", "stale", "unexpected")


@dataclass(slots=True)
class Soak:
    """A run under way."""

    rig: Rig
    chance: random.Random
    outages: list[Outage] = field(default_factory=list[Outage])
    agreement: Agreement = field(default_factory=Agreement)
    faults: Counter[str] = field(default_factory=Counter[str])


Fault = Callable[[Soak], bool]
"""Does it and waits until its cause is gone; whether the session must be another one afterwards."""


def cable_out(soak: Soak) -> bool:
    """From a blip that nobody need notice to an outage that everybody must."""
    _shaped(soak, Shape(frozen=True), soak.chance.uniform(0.02, 1.2))
    return False


def half_open(soak: Soak) -> bool:
    """Bytes are lost; the connection never recovers."""
    _shaped(soak, Shape(half_open=True), soak.chance.uniform(0.1, 0.8))
    return True


def connection_reset(soak: Soak) -> bool:
    """RST on every connection."""
    soak.rig.the_shaper().reset()
    return True


def slow_line(soak: Soak) -> bool:
    """Delay, jitter and little bandwidth."""
    shape = Shape(soak.chance.uniform(0, 8), soak.chance.uniform(0, 30), soak.chance.choice([0, 100_000]))
    _shaped(soak, shape, soak.chance.uniform(0.3, 1.5))
    return False


def plc_halt(soak: Soak) -> bool:
    """Program mode, long enough for the station to notice."""
    milliseconds = soak.chance.uniform(600, 1000)
    soak.rig.plc.command(Halt(milliseconds))
    dwell(milliseconds / 1000)
    return True


def plc_restart(soak: Soak) -> bool:
    """Another PLC run, its numbers anywhere."""
    soak.rig.plc.command(RestartProgram(trigger_seq=soak.chance.choice([0, 7, 500, 2**30 - 3])))
    return True


def enable_dropped(soak: Soak) -> bool:
    """Enable off and on."""
    soak.rig.plc.command(SetEnable(False))
    soak.rig.wait_live(lambda live: live.hindrance == "not enabled", 10)
    soak.rig.plc.command(SetEnable(True))
    return True


def burst(soak: Soak) -> bool:
    """Parts on top of each other."""
    first = 10_000_000 + soak.faults.total() * 100
    soak.rig.plc.command(Burst(soak.chance.randint(2, 6), first))
    return False


def camera_fault(soak: Soak) -> bool:
    """A few exposures go wrong."""
    kinds = (ExposureFault.SILENT, ExposureFault.SLOW, ExposureFault.SAME_FRAME, ExposureFault.BLACK)
    soak.rig.belt.set_fault(soak.chance.choice(kinds), soak.chance.randint(1, 5), 100)
    return False


def status_killed(soak: Soak) -> bool:
    """The status server dies."""
    try:
        os.kill(soak.rig.the_station().status_pid(), signal.SIGKILL)
    except (RuntimeError, ProcessLookupError):
        # It died a moment ago and its supervisor has not started it again yet: dead is dead.
        return False
    return False


def station_stopped(soak: Soak) -> bool:
    """SIGSTOP, SIGCONT: below the station's own watchdog."""
    soak.rig.the_station().pause()
    dwell(soak.chance.uniform(0.02, 0.9))
    soak.rig.the_station().resume()
    return False


def station_killed(soak: Soak) -> bool:
    """`kill -9`; the guard starts it again."""
    killed = soak.rig.the_station().kill()
    soak.rig.the_station().wait_pid(other_than=killed, timeout_s=_RECOVER_S)
    return True


WEIGHTS: dict[Fault, int] = {
    cable_out: 6,
    half_open: 3,
    connection_reset: 4,
    slow_line: 4,
    plc_halt: 2,
    plc_restart: 2,
    enable_dropped: 2,
    burst: 4,
    camera_fault: 6,
    status_killed: 1,
    station_stopped: 3,
    station_killed: 1,
}


def plan(seed: int, every_s: float) -> list[tuple[float, Fault]]:
    """A day of faults, each with the pause before it. The same seed gives the same plan."""
    chance = random.Random(f"linegate soak {seed}")
    count = round(86_400 / every_s)
    faults = chance.choices(list(WEIGHTS), list(WEIGHTS.values()), k=count)
    return [(chance.uniform(0.3, 1.7) * every_s, fault) for fault in faults]


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a soak."""

    seed: int
    protocol: str
    profile: str
    took_s: float
    figures: TallySummary
    agreement: Agreement
    outages: list[Outage]
    faults: Counter[str]
    journal_parts: int
    problems: list[str]

    def as_json(self) -> dict[str, Any]:
        figures, agreement = self.figures, self.agreement
        return {
            "protocol": self.protocol,
            "profile": self.profile,
            "seed": self.seed,
            "seconds": round(self.took_s, 1),
            "parts": agreement.compared,
            "triggers": figures.triggers,
            "answered": figures.answered,
            "parts_per_s": round(figures.triggers / self.took_s, 1),
            "untriggered": figures.untriggered,
            "missing": figures.missing,
            "missing_explained": sum(agreement.missing_explained.values()),
            "missing_unexplained": agreement.missing_unexplained,
            **{name: getattr(figures, name) for name in _ZEROS},
            "verdicts": figures.verdicts,
            "reasons": {str(reason): count for reason, count in figures.reasons.items()},
            "latency_ms": {"p50": figures.latency_ms.p50, "p99": figures.latency_ms.p99, "max": figures.latency_ms.max},
            "faults": dict(self.faults),
            "outages": len(self.outages),
            "outage_s": round(sum(o.until_ns - o.from_ns for o in self.outages if o.until_ns < _FAR_NS) / 1e9, 1),
            "journal_parts": self.journal_parts,
            "disagreements": agreement.complained,
            "problems": self.problems,
        }


def soak_options(parts: int) -> RigOptions:
    """Small frames and a model that only answers: the line, the wire and the journal are what is soaked."""
    return RigOptions(
        product="quick", width=480, height=300, rate_ppm=60_000, parts=parts, closed_loop=True, deadline_ms=80.0
    )


def run_soak(rig: Rig, seed: int, every_s: float, seconds: float | None, tell: Callable[[Soak, float], None]) -> Result:
    """Soak a rig. It ends after its parts, or after `seconds`. Raises RigBroken when the line does not come back."""
    soak = Soak(rig, random.Random(f"linegate soak figures {seed}"))
    rig.bring(State.STATION_READY)
    began = time.monotonic()
    for pause, fault in plan(seed, every_s):
        if _over(rig, time.monotonic() + pause, began, seconds):
            break
        _one_fault(soak, fault)
        _take(soak, _KEEP)
        tell(soak, time.monotonic() - began)
    return _end(soak, seed, began)


def _works_again(rig: Rig) -> Callable[[LiveTally], bool]:
    """Whether parts that were triggered from now on are answered. That nothing hinders the PLC says little: a request
    that the fault held up breaks the session up to its time-out later, and the PLC learns it later still. Such a
    request would hold up later answers, too.
    """
    now = time.monotonic_ns()
    before: list[int] = []

    def works(live: LiveTally) -> bool:
        if _finished(rig):
            return True
        if live.at_ns < now:
            return False
        if not before:
            before.append(live.figures.answered)
        return live.hindrance == "" and live.figures.answered > before[0] + _DEPTH

    return works


def _finished(rig: Rig) -> bool:
    return any(isinstance(event, LineFinished) for event in rig.plc.events)


def _over(rig: Rig, until: float, began: float, seconds: float | None) -> bool:
    """Wait for the next fault's time; whether the run is over."""
    while True:
        if _finished(rig):
            return True
        if seconds is not None and time.monotonic() - began > seconds:
            return True
        if time.monotonic() >= until:
            return False
        dwell(0.05)


def _one_fault(soak: Soak, fault: Fault) -> None:
    rig = soak.rig
    live = rig.plc.live
    session = live.session_id if live else 0
    begun = time.monotonic_ns() - _LEAD_NS
    soak.faults[fault.__name__] += 1
    anew = fault(soak)
    if anew:
        rig.wait_live(lambda live: live.session_id not in (0, session) and live.hindrance == "", _RECOVER_S)
    else:
        rig.wait_live(_works_again(rig), _RECOVER_S)
    what = f"{soak.faults.total()} {fault.__name__}"
    soak.outages.append(Outage(what, begun, time.monotonic_ns(), forgets=fault is plc_restart))


def _take(soak: Soak, keep: int) -> None:
    """Take parts out of the PLC's tally and hold them against the journal, so that neither side's memory grows."""
    while parts := soak.rig.plc.take_parts(_TAKE, keep):
        with soak.rig.journal() as journal:
            compare(parts, journal, soak.outages, soak.agreement)
        if len(parts) < _TAKE:
            return


def _end(soak: Soak, seed: int, began: float) -> Result:
    rig = soak.rig
    took = time.monotonic() - began
    if not _finished(rig):
        # Ended by time: the line runs on while the station is stopped.
        soak.outages.append(Outage("the end", time.monotonic_ns() - _LEAD_NS, _FAR_NS))
    rig.wait_live(lambda live: live.figures.waiting == 0, 30)
    figures = rig.plc.tally().figures
    rig.stop_station()
    _take(soak, 0)
    with rig.journal() as journal:
        in_journal = journal.triggers()
    agreement = soak.agreement
    problems = [f"{name}: {getattr(figures, name)}" for name in _ZEROS if getattr(figures, name)]
    problems += agreement.complaints
    if in_journal != agreement.in_journal:
        problems.append(f"the journal holds {in_journal} parts, the PLC knows {agreement.in_journal} of them")
    if figures.verdicts.get("OK", 0) < figures.triggers / 2:
        problems.append(f"of {figures.triggers} parts only {figures.verdicts.get('OK', 0)} were decided OK")
    rate = figures.triggers / took
    for outage in (outage for outage in soak.outages if outage.until_ns < _FAR_NS):
        allowed = (outage.until_ns - outage.from_ns) / 1e9 * rate + _DEPTH
        missing = agreement.missing_explained[outage.what]
        if missing > allowed:
            problems.append(f"outage {outage.what}: {missing} parts missing, its length explains {allowed:.0f}")
    plc = rig.file.plc
    return Result(
        seed, plc.protocol, plc.profile, took, figures, agreement, soak.outages, soak.faults, in_journal, problems
    )


def _shaped(soak: Soak, shape: Shape, for_s: float) -> None:
    soak.rig.the_shaper().shape(shape)
    dwell(for_s)
    soak.rig.the_shaper().clear()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a soak from the command line. Returns 0 when every part is accounted for, 1 otherwise."""
    args = _parser().parse_args(arguments)
    seed: int = args.seed if args.seed is not None else random.SystemRandom().randrange(1, 10**6)
    parts: int = args.parts or (10**7 if args.seconds else 100_000)
    try:
        file = find_rig(f"{args.protocol}-{args.profile}")
    except RigFileError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    folder = Path(args.keep) if args.keep else Path(tempfile.mkdtemp(prefix="linegate-soak-"))
    print(
        f"soak: {parts} parts over {args.protocol}, {args.profile} profile, seed {seed}, files in {folder}", flush=True
    )
    try:
        with Rig(file, folder, soak_options(parts)) as rig:
            result = run_soak(rig, seed, args.fault_every, args.seconds, _tell)
    except RigBroken as error:
        print(f"the line did not come back (seed {seed}): {error}")
        return 1
    text = json.dumps(result.as_json(), indent=2)
    print(text)
    if args.json:
        Path(args.json).write_text(text + "\n", encoding="utf-8")
    if result.problems:
        print(
            f"FAILED; the same again: python -m hil_tests.soak --protocol {args.protocol} --profile {args.profile} ",
            end="",
        )
        print(f"--parts {parts} --seed {seed} --fault-every {args.fault_every}")
        return 1
    print("every part is accounted for: no duplicate, no wrong part, no late action, no unexplained gap")
    return 0


def _tell(soak: Soak, seconds: float) -> None:
    live = soak.rig.plc.live
    if live is None:
        return
    f = live.figures
    print(
        f"{seconds:6.0f} s  {f.triggers:7} triggers  {f.answered:7} answered  {f.missing:4} missing  "
        f"{f.duplicate}/{f.wrong_part}/{f.late_acted} dup/wrong/late  p50 {f.latency_ms.p50:.1f} ms  "
        f"{soak.faults.total():4} faults, last {soak.outages[-1].what}  {soak.agreement.complained} disagree",
        flush=True,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m hil_tests.soak", description=__doc__)
    parser.add_argument("--protocol", choices=("opcua", "ethernet-ip", "modbus"), default="opcua")
    parser.add_argument("--profile", choices=("sequence", "four-phase"), default="sequence")
    parser.add_argument("--parts", type=int, help="how many (default 100000, or as many as fit into --seconds)")
    parser.add_argument("--seconds", type=float, help="end after this time")
    parser.add_argument("--seed", type=int, help="of the faults (default: a new one, printed)")
    parser.add_argument("--fault-every", type=float, default=3.0, metavar="S", help="mean seconds between faults")
    parser.add_argument("--json", metavar="FILE", help="write the figures there")
    parser.add_argument("--keep", metavar="DIR", help="keep configuration and journal there")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
