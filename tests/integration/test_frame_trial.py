"""The line on GenTL cameras that it triggers itself, with spoilt frames: a short trial, and its long ones.

How many good frames come in time, and how many answers, is the computer's matter, and held by the long trial; that no
frame is another part's, and that no part without a usable frame is believed, is ours.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from controller.drivers.record.query import JournalReader, PartFilter
from controller.sim.frame_trial import REPLUG_LIMIT_S, Trial, percentile, run_trial
from controller.sim.gentl import build_producer
from controller.sim.line_run import LineSettings
from controller.sim.view_set import ViewSet


@pytest.fixture(autouse=True)
def _producer() -> None:
    """Where there is a compiler, cameras that cannot be built are a failure."""
    pytest.importorskip("harvesters")
    if shutil.which("cc") is None or shutil.which("make") is None:
        pytest.skip("no C compiler and make to build the simulated GenTL cameras with")
    build_producer()


def trial(folder: Path, parts: int, rate: float, **more: object) -> Trial:
    views = more.pop("views", ViewSet(2, redundant=True, width=960))
    settings = LineSettings(parts, rate, camera="gentl", acquisition="hardware", views=views, **more)  # type: ignore[arg-type]
    return run_trial(settings, folder)


def check_safe(done: Trial, folder: Path) -> None:
    figures, judged = done.report.tally.figures, done.judged
    assert (figures.duplicate, done.report.wrong_part) == (0, 0)
    assert (judged.trusted, judged.wrong_reason) == (0, 0)
    with JournalReader(folder / "data" / "journal.db") as reader:
        sessions = len(reader.events("baseline"))
        parts = [part for listed in reader.parts(PartFilter()) for part in reader.details(_key(listed))]
    # A computer that starves loses its PLC now and then: parts of that time have no answer, and say so.
    assert figures.missing == 0 or sessions > 1
    decided = [part for part in parts if part["reason"] == "DECIDED"]
    assert decided, "none at all is no trial"
    for part in decided:
        used = {frame["view"] for frame in part["frames"] if frame["used"]}
        assert used in ({"top", "side"}, {"side", "spare"}), "one frame for each view"
        for frame in part["frames"]:
            assert not frame["used"] or abs(frame["begin_us"]) <= 10_000, "exposed when the part passed"


def _key(part: dict[str, object]) -> str:
    return f"{part['epoch']}/{part['source']}/{part['seq']}"


def test_no_frame_of_another_part_is_ever_used(tmp_path: Path) -> None:
    done = trial(tmp_path, 40, 240.0, fault_share=0.15, seed=3)
    check_safe(done, tmp_path)
    assert done.judged.spoilt > 3


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_no_frame_of_another_part_is_ever_used_at_full_rate(tmp_path: Path) -> None:
    done = trial(tmp_path, 2_000, 600.0, fault_share=0.01)
    check_safe(done, tmp_path)
    assert done.report.tally.figures.late_acted == 0
    assert sum(done.judged.lost.values()) <= 20


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_first_good_part_comes_within_a_second_of_the_cable(tmp_path: Path) -> None:
    done = trial(tmp_path, 850, 600.0, unplug_every=40, views=ViewSet(1, width=960))
    assert done.report.wrong_part == 0
    assert len(done.judged.replug_s) == 20
    assert percentile(done.judged.replug_s, 0.95) < REPLUG_LIMIT_S
