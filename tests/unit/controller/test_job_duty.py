"""Wishes of clients become events of the real core; refused ones are answered and change nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from controller.job_duty import JobDuty
from controller.status.messages import HoldStation, StartJob, StartSeries, StopJobs
from statemachines.commands import Command, RecordTrigger
from statemachines.events import Event
from statemachines.handshake.state import Link
from statemachines.station.state import Station
from statemachines.station.step import step
from statemachines.vocabulary import Hold, Ns
from tests.unit.statemachines.test_jobs import NOW, idle


class Loop:
    """The runtime as the duty needs it: the core's step and nothing behind."""

    def __init__(self, station: Station) -> None:
        self.station, self.commands = station, list[Command]()
        self.replay: dict[str, Any] = {}

    def now(self) -> Ns:
        return NOW

    def post(self, event: Event) -> None:
        self.station, commands = step(self.station, event)
        self.commands += commands


class Feed:
    """Remembers what was answered."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, bool, str, str]] = []

    def answer(self, command_id: int, ok: bool, why: str, key: str = "") -> bool:
        self.answers.append((command_id, ok, why, key))
        return True


def duty(station: Station, images: Path) -> tuple[JobDuty, Loop, Any]:
    loop, feed = Loop(station), Feed()
    return JobDuty(cast(Any, loop), lambda: 1025, images), loop, cast(Any, feed)


def test_a_job_gets_a_key_of_its_own_in_a_session_that_never_was(tmp_path: Path) -> None:
    jobs, loop, feed = duty(idle(), tmp_path)
    jobs.obey(feed, StartJob(1, "sample", "Ada"))
    assert feed.answers == [(1, True, "the job runs", "1025/opcua/1")]
    assert [str(key) for key in loop.station.cycles] == ["1025/opcua/1"]
    jobs.obey(feed, StartJob(2, "other", "Ada"))
    assert feed.answers[-1] == (2, False, "a job is running", "")


def test_nothing_starts_while_the_plc_has_the_station(tmp_path: Path) -> None:
    station = idle()
    busy = replace(station, handshake=replace(station.handshake, link=Link.IN_SESSION))
    jobs, loop, feed = duty(busy, tmp_path)
    jobs.obey(feed, StartJob(1, "sample", "Ada"))
    jobs.obey(feed, StartSeries(2, "sample", "Ada"))
    assert [ok for _, ok, _, _ in feed.answers] == [False, False]
    assert loop.station == busy and not loop.commands


def test_a_series_is_begun_and_aborted(tmp_path: Path) -> None:
    jobs, loop, feed = duty(idle(), tmp_path)
    jobs.obey(feed, StartSeries(1, "sample", "Ada"))
    assert loop.station.jobs.series and len(loop.station.cycles) == 1
    jobs.obey(feed, StopJobs(2, True, "Ada", "enough"))
    assert not loop.station.jobs.series and loop.station.in_flight == 0


@pytest.mark.parametrize(
    "command", [StartJob(1, "sample", "Ada", "shift 2"), StartSeries(1, "sample", "Ada", "shift 2")]
)
def test_the_name_of_a_measurement_goes_to_the_journal(tmp_path: Path, command: StartJob | StartSeries) -> None:
    jobs, loop, feed = duty(idle(), tmp_path)
    jobs.obey(feed, command)
    (record,) = [c for c in loop.commands if isinstance(c, RecordTrigger)]
    assert record.meas_id == "shift 2"


def test_a_hold_is_granted_and_a_number_that_is_none_is_not(tmp_path: Path) -> None:
    jobs, loop, feed = duty(idle(), tmp_path)
    jobs.obey(feed, HoldStation(1, int(Hold.HALTED), "Ada", "service"))
    assert loop.station.hold is Hold.HALTED
    jobs.obey(feed, HoldStation(2, 9, "Ada", "service"))
    assert not feed.answers[-1][1] and loop.station.hold is Hold.HALTED
