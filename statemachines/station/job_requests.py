"""Jobs are asked for, follow each other, and are given up."""

from __future__ import annotations

from dataclasses import replace

from statemachines import jobs
from statemachines.commands import RecordEvent
from statemachines.cycle.state import Abandoned
from statemachines.events import JobRequested, JobSeriesRequested, JobsStopped
from statemachines.station.parts import drive, keep
from statemachines.station.state import Station, Step
from statemachines.vocabulary import Ns, Reason


def job_requested(station: Station, event: JobRequested) -> Step:
    """Take a job in as a part of its own, or say in the audit trail why not."""
    because, recipe = station.no_job_because, station.recipe
    if because is not None or recipe is None:
        detail = {"refused": str(event.part_id), "why": because or "no recipe is loaded"}
        return replace(station, jobs=replace(station.jobs, series=False)), (
            RecordEvent(event.at, "job", event.who, detail),
        )
    cycle, commands = jobs.begin(event, recipe)
    station = replace(station, jobs=replace(station.jobs, last=event.part))
    return keep(station, cycle, commands)


def series_requested(station: Station, event: JobSeriesRequested) -> Step:
    """Let one job follow the other, where a job may start now."""
    because = station.no_job_because
    detail = {"series": int(because is None), "why": because or ""}
    changed = replace(station, jobs=replace(station.jobs, series=because is None))
    return changed, (RecordEvent(event.at, "job", event.who, detail),)


def jobs_stopped(station: Station, event: JobsStopped) -> Step:
    """The series is over; the job in flight ends as it would, or is given up."""
    record = RecordEvent(event.at, "job", event.who, {"stopped": "abort" if event.abort else "stop", "why": event.why})
    if not event.abort:
        return replace(station, jobs=replace(station.jobs, series=False)), (record,)
    station, commands = end_jobs(station, event.at, f"aborted by {event.who}: {event.why}")
    return station, (*commands, record)


def end_jobs(station: Station, at: Ns, why: str) -> Step:
    """No job is wanted any more, and the one in flight is given up."""
    station = replace(station, jobs=replace(station.jobs, series=False))
    running = jobs.running(station.cycles)
    if running is None:
        return station, ()
    return drive(station, Abandoned(running, at, Reason.LOST, why))
