"""Jobs: taken only while the PLC's Enable is read as 0, ended exactly once, and never seen by the PLC."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from statemachines.commands import Capture, Command, Publish, RecordEvent, RecordOutcome, RecordTrigger
from statemachines.errors import IllegalEvent
from statemachines.events import (
    DeadlinePassed,
    Event,
    Failed,
    FailsafeTripped,
    FrameCaptured,
    HoldRequested,
    Inferred,
    JobRequested,
    JobSeriesRequested,
    JobsStopped,
    LinkLost,
    PlcRead,
    Stopped,
    TriggerCommitted,
)
from statemachines.handshake.state import Contract, Handshake, Link
from statemachines.jobs import OPCUA, running
from statemachines.line import Line
from statemachines.station.state import Rules, Station
from statemachines.station.step import step
from statemachines.station.tags import outputs
from statemachines.vocabulary import (
    MS,
    Action,
    Assessment,
    Fallback,
    FaultCode,
    Hold,
    Mode,
    Ns,
    PartKey,
    PlcHead,
    Policy,
    Reason,
    RecipeFacts,
    Verdict,
)

NOW = Ns(10_000 * MS)
RECIPE = RecipeFacts(1, "p", "ab" * 32, ("top",), 80 * MS, 40 * MS, Policy(Fallback.REJECT, False, 0))
NG = Assessment(Verdict.NG, (), 0.9, "scratch")


def head(*, enable: bool) -> PlcHead:
    return PlcHead(100, 5, enable, 0, 3, 9, False, 0, 0)


def read(*, enable: bool) -> PlcRead:
    return PlcRead(NOW, NOW, head(enable=enable), (), next_session_id=6)


def idle() -> Station:
    """Enable was read as 0, a recipe is in force."""
    return Station(
        rules=Rules(Contract(plc_lost_ns=10**15)),
        line=Line("running_auto_reject", Mode.AUTO_REJECT),
        recipe=RECIPE,
        ceiling=3,
        handshake=Handshake(Link.WAITING, session_id=5, plc_epoch=9, clock_ms=100, clock_moved_at=NOW),
        enable_seen_low=True,
    )


def key(number: int = 1) -> PartKey:
    return PartKey(77, OPCUA, number)


def job(number: int = 1) -> JobRequested:
    return JobRequested(NOW, key(number), f"sample {number}", "Ada")


def frame(number: int = 1) -> FrameCaptured:
    return FrameCaptured(key(number), "top", NOW, NOW, number, "cam")


def judged(number: int = 1) -> Inferred:
    return Inferred(key(number), "top", NOW, NG)


def play(station: Station, *events: Event) -> tuple[Station, list[Command]]:
    commands: list[Command] = []
    for event in events:
        station, more = step(station, event)
        commands += more
    return station, commands


def outcomes(commands: list[Command]) -> list[RecordOutcome]:
    return [c for c in commands if isinstance(c, RecordOutcome)]


def test_a_job_is_recorded_captured_judged_and_has_no_answer() -> None:
    station, commands = play(idle(), job(), frame(), judged())
    assert isinstance(commands[0], RecordTrigger)
    assert any(isinstance(c, Capture) for c in commands)
    (end,) = outcomes(commands)
    assert (end.outcome.verdict, end.outcome.action, end.outcome.mode) == (Verdict.NG, Action.NONE, Mode.SHADOW)
    assert not end.outcome.answered and end.outcome.reason is Reason.DECIDED
    assert not station.cycles and running(station.cycles) is None


def test_a_job_changes_nothing_that_the_plc_sees() -> None:
    before = idle()
    station, _ = play(before, job(), TriggerCommitted(key(), NOW), frame(), judged())
    assert outputs(station) == outputs(before)
    assert station.counters == before.counters
    assert station.undecided_in_row == before.undecided_in_row


@pytest.mark.parametrize(
    ("station", "why"),
    [
        (replace(idle(), handshake=Handshake(Link.IN_SESSION, session_id=5)), "Enable is 1"),
        (replace(idle(), handshake=Handshake(Link.OPENING, session_id=5)), "Enable is 1"),
        (replace(idle(), handshake=Handshake(Link.OFFLINE)), "not known"),
        (replace(idle(), handshake=Handshake(Link.PLC_LOST)), "not known"),
        (replace(idle(), enable_seen_low=False), "not known"),
        (replace(idle(), ceiling=0), "ModeCeiling"),
        (replace(idle(), recipe_wanted=True), "recipe"),
        (replace(idle(), recipe=None), "recipe"),
        (replace(idle(), hold=Hold.HALTED), "HALTED"),
    ],
)
def test_a_job_is_refused_and_the_audit_trail_says_why(station: Station, why: str) -> None:
    after, commands = play(station, job())
    (record,) = commands
    assert isinstance(record, RecordEvent) and why in str(record.detail["why"])
    assert after.cycles == station.cycles


def test_one_job_at_a_time() -> None:
    station, _ = play(idle(), job())
    assert station.no_job_because == "a job is running"
    after, _ = play(station, job(2))
    assert set(after.cycles) == {key()}


def test_enable_takes_the_station_from_a_job() -> None:
    station, commands = play(idle(), job(), read(enable=True))
    (end,) = outcomes(commands)
    assert "Enable" in end.outcome.why and not end.outcome.answered
    assert station.handshake.link is Link.OPENING
    assert station.counters.lost == 0


def test_a_series_goes_on_until_it_is_stopped_or_the_plc_wants_the_station() -> None:
    series = JobSeriesRequested(NOW, "Ada")
    station, _ = play(idle(), series)
    assert station.jobs.series
    for end in (
        JobsStopped(NOW, False, "Ada", ""),
        JobsStopped(NOW, True, "Ada", ""),
        read(enable=True),
        LinkLost(NOW, "gone"),
        FailsafeTripped(NOW, FaultCode.OPERATOR, "test"),
        HoldRequested(NOW, Hold.HALTED, "Ada", "test"),
        Stopped(NOW),
    ):
        assert not play(station, end)[0].jobs.series, end
    in_session = replace(idle(), handshake=Handshake(Link.IN_SESSION))
    assert not play(in_session, series)[0].jobs.series


def test_stop_lets_the_job_end_and_abort_does_not() -> None:
    station, _ = play(idle(), job())
    stopped, commands = play(station, JobsStopped(NOW, False, "Ada", "enough"), frame(), judged())
    assert outcomes(commands)[0].outcome.verdict is Verdict.NG
    aborted, commands = play(station, JobsStopped(NOW, True, "Ada", "enough"))
    assert outcomes(commands)[0].outcome.why == "aborted by Ada: enough"
    assert running(aborted.cycles) is None and not stopped.cycles


def test_a_held_station_is_not_ready_until_it_is_let_in_again() -> None:
    in_session = replace(idle(), handshake=Handshake(Link.IN_SESSION, session_id=5))
    assert in_session.ready
    held, _ = play(in_session, HoldRequested(NOW, Hold.PREOPERATIONAL, "Ada", "service"))
    assert not held.ready and held.not_ready_because is not None
    assert held.not_ready_because[0] is Reason.NOT_READY
    assert play(held, HoldRequested(NOW, Hold.NONE, "Ada", ""))[0].ready


def test_a_failsafe_that_comes_later_outranks_a_halt() -> None:
    trip = FailsafeTripped(NOW, FaultCode.OPERATOR, "test")
    halt = HoldRequested(NOW, Hold.HALTED, "Ada", "test")
    assert play(idle(), trip, halt)[0].held_over_failsafe
    assert not play(idle(), halt, trip)[0].held_over_failsafe


EVENTS: tuple[Event, ...] = (
    job(1),
    job(2),
    frame(1),
    frame(2),
    judged(1),
    judged(2),
    Failed(key(1), "top", NOW, Reason.CAMERA, "broken"),
    DeadlinePassed(key(1), Ns(NOW + 80 * MS)),
    JobsStopped(NOW, False, "Ada", ""),
    JobsStopped(NOW, True, "Ada", ""),
    read(enable=True),
    read(enable=False),
    LinkLost(NOW, "gone"),
    FailsafeTripped(NOW, FaultCode.OPERATOR, "test"),
    HoldRequested(NOW, Hold.HALTED, "Ada", ""),
)


def orders(station: Station, ended: tuple[PartKey, ...], depth: int) -> Iterator[tuple[Station, tuple[PartKey, ...]]]:
    """Every state that some order of up to `depth` events leads to, with the jobs that ended on the way."""
    yield station, ended
    if depth == 0:
        return
    for event in EVENTS:
        if isinstance(event, JobRequested) and (event.part in ended or event.part in station.cycles):
            continue  # the shell never gives a number out twice
        before = station.no_job_because
        try:
            after, commands = step(station, event)
        except IllegalEvent:
            continue
        assert not any(isinstance(c, Publish) for c in commands), f"{event} published a job's result"
        if isinstance(event, JobRequested):
            assert any(isinstance(c, RecordTrigger) for c in commands) == (before is None)
        more = tuple(c.outcome.part for c in commands if isinstance(c, RecordOutcome))
        yield from orders(after, ended + more, depth - 1)


def test_every_order_ends_each_job_exactly_once_and_publishes_none() -> None:
    states = 0
    for station, ended in orders(idle(), (), 4):
        states += 1
        assert len(set(ended)) == len(ended)
        assert station.counters == idle().counters
        current = running(station.cycles)
        assert current is None or current not in ended
        assert current is None or station.handshake.link is Link.WAITING
    assert states > 10_000
