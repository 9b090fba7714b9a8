"""The four-phase profile through the whole line: soft PLC and station in processes of their own, tags over OPC UA."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.drivers.record.query import JournalReader
from controller.sim.line_run import LineReport, LineSettings, run_line

SLOW_GATE_MS = 2500.0
"""At 100 ms polling one part's handshakes take some 300 ms, which no recipe of the demo would wait for."""


def counted_as_missed(folder: Path) -> set[int]:
    """Trigger numbers that the station's journal says were missed."""
    with JournalReader(folder / "data" / "journal.db") as reader:
        events = [event["detail"] for event in reader.events("missed", limit=0)]
    return {int(event["first"]) + n for event in events for n in range(int(event["count"]))}


def new_baselines(folder: Path) -> list[int]:
    """TriggerId at the start of each session but the first: a computer that starves loses its link now and then."""
    with JournalReader(folder / "data" / "journal.db") as reader:
        return sorted(int(event["detail"]["baseline"]) for event in reader.events("baseline", limit=0))[1:]


def warned(folder: Path) -> bool:
    """Whether the station said at its start that pulses can be missed: in its log and in its journal."""
    log = "trigger pulses can be missed" in (folder / "station.log").read_text(encoding="utf-8")
    with JournalReader(folder / "data" / "journal.db") as reader:
        journal = any(event["detail"].get("source") == "trigger pulses" for event in reader.events("health", limit=0))
    assert log == journal
    return log


def settings(parts: int, poll_ms: float, trigger_pulse_ms: int | None = None) -> LineSettings:
    # No multiple of the polling interval, or pulses are seen always or never.
    rate = 139.0 if poll_ms > 50 else 241.0
    return LineSettings(
        parts=parts,
        rate_ppm=rate,
        profile="four-phase",
        poll_ms=poll_ms,
        trigger_pulse_ms=trigger_pulse_ms,
        gate_delay_ms=SLOW_GATE_MS,
        deadline_ms=SLOW_GATE_MS - 100,
        ok_images="none",
    )


def check_held(report: LineReport, folder: Path, parts: int) -> None:
    figures = report.tally.figures
    assert (figures.duplicate, report.wrong_part, figures.late_acted) == (0, 0, 0)
    assert counted_as_missed(folder) == set()
    assert not warned(folder)
    outages = len(new_baselines(folder))
    assert figures.triggers - figures.answered <= 2 * outages
    if not outages:
        assert (figures.triggers, figures.answered, figures.untriggered) == (parts, parts, {})


def check_pulses(report: LineReport, folder: Path, parts: int) -> None:
    """Each number was answered or counted, never both; only after the last answer nothing can show a gap."""
    figures = report.tally.figures
    assert (figures.duplicate, report.wrong_part, figures.late_acted) == (0, 0, 0)
    answered = {part.seq for part in report.tally.parts if part.answers}
    triggered = {part.seq for part in report.tally.parts if part.seq}
    missed = counted_as_missed(folder)
    assert missed, "the pulses were meant to be too short"
    assert not missed & answered
    last = max(answered | missed)
    silent = {seq for seq in triggered if seq <= last} - missed - answered
    assert all(any(baseline - 10 < seq <= baseline for baseline in new_baselines(folder)) for seq in silent)
    assert len(triggered) - last < 10
    assert warned(folder)


@pytest.mark.timeout(150)
def test_held_triggers_over_opc_ua(tmp_path: Path) -> None:
    check_held(run_line(settings(15, 2.0), tmp_path), tmp_path, 15)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("poll_ms", [10.0, 100.0])
def test_a_thousand_held_triggers(tmp_path: Path, poll_ms: float) -> None:
    check_held(run_line(settings(1000, poll_ms), tmp_path), tmp_path, 1000)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_thousand_pulses(tmp_path: Path) -> None:
    check_pulses(run_line(settings(1000, 100.0, trigger_pulse_ms=40), tmp_path), tmp_path, 1000)
