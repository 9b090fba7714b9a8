"""The status process as a whole: a real server in a real child, fed by a pretended station, read by real clients."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from asyncua import ua
from asyncua.client.client import Client
from asyncua.common.node import Node
from asyncua.common.subscription import DataChangeNotif
from asyncua.ua.status_codes import StatusCodes
from asyncua.ua.uaerrors import UaStatusCodeError

from controller.status.address_space import NODES, node_id
from controller.status.feed import StatusFeed
from controller.status.messages import (
    ChangeRecipe,
    Noted,
    PartSummary,
    ResetFailsafe,
    SetMode,
    StageLatency,
    StationSnapshot,
    StatusCommand,
)
from statemachines.vocabulary import Health
from tests.integration.status_access import client_of, free_endpoint, settings

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 120.0
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]
posix = pytest.mark.skipif(os.name != "posix", reason="signals that stop or kill another process are POSIX")


def part(seq: int) -> PartSummary:
    findings = [f"scratch {seq}.00 x 0.20 mm MAJOR: too long"]
    return PartSummary(
        str(4000 + seq), seq, "NG", "DECIDED", "REJECT", "AUTO_REJECT", "a scratch", findings, 7000 + seq
    )


def snapshot(**changes: Any) -> StationSnapshot:
    values: dict[str, Any] = {
        "station": "press 3",
        "state": "running_auto_reject",
        "mode_requested": 3,
        "mode": 2,
        "mode_ceiling": 2,
        "health": 4,
        "health_text": "the journal's disk is slow",
        "failsafe": False,
        "fault_code": 0,
        "fault_why": "",
        "ready": True,
        "online": True,
        "session_id": 77,
        "in_flight": 1,
        "recipe_product": "washer",
        "recipe_id": 12,
        "recipe_hash": "ab" * 32,
        "model_name": "demo",
        "model_version": "1.0.0",
        "model_hash": "cd" * 32,
        "model_precision": "INT8",
        "triggers": 10,
        "answered": 9,
        "ok": 5,
        "ng": 3,
        "unsure": 1,
        "no_decision": 0,
        "missed": 0,
        "late": 0,
        "overruns": 0,
        "lost": 0,
        "images_dropped": 0,
        "journal_dropped": 0,
        "plc_link": "in session",
        "recipe_loading": False,
        "reset_granted": False,
        "hold": 0,
        "held_over_failsafe": False,
        "job": "",
        "job_series": False,
        "no_job_because": "",
        "simulating": False,
        "feed_dropped": 0,
        "loop_lag_ms": 0.25,
        "uptime_s": 12.5,
        "last_parts": [part(9), part(8)],
        "latencies": {"total": StageLatency(9, 6400, 7800, 8800, 9000)},
    }
    return StationSnapshot(**(values | changes))


class Station:
    """The parent's side: offers a snapshot ten times a second, answers commands as told."""

    def __init__(self, **options: Any) -> None:
        self.endpoint = free_endpoint()
        self.commands: list[StatusCommand] = []
        self.health: list[tuple[Health, str]] = []
        self.answer: tuple[bool, str] | None = (True, "as you wish")
        self.now = snapshot()
        self.feeding = True
        self.slowest_offer_s = 0.0
        self._news = asyncio.Event()
        self.feed = StatusFeed(settings(self.endpoint), **options)
        self.feed.connect(self._command, self._told)

    def _command(self, command: StatusCommand) -> None:
        self.commands.append(command)
        if self.answer is not None:
            self.feed.answer(command.id, *self.answer)

    def _told(self, source: str, health: Health, why: str) -> None:
        assert source == "status"
        self.health.append((health, why))
        self._news.set()

    def forget(self) -> None:
        """As at the start, but for the process."""
        self.commands.clear()
        self.answer, self.now, self.feeding = (True, "as you wish"), snapshot(), True

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            while not condition():
                self._news.clear()
                await self._news.wait()

    async def tell(self) -> None:
        while True:
            if self.feeding:
                self.offer()
            await asyncio.sleep(0.1)

    def offer(self) -> bool:
        began = time.perf_counter()
        taken = self.feed.offer(self.now)
        self.slowest_offer_s = max(self.slowest_offer_s, time.perf_counter() - began)
        return taken


@asynccontextmanager
async def running(station: Station) -> AsyncGenerator[Station]:
    tasks = [asyncio.create_task(station.feed.run()), asyncio.create_task(station.tell())]
    try:
        await station.until(lambda: bool(station.health))
        assert station.health == [(Health.NORMAL, "")]
        yield station
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert all(task.cancelled() for task in tasks)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def one() -> AsyncGenerator[Station]:
    """One status process for all tests that leave it as it was: to start one takes seconds of processor time."""
    # Nobody here is hung, however long a busy computer lets it wait.
    async with running(Station(silence_s=TIMEOUT_S)) as station:
        yield station


@pytest.fixture
def shared(one: Station) -> Station:
    one.forget()
    return one


async def read(client: Client, name: str) -> Any:
    value = await _value(client, name)
    assert value.Value is not None
    return value.Value.Value


async def _value(client: Client, name: str) -> ua.DataValue:
    """The value with its quality: the plain way raises for anything that is not good."""
    return await client.get_node(node_id(name)).read_data_value(raise_on_bad_status=False)


async def quality(client: Client, name: str) -> int:
    value = await _value(client, name)
    assert value.StatusCode is not None
    return value.StatusCode.value


async def until_shows(client: Client, name: str, value: Any) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while await read(client, name) != value:
            await asyncio.sleep(0.02)


async def call(client: Client, method: str, *arguments: Any) -> list[Any]:
    station = client.get_node(node_id("Station"))
    return await station.call_method(client.get_node(node_id(f"Station.{method}")).nodeid, *arguments)


def mode(number: int) -> ua.Variant:
    return ua.Variant(number, ua.VariantType.Int32)


async def test_the_station_is_shown(shared: Station) -> None:
    station = shared
    async with Client(station.endpoint, timeout=30, watchdog_intervall=30) as client:
        await until_shows(client, "Station.State", "running_auto_reject")
        assert await client.get_namespace_index("urn:linegate:status") == 2
        shown = {
            "Station.Name": "press 3",
            "Station.FeedAlive": True,
            "Station.Mode": 2,
            "Station.ModeRequested": 3,
            "Station.Health": 4,
            "Station.HealthText": "the journal's disk is slow",
            "Station.Ready": True,
            "Station.LoopLagMs": 0.25,
            "Recipe.Product": "washer",
            "Model.Precision": "INT8",
            "Counters.Triggers": 10,
            "Counters.Ng": 3,
            "Latency.Total.P99": 7800,
            "Latency.Total.P999": 8800,
            "Latency.Capture.Count": 0,
            "LastParts[0].PartId": "4009",
            "LastParts[0].Verdict": "NG",
            "LastParts[0].Findings": ["scratch 9.00 x 0.20 mm MAJOR: too long"],
            "LastParts[1].Seq": 8,
            "LastParts[2].Seq": 0,
            "LastParts[19].Findings": [],
        }
        assert {name: await read(client, name) for name in shown} == shown
        station.now = snapshot(ng=4, last_parts=[part(10), part(9), part(8)])
        await until_shows(client, "Counters.Ng", 4)
        await until_shows(client, "LastParts[2].Seq", 8)
        assert await read(client, "LastParts[0].Seq") == 10


async def test_every_node_of_the_table_has_its_type_and_is_read_only(shared: Station) -> None:
    station = shared
    async with (
        Client(station.endpoint, timeout=30, watchdog_intervall=30) as client,
        client_of(station.endpoint, "emil") as engineer,
    ):
        # A client that calls itself so must not get in for it.
        with pytest.raises(UaStatusCodeError):
            await _named(station.endpoint, "admin").connect()
        for node in NODES:
            name = node.kind.value.removesuffix("[]")
            held = client.get_node(node_id(node.name))
            assert await held.read_data_type_as_variant_type() == ua.VariantType[name], node.name
            assert await held.read_display_name() == ua.LocalizedText(node.name.rpartition(".")[2])
        for guest in (client, engineer):
            for name, value in (("Station.Mode", mode(3)), ("Station.State", ua.Variant("stopped"))):
                with pytest.raises(UaStatusCodeError):
                    await guest.get_node(node_id(name)).write_value(value)
            with pytest.raises(UaStatusCodeError):
                await guest.nodes.objects.add_folder("ns=2;s=Mine", "2:Mine")
        await until_shows(client, "Station.Mode", 2)


def _named(endpoint: str, name: str) -> Client:
    client = Client(endpoint)
    client.set_user(name)
    return client


async def test_only_changes_are_written_and_reach_a_subscriber(shared: Station) -> None:
    station = shared
    heard: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()

    class Listener:
        def datachange_notification(self, node: Node, val: Any, data: DataChangeNotif) -> None:
            heard.put_nowait((str(node.nodeid.Identifier), val))

    async with Client(station.endpoint, timeout=30, watchdog_intervall=30) as client:
        await until_shows(client, "Counters.Ng", 3)
        subscription: Any = await client.create_subscription(10, Listener())
        names = ("Counters.Ng", "Station.UptimeS")
        await subscription.subscribe_data_change([client.get_node(node_id(name)) for name in names])
        async with asyncio.timeout(TIMEOUT_S):
            first = {await heard.get(), await heard.get()}
            assert first == {("Counters.Ng", 3), ("Station.UptimeS", 12.5)}
            for step in range(1, 4):
                station.now = snapshot(uptime_s=12.5 + step)
                assert await heard.get() == ("Station.UptimeS", 12.5 + step)
        await subscription.delete()
        moved, unmoved = await _value(client, "Station.UptimeS"), await _value(client, "Counters.Ng")
        assert moved.SourceTimestamp is not None
        assert unmoved.SourceTimestamp is not None
        assert moved.SourceTimestamp > unmoved.SourceTimestamp


async def test_methods_reach_the_station_and_its_answer_comes_back(shared: Station) -> None:
    station = shared
    async with client_of(station.endpoint, "emil") as client:
        assert await call(client, "SetMode", mode(3), "", "proven good") == [True, "as you wish"]
        station.answer = (False, "the cause is not gone yet")
        assert await call(client, "ResetFailsafe", "Ada") == [False, "the cause is not gone yet"]
        assert await call(client, "ChangeRecipe", "nut", "Ada") == [False, "the cause is not gone yet"]
        first, second, third = station.commands
        assert first == SetMode(first.id, 3, "emil", "proven good", signed=True)
        assert second == ResetFailsafe(first.id + 1, "emil for Ada")
        assert third == ChangeRecipe(first.id + 2, "nut", "emil for Ada")


async def test_what_cannot_be_granted_never_reaches_the_station(shared: Station) -> None:
    station = shared
    async with client_of(station.endpoint, "emil") as client:
        for number in (0, 4, -1):
            ok, why = await call(client, "SetMode", mode(number), "Ada", "because")
            assert (ok, why) == (False, f"mode {number} is none of 1 SHADOW, 2 ALERT, 3 AUTO_REJECT")
        assert await call(client, "SetMode", mode(1), "Ada", " \t") == [False, "why must not be empty"]
        assert await call(client, "ChangeRecipe", "", "Ada") == [False, "product must not be empty"]
        ok, why = await call(client, "ResetFailsafe", "x" * 501)
        assert not ok
        assert "500" in why
        for arguments, code in (
            ((), StatusCodes.BadArgumentsMissing),
            ((mode(1), "Ada"), StatusCodes.BadArgumentsMissing),
            ((mode(1), "Ada", "why", "more"), StatusCodes.BadTooManyArguments),
            ((True, "Ada", "why"), StatusCodes.BadInvalidArgument),
            (("3", "Ada", "why"), StatusCodes.BadInvalidArgument),
        ):
            with pytest.raises(UaStatusCodeError) as refused:
                await call(client, "SetMode", *arguments)
            assert refused.value.code == code
        assert station.commands == []


async def test_a_station_that_does_not_answer_is_a_refusal_and_its_late_answer_is_nobodys(shared: Station) -> None:
    station = shared
    # The server serves a connection's requests one by one, and a client that probes each second would take the wait for
    # a dead server.
    async with client_of(station.endpoint, "olga", watchdog_intervall=10) as client:
        station.answer = None
        ok, why = await call(client, "SetMode", mode(1), "Ada", "because")
        assert not ok
        assert why == "the station did not answer within 2 s; it may still obey"
        assert station.feed.answer(station.commands[0].id, True, "late")
        station.answer = (False, "in time")
        assert await call(client, "ResetFailsafe", "Ada") == [False, "in time"]


async def test_a_silent_station_is_shown_as_unknown() -> None:
    station = Station()
    station.feeding = False
    async with running(station), Client(station.endpoint, timeout=30, watchdog_intervall=30) as client:
        assert await read(client, "Station.State") == "unknown"
        assert await read(client, "Station.FeedAlive") is False
        assert await quality(client, "Counters.Ng") == StatusCodes.BadWaitingForInitialData
        station.feeding = True
        await until_shows(client, "Station.FeedAlive", True)
        assert await quality(client, "Counters.Ng") == StatusCodes.Good
        station.feeding = False
        await until_shows(client, "Station.FeedAlive", False)
        await until_shows(client, "Station.State", "unknown")
        await until_shows(client, "Station.Ready", False)
        await until_shows(client, "Counters.Ng", 3)
        async with asyncio.timeout(TIMEOUT_S):
            while await quality(client, "LastParts[19].Seq") != StatusCodes.UncertainLastUsableValue:
                await asyncio.sleep(0.02)
        station.feeding = True
        await until_shows(client, "Station.State", "running_auto_reject")
        await until_shows(client, "Station.Ready", True)
        assert await quality(client, "Counters.Ng") == StatusCodes.Good


@posix
async def test_a_killed_status_process_is_back_and_the_station_never_waits() -> None:
    async with running(Station()) as station:
        pid = station.feed.child.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await station.until(lambda: [health for health, _ in station.health[1:]] == [Health.MAINTENANCE, Health.NORMAL])
        assert station.feed.child.pid not in (None, pid)
        assert station.feed.child.restarts == 1
        async with client_of(station.endpoint, "olga") as client:
            await until_shows(client, "Counters.Ng", 3)
            assert await call(client, "SetMode", mode(1), "Ada", "because") == [True, "as you wish"]
        assert station.slowest_offer_s < 0.5


@posix
async def test_a_frozen_status_process_costs_counted_snapshots_and_nothing_else() -> None:
    async with running(Station()) as station:
        child, pid = station.feed.child, station.feed.child.pid
        assert pid is not None
        station.feeding = False
        os.kill(pid, signal.SIGSTOP)
        try:
            before = child.dropped
            wide = snapshot(health_text="x" * 500_000)
            station.now = wide
            async with asyncio.timeout(TIMEOUT_S):
                while child.coalesced < 1000:
                    for _ in range(100):
                        assert station.offer()
                    await asyncio.sleep(0)
            # Answers are never merged: beyond the queue's length they are dropped and counted.
            answers = [station.feed.answer(number, True, "") for number in range(200)]
            assert 0 < sum(answers) < 70
            assert child.dropped - before == answers.count(False)
            assert station.slowest_offer_s < 0.5
        finally:
            os.kill(pid, signal.SIGCONT)
        station.now, station.feeding = snapshot(ng=44), True
        async with Client(station.endpoint, timeout=30, watchdog_intervall=30) as client:
            await until_shows(client, "Counters.Ng", 44)
        assert child.restarts == 0


@posix
async def test_a_frozen_status_process_is_replaced_after_a_while() -> None:
    async with running(Station(silence_s=5.0)) as station:
        pid = station.feed.child.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        await station.until(lambda: len(station.health) == 3)
        assert "silent for" in station.health[1][1]
        async with Client(station.endpoint, timeout=30, watchdog_intervall=30) as client:
            await until_shows(client, "Counters.Ng", 3)


async def test_a_taken_port_is_told_as_the_reason() -> None:
    station = Station()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", int(station.endpoint.rpartition(":")[2])))
        taken.listen()
        task = asyncio.create_task(station.feed.run())
        try:
            await station.until(lambda: bool(station.health))
        finally:
            task.cancel()
            await asyncio.wait([task])
    health, why = station.health[0]
    assert health is Health.MAINTENANCE
    assert f"{station.endpoint} cannot be served" in why


async def test_a_station_that_does_not_listen_yet_grants_nothing_and_hears_all_later() -> None:
    endpoint, health, notes = free_endpoint(), list[tuple[str, Health, str]](), list[Noted]()
    feed = StatusFeed(settings(endpoint))

    def told(source: str, state: Health, why: str) -> None:
        health.append((source, state, why))

    feed.child.start()
    try:
        async with asyncio.timeout(TIMEOUT_S):
            while not reachable(endpoint):
                await asyncio.sleep(0.02)
        async with client_of(endpoint, "emil") as client:
            assert await call(client, "ResetFailsafe", "") == [False, "the station is still starting"]
            feed.connect(lambda _: None, told, notes.append)
            assert health == [("status", Health.NORMAL, "")]
            assert (notes[0].who, notes[0].detail["act"]) == ("emil", "logged in")
    finally:
        await feed.child.stop()


def reachable(endpoint: str) -> bool:
    host, _, port = endpoint.removeprefix("opc.tcp://").partition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


@posix
async def test_the_status_process_does_not_outlive_a_killed_station() -> None:
    endpoint = free_endpoint()
    script = (
        "import asyncio\n"
        "from controller.status.feed import StatusFeed\n"
        "from tests.integration.status_access import settings\n"
        "if __name__ == '__main__':\n"
        f"    told = settings({endpoint!r})\n"
        "    feed = StatusFeed(told)\n"
        "    feed.connect(print, lambda *_: print(feed.child.pid, flush=True))\n"
        "    asyncio.run(feed.run())\n"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, cwd=ROOT, stdout=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONPATH": "."}
    )
    assert parent.stdout is not None
    async with asyncio.timeout(TIMEOUT_S):
        pid = int(await parent.stdout.readline())
        assert not gone(pid)
        async with Client(endpoint) as client:
            assert await read(client, "Station.State") == "unknown"
        parent.kill()
        await parent.wait()
        while not gone(pid):
            await asyncio.sleep(0.02)


def gone(pid: int) -> bool:
    """No such process; one that waits for its parent to notice counts as gone, too."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    state = Path(f"/proc/{pid}/stat")
    return state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z"
