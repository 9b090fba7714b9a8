"""What clients and odd data can do to a real status process: nothing that outlasts them, nothing without a bound."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from asyncua import ua
from asyncua.client.client import Client
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.status_codes import StatusCodes
from asyncua.ua.uaerrors import UaStatusCodeError

from controller.status.address_space import node_id
from controller.status.feed import StatusFeed
from controller.status.messages import PartSummary, ResetFailsafe, StationSnapshot, StatusCommand
from controller.status.process import StatusLimits
from controller.status.security.limits import QUEUED, SESSION_S
from statemachines.vocabulary import Health
from tests.integration.status_access import client_of, settings

TIMEOUT_S = 120.0
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]
ODD = b"J\xfcrgen".decode("utf-8", "surrogateescape")
"""A name in Latin-1, as the OPC UA library decodes it."""
SHOWN = "J\\udcfcrgen"


def snapshot(triggers: int, part_id: str = "4711") -> StationSnapshot:
    empties: dict[type, Any] = {str: "", int: 0, bool: False, float: 0.0}
    values: dict[str, Any] = {field.name: empties.get(field.type) for field in msgspec.structs.fields(StationSnapshot)}
    last = [PartSummary(part_id, triggers, "OK", "DECIDED", "PASS", "AUTO_REJECT", "", [], 7000)]
    values |= {"state": "running_shadow", "triggers": triggers, "last_parts": last, "latencies": {}, "reports": []}
    return StationSnapshot(**values)


class Station:
    """Feeds a status process and grants every wish."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.endpoint = f"opc.tcp://127.0.0.1:{probe.getsockname()[1]}"
        self.commands: list[StatusCommand] = []
        self.part_id = "4711"
        self.triggers = 0
        self.serving = asyncio.Event()
        # Nobody here is hung, however long a busy computer lets it wait.
        self.feed = StatusFeed(settings(self.endpoint), silence_s=TIMEOUT_S)
        self.feed.connect(self._obey, self._told)

    def _obey(self, command: StatusCommand) -> None:
        self.commands.append(command)
        self.feed.answer(command.id, True, "granted")

    def _told(self, _source: str, health: Health, _why: str) -> None:
        if health is Health.NORMAL:
            self.serving.set()

    async def tell(self) -> None:
        while True:
            self.triggers += 1
            self.feed.offer(snapshot(self.triggers, self.part_id))
            await asyncio.sleep(0.05)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def station() -> AsyncGenerator[Station]:
    """One for all: each test leaves it as it was."""
    station = Station()
    tasks = [asyncio.create_task(station.feed.run()), asyncio.create_task(station.tell())]
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await station.serving.wait()
        yield station
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def until(client: Client, name: str, value: Any) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            held = await client.get_node(node_id(name)).read_data_value(raise_on_bad_status=False)
            if held.Value is not None and held.Value.Value == value:
                return
            await asyncio.sleep(0.02)


async def test_a_part_id_that_is_no_unicode_is_shown_and_the_feed_lives_on(station: Station) -> None:
    async with Client(station.endpoint, timeout=30, watchdog_intervall=30) as client:
        await until(client, "LastParts[0].PartId", "4711")
        station.part_id = ODD
        await until(client, "LastParts[0].PartId", SHOWN)
        station.part_id = "4712"
        await until(client, "LastParts[0].PartId", "4712")
        await until(client, "Station.FeedAlive", True)
        assert station.feed.child.restarts == 0


async def test_a_name_that_is_no_unicode_reaches_the_station_as_plain_text(station: Station) -> None:
    async with client_of(station.endpoint, "olga", watchdog_intervall=10) as client:
        method = client.get_node(node_id("Station.ResetFailsafe")).nodeid
        for who in (ODD, "Ada"):
            answer: Any = await client.get_node(node_id("Station")).call_method(method, who)
            assert answer == [True, "granted"]
        asked = [command.who for command in station.commands if isinstance(command, ResetFailsafe)]
        assert asked == [f"olga for {SHOWN}", "olga for Ada"]


class Listener:
    """Takes notifications; these tests look at what the server agrees to."""

    def datachange_notification(self, node: Any, val: Any, data: Any) -> None:
        del node, val, data


async def test_what_a_client_may_leave_lying_is_bounded(station: Station) -> None:
    async with Client(station.endpoint, timeout=30, watchdog_intervall=30) as client:
        assert client.session_timeout <= SESSION_S * 1000
        subscription: Any = await client.create_subscription(100, Listener())
        for wanted in (0, 1_000_000):
            item = ua.MonitoredItemCreateRequest()
            item.ItemToMonitor.NodeId = ua.NodeId.from_string(node_id("Counters.Triggers"))
            item.ItemToMonitor.AttributeId = AttributeIds.Value
            item.MonitoringMode = ua.MonitoringMode.Reporting
            item.RequestedParameters.ClientHandle = ua.UInt32(wanted + 1)
            item.RequestedParameters.QueueSize = ua.UInt32(wanted)
            request = ua.CreateMonitoredItemsParameters()
            request.SubscriptionId = subscription.subscription_id
            request.ItemsToCreate = [item]
            (result,) = await client.uaclient.create_monitored_items(request)
            assert result.StatusCode.is_good()
            assert result.RevisedQueueSize == QUEUED
        await subscription.delete()


async def test_subscriptions_beyond_the_limit_are_refused_and_deleted_ones_make_room(station: Station) -> None:
    async with Client(station.endpoint, timeout=30, watchdog_intervall=30) as client:
        made: list[Any] = []
        made += [
            await client.create_subscription(10_000, Listener())
            for _ in range(StatusLimits().subscriptions_per_session)
        ]
        with pytest.raises(UaStatusCodeError) as refused:
            await client.create_subscription(10_000, Listener())
        assert refused.value.code == StatusCodes.BadTooManySubscriptions
        await made.pop().delete()
        made.append(await client.create_subscription(10_000, Listener()))
        await until(client, "Station.FeedAlive", True)
        await client.delete_subscriptions([subscription.subscription_id for subscription in made])
