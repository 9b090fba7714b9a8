"""`kill -9` at random moments under load: what was acknowledged is in the journal, nothing is replayed, Ready again.

The long run (`make soak`) does it 200 times and prints the times to Ready.
"""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import pytest

from hil_tests.agreement import Outage, compare
from hil_tests.rig import Rig, RigOptions, State, dwell
from hil_tests.rigfile import find_rig


def run(folder: Path, kills: int, seed: int = 1) -> list[float]:
    """Kill a station under load again and again; seconds from each new start to Ready."""
    chance, times, outages = random.Random(seed), list[float](), list[Outage]()
    options = RigOptions(rate_ppm=300, parts=300 * 60, gate_delay_ms=400)
    with Rig(find_rig("opcua-sequence"), folder, options) as rig:
        rig.bring(State.STATION_READY)
        for _ in range(kills):
            dwell(chance.uniform(0.2, 1.2))
            live = rig.plc.live
            assert live is not None
            # A part on its way is caught by the kill, too.
            killed_ns, old = time.monotonic_ns() - 500_000_000, live.session_id
            rig.the_station().destroy()
            started = time.monotonic()
            rig.start_station()
            rig.wait_live(lambda live: live.hindrance == "" and live.session_id != old, 60)  # noqa: B023
            times.append(time.monotonic() - started)
            outages.append(Outage("kill", killed_ns, time.monotonic_ns()))
        last_ns = time.monotonic_ns() - 500_000_000
        rig.stop_station()
        tally = rig.plc.tally()
        outages.append(Outage("the end", last_ns, time.monotonic_ns()))
        figures = tally.figures
        assert figures.duplicate == figures.wrong_part == figures.late_acted == 0
        assert figures.stale == figures.unexpected == 0, "nothing is replayed"
        assert figures.answered
        with rig.journal() as journal:
            agreement = compare((part for part in tally.parts if part.outcome is not None), journal, outages)
        assert agreement.whole, agreement.complaints
    return times


@pytest.mark.timeout(180)
def test_three_kills(tmp_path: Path) -> None:
    assert len(run(tmp_path, 3)) == 3


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_hundred_kills(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    times = sorted(run(tmp_path, 200))
    with capsys.disabled():
        print(f"\n200 kills: Ready again p50 {times[99]:.2f} s, p95 {times[189]:.2f} s, max {times[-1]:.2f} s")


@pytest.mark.timeout(180)
def test_failsafe_stays_latched(tmp_path: Path) -> None:
    with Rig(find_rig("opcua-sequence"), tmp_path) as rig:
        rig.bring(State.LINE_UP)
        latch = rig.data / "failsafe.json"
        latch.parent.mkdir(parents=True, exist_ok=True)
        latch.write_text(json.dumps({"code": 1, "why": "test", "since": "2026-11-24T00:00:00+00:00"}))
        session = 0
        for _ in range(2):
            rig.start_station()
            # The tags of the station before stand in the PLC until the new one writes its own.
            rig.wait_live(lambda live: live.session_id != session and live.hindrance == "not ready", 60)  # noqa: B023
            session = rig.plc.live.session_id if rig.plc.live else 0
            rig.the_station().destroy()
            assert rig.latch() == 1
            rig.wait_live(lambda live: live.hindrance == "station lost", 30)
