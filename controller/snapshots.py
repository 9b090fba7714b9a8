"""What the status process is told: a snapshot of the station some ten times a second, and people's commands back."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from controller.job_duty import JobDuty
from controller.latency import LatencyBook
from controller.part_news import describe
from controller.runtime import Duration, Runtime
from controller.status.feed import StatusFeed
from controller.status.messages import (
    ChangeRecipe,
    HealthReport,
    HoldStation,
    Noted,
    PartSummary,
    ResetFailsafe,
    SetMode,
    Simulate,
    StartJob,
    StartSeries,
    StationSnapshot,
    StatusCommand,
    StopJobs,
)
from statemachines import jobs as core_jobs
from statemachines.events import ActNoted, ModeRequested, RecipeRequested, ResetRequested
from statemachines.handshake.state import Link
from statemachines.vocabulary import Mode, Outcome

LAST_PARTS = 20


class SnapshotDuty:
    """Collects what happened, tells the status process, and posts what people asked for there."""

    def __init__(
        self,
        runtime: Runtime,
        name: str,
        period_ms: int,
        lag_ms: Callable[[], float],
        drops: Callable[[], tuple[int, int]],
        jobs: JobDuty,
    ) -> None:
        self._runtime = runtime
        self._name = name
        self._period_s = period_ms / 1000
        self._lag_ms = lag_ms
        self._drops = drops
        self._jobs = jobs
        self._feed_dropped = 0
        self._started = runtime.now()
        self._latencies = LatencyBook()
        self._last: deque[Outcome] = deque(maxlen=LAST_PARTS)

    def took(self, outcome: Outcome, duration: Duration) -> None:
        """A part ended. On the deciding loop: a few appends, nothing else."""
        self._last.append(outcome)
        stamps = outcome.stamps
        if not outcome.answered or "seen" not in stamps:
            return
        record = self._latencies.record
        record("total", stamps["published"] - stamps["seen"])
        if duration.capture:
            record("capture", duration.capture)
        if duration.inference:
            record("inference", duration.inference)
            record("overhead", stamps["decided"] - stamps["seen"] - duration.capture - duration.inference)

    async def run(self, feed: StatusFeed) -> None:
        """Offer a snapshot each period; never waits for the other side."""
        while True:
            self._feed_dropped = feed.child.dropped
            feed.offer(self.snapshot())
            await asyncio.sleep(self._period_s)

    def obey(self, feed: StatusFeed, command: StatusCommand) -> None:
        """A person asked for something in the status process. On the deciding loop."""
        runtime = self._runtime
        at, station = runtime.now(), runtime.station
        match command:
            case SetMode():
                if command.mode not in tuple(Mode):
                    feed.answer(command.id, False, f"mode {command.mode} is none of 1 SHADOW, 2 ALERT, 3 AUTO_REJECT")
                    return
                if command.mode > station.line.mode and not command.signed:
                    feed.answer(command.id, False, "raising the mode needs an engineer on an encrypted session")
                    return
                runtime.post(ModeRequested(at, Mode(command.mode), command.who, command.why))
                feed.answer(command.id, True, f"from the next part on: {runtime.station.mode.name}")
            case ResetFailsafe():
                if not station.latch.latched:
                    feed.answer(command.id, False, "failsafe is not latched")
                    return
                runtime.post(ResetRequested(at, command.who))
                granted = bool(runtime.station.latch.reset_by)
                why = "granted: takes effect when the PLC's Enable goes 0→1" if granted else "the cause is not gone yet"
                feed.answer(command.id, granted, why)
            case ChangeRecipe():
                if station.recipe_wanted:
                    feed.answer(command.id, False, "another recipe is being loaded")
                    return
                runtime.post(RecipeRequested(at, command.product, command.who))
                feed.answer(command.id, True, f"loading {command.product}")
            case StartJob() | StartSeries() | StopJobs() | HoldStation() | Simulate():
                self._jobs.obey(feed, command)

    def note(self, noted: Noted) -> None:
        """Something for the audit trail happened in the status process. On the deciding loop."""
        self._runtime.post(ActNoted(self._runtime.now(), noted.kind, noted.who, noted.detail))

    def snapshot(self) -> StationSnapshot:
        """The station as it is now."""
        station, recipe = self._runtime.station, self._runtime.recipe
        counters, facts = station.counters, station.recipe
        model = recipe.model if recipe else {}
        images_dropped, journal_dropped = self._drops()
        health, text = station.health
        link = station.handshake.link
        return StationSnapshot(
            station=self._name,
            state=station.line.state,
            mode_requested=int(station.line.mode),
            mode=int(station.mode),
            mode_ceiling=station.ceiling,
            health=int(health),
            health_text=text,
            failsafe=station.latch.latched,
            fault_code=int(station.latch.code),
            fault_why=station.latch.why,
            ready=station.ready,
            online=link in (Link.OPENING, Link.IN_SESSION),
            session_id=station.handshake.session_id,
            in_flight=station.in_flight,
            recipe_product=facts.product if facts else "",
            recipe_id=facts.id if facts else 0,
            recipe_hash=facts.hash if facts else "",
            model_name=model.get("name", ""),
            model_version=model.get("version", ""),
            model_hash=model.get("hash", ""),
            model_precision=model.get("precision", ""),
            triggers=counters.triggers,
            answered=counters.answered,
            ok=counters.ok,
            ng=counters.ng,
            unsure=counters.unsure,
            no_decision=counters.no_decision,
            missed=counters.missed,
            late=counters.late,
            overruns=counters.overruns,
            lost=counters.lost,
            images_dropped=images_dropped,
            journal_dropped=journal_dropped,
            loop_lag_ms=self._lag_ms(),
            uptime_s=(self._runtime.now() - self._started) / 1e9,
            plc_link=link.value,
            recipe_loading=station.recipe_wanted or facts is None,
            reset_granted=station.latch.latched and bool(station.latch.reset_by),
            hold=int(station.hold),
            held_over_failsafe=station.held_over_failsafe,
            job=str(core_jobs.running(station.cycles) or ""),
            job_series=station.jobs.series,
            no_job_because=station.no_job_because or "",
            simulating=self._jobs.simulating,
            feed_dropped=self._feed_dropped,
            last_parts=[_summary(outcome) for outcome in reversed(self._last)],
            latencies=self._latencies.summary(),
            reports=[HealthReport(source, int(state), why) for source, (state, why) in station.reports.items()],
        )


def _summary(outcome: Outcome) -> PartSummary:
    stamps = outcome.stamps
    end = stamps.get("published", 0)
    return PartSummary(
        part_id=str(outcome.part_id),
        seq=outcome.part.seq,
        verdict=outcome.verdict.name,
        reason=outcome.reason.name,
        action=outcome.action.name,
        mode=outcome.mode.name,
        why=outcome.why,
        findings=[describe(finding) for finding in outcome.findings[:5]],
        latency_us=(end - stamps["seen"]) // 1000 if end and "seen" in stamps else 0,
        score=outcome.score,
    )
