"""Alarms and history over OPC UA: what happens to the station is told, and people do with it what they may."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from asyncua import ua
from asyncua.client.client import Client
from asyncua.common.events import get_filter_from_event_type
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes
from asyncua.ua.uaerrors import UaStatusCodeError

from controller.status.address_space import node_id
from controller.status.alarms.table import ALARMS
from controller.status.history import HISTORIC
from tests.integration.status_access import client_of
from tests.integration.status_server import Served, report, served, snapshot

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]
TIMEOUT_S = 15.0


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Served]:
    async with served(tmp_path_factory.mktemp("alarms"), alarms=True) as running:
        yield running


class Ear:
    """Hears events of conditions."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[Any] = asyncio.Queue()

    def event_notification(self, event: Any) -> None:
        self.heard.put_nowait(event)

    async def next(self, alarm: str) -> Any:
        """The next event of this alarm."""
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                event = await self.heard.get()
                if getattr(event, "ConditionName", None) == alarm:
                    return event


async def listen(client: Client, ear: Ear) -> Any:
    subscription: Any = await client.create_subscription(20, ear)
    await subscription.subscribe_events(client.nodes.server, ObjectIds.OffNormalAlarmType)
    return subscription


def alarm_id(name: str) -> ua.NodeId:
    return ua.NodeId.from_string(node_id(f"Alarms.{name}"))


async def call(client: Client, alarm: ua.NodeId, method: int, *arguments: Any) -> int:
    variants = [a if isinstance(a, ua.Variant) else ua.Variant(a) for a in arguments]
    request = ua.CallMethodRequest(alarm, ua.NodeId(ua.Int32(method)), variants)
    (result,) = await client.uaclient.call([request])
    assert result.StatusCode is not None
    return result.StatusCode.value


def given(event: Any, comment: str) -> tuple[ua.Variant, ua.Variant]:
    return ua.Variant(event.EventId, ua.VariantType.ByteString), ua.Variant(ua.LocalizedText(comment))


def flags(event: Any) -> tuple[bool, bool, bool, bool]:
    names = ("ActiveState/Id", "AckedState/Id", "ConfirmedState/Id")
    active, acked, confirmed = (getattr(event, name) for name in names)
    return active, acked, confirmed, event.Retain


async def test_an_alarm_is_raised_acknowledged_commented_cleared_and_confirmed(server: Served) -> None:
    show, ear = server.shown.show, Ear()
    async with client_of(server.endpoint, "olga") as client:
        subscription = await listen(client, ear)
        await show(snapshot(reports=[report("mode lowered", "olga lowered the mode")]))
        event = await ear.next("ModeLowered")
        assert flags(event) == (True, False, True, True)
        assert (event.Severity, event.Message.Text) == (700, "mode lowered: olga lowered the mode")
        assert event.NodeId == alarm_id("ModeLowered")
        node = alarm_id("ModeLowered")
        assert await call(client, node, ObjectIds.AcknowledgeableConditionType_Confirm, *given(event, "")) == (
            StatusCodes.BadConditionBranchAlreadyConfirmed
        )
        stale = ua.Variant(b"no such event", ua.VariantType.ByteString)
        text = ua.Variant(ua.LocalizedText("seen"))
        acknowledge = ObjectIds.AcknowledgeableConditionType_Acknowledge
        assert await call(client, node, acknowledge, stale, text) == StatusCodes.BadEventIdUnknown
        assert await call(client, node, acknowledge, *given(event, "seen")) == StatusCodes.Good
        event = await ear.next("ModeLowered")
        assert flags(event) == (True, True, False, True)
        assert (event.Comment.Text, event.ClientUserId) == ("seen", "olga")
        assert await call(client, node, acknowledge, *given(event, "")) == StatusCodes.BadConditionBranchAlreadyAcked
        assert (
            await call(client, node, ObjectIds.ConditionType_AddComment, *given(event, "ask emil")) == StatusCodes.Good
        )
        assert (await ear.next("ModeLowered")).Comment.Text == "ask emil"
        await show(snapshot())
        event = await ear.next("ModeLowered")
        assert flags(event) == (False, True, False, True)
        confirm = ObjectIds.AcknowledgeableConditionType_Confirm
        assert await call(client, node, confirm, *given(event, "raised again")) == StatusCodes.Good
        assert flags(await ear.next("ModeLowered")) == (False, True, True, False)
        # The instance's own nodes say the same.
        shown = [
            client.get_node(node_id(f"Alarms.ModeLowered.{p}")) for p in ("ActiveState.Id", "AckedState.Id", "Retain")
        ]
        assert await client.read_values(shown) == [False, True, False]
        await subscription.delete()
    journalled = [(a["act"], a["who"]) for a in server.acts("alarm") if a["alarm"] == "ModeLowered"]
    assert journalled == [
        ("raise", ""),
        ("acknowledge", "olga"),
        ("comment", "olga"),
        ("clear", ""),
        ("confirm", "olga"),
    ]


async def test_a_client_that_comes_later_is_told_by_a_refresh(server: Served) -> None:
    show, ear = server.shown.show, Ear()
    await show(snapshot(failsafe=True, fault_why="inference hung"))
    async with client_of(server.endpoint, None, policy=None) as client:
        subscription = await listen(client, ear)
        refresh = ObjectIds.ConditionType_ConditionRefresh
        kind = ua.NodeId(ua.Int32(ObjectIds.ConditionType))
        number = ua.Variant(subscription.subscription_id, ua.VariantType.UInt32)
        assert await call(client, kind, refresh, number) == StatusCodes.Good
        event = await ear.next("Failsafe")
        assert flags(event) == (True, False, True, True)
        assert event.Message.Text == "inference hung"
        await subscription.delete()
        # To look is all that a client without a name may do.
        code = await call(
            client, alarm_id("Failsafe"), ObjectIds.AcknowledgeableConditionType_Acknowledge, *given(event, "")
        )
        assert code == StatusCodes.BadUserAccessDenied
    await show(snapshot())


async def test_shelving_where_the_table_allows_it_and_no_longer(server: Served) -> None:
    once, timed, un = (
        ObjectIds.ShelvedStateMachineType_OneShotShelve,
        ObjectIds.ShelvedStateMachineType_TimedShelve,
        ObjectIds.ShelvedStateMachineType_Unshelve,
    )
    async with client_of(server.endpoint, "olga") as client:
        state = client.get_node(node_id("Alarms.LateResults.ShelvingState.CurrentState"))
        late, failsafe = alarm_id("LateResults"), alarm_id("Failsafe")
        limit_ms = 240 * 60_000.0
        assert await call(client, failsafe, once) == StatusCodes.BadUserAccessDenied
        assert await call(client, failsafe, timed, 1000.0) == StatusCodes.BadShelvingTimeOutOfRange
        for wrong in (limit_ms + 1, 0.0, float("nan")):
            assert await call(client, late, timed, wrong) == StatusCodes.BadShelvingTimeOutOfRange
        assert await call(client, late, un) == StatusCodes.BadConditionNotShelved
        # Clients call it on the condition or on its shelving state.
        shelving = ua.NodeId.from_string(node_id("Alarms.LateResults.ShelvingState"))
        assert await call(client, shelving, timed, limit_ms) == StatusCodes.Good
        assert (await state.read_value()).Text == "TimedShelved"
        rest = client.get_node(node_id("Alarms.LateResults.ShelvingState.UnshelveTime"))
        first = await rest.read_value()
        assert 0 < first <= limit_ms
        await server.shown.show(snapshot())
        assert await rest.read_value() < first
        assert await client.get_node(node_id("Alarms.LateResults.SuppressedOrShelved")).read_value() is True
        assert await call(client, late, un) == StatusCodes.Good
        assert (await state.read_value()).Text == "Unshelved"
        assert await rest.read_value() == 0.0
        assert await call(client, late, timed, 20.0) == StatusCodes.Good
        async with asyncio.timeout(TIMEOUT_S):
            while (await state.read_value()).Text != "Unshelved":
                await server.shown.show(snapshot())
                await asyncio.sleep(0.01)


async def test_out_of_service_says_nothing_until_it_is_back(server: Served) -> None:
    ear, node = Ear(), alarm_id("ModeCeiling")
    enable, disable = ObjectIds.ConditionType_Enable, ObjectIds.ConditionType_Disable
    async with client_of(server.endpoint, "maria") as client:
        subscription = await listen(client, ear)
        assert await call(client, node, enable) == StatusCodes.BadConditionAlreadyEnabled
        assert await call(client, node, disable) == StatusCodes.Good
        assert flags(await ear.next("ModeCeiling"))[3] is False
        await server.shown.show(snapshot(reports=[report("mode ceiling")]))
        assert await call(client, node, enable) == StatusCodes.Good
        event = await ear.next("ModeCeiling")
        assert flags(event) == (True, False, True, True)
        await subscription.delete()
    await server.shown.show(snapshot())


async def test_every_alarm_of_the_table_is_an_instance_with_its_parts(server: Served) -> None:
    async with client_of(server.endpoint, None, policy=None, watchdog_intervall=20) as client:
        for alarm in ALARMS:
            node = client.get_node(alarm_id(alarm.id))
            assert await node.read_type_definition() == ua.NodeId(ua.Int32(ObjectIds.OffNormalAlarmType))
            names = {(await child.read_browse_name()).Name for child in await node.get_children()}
            assert {"ActiveState", "AckedState", "ConfirmedState", "ShelvingState", "EnabledState", "Retain"} <= names
            severity = client.get_node(node_id(f"Alarms.{alarm.id}.Severity"))
            assert await severity.read_value() == alarm.priority.value
            kind = client.get_node(node_id(f"Alarms.{alarm.id}.EventType"))
            assert await kind.read_value() == await node.read_type_definition()


async def test_no_part_of_an_alarm_is_without_a_value(server: Served) -> None:
    space = server.shown.server.iserver.aspace
    known: Iterable[ua.NodeId] = space.keys()
    parts = [n for n in known if n.NamespaceIndex == 2 and str(n.Identifier).startswith("Alarms.Journal.")]
    held = {n: space.read_attribute_value(n, AttributeIds.Value) for n in parts}
    variables = {
        str(n.Identifier): value for n, value in held.items() if value.StatusCode and value.StatusCode.is_good()
    }
    assert len(variables) > 30
    assert [
        n for n, value in variables.items() if not value.Value or value.Value.VariantType is ua.VariantType.Null
    ] == []


async def test_an_event_of_the_time_before_does_not_acknowledge_what_was_raised_anew(server: Served) -> None:
    show, ear, node = server.shown.show, Ear(), alarm_id("ModeLowered")
    lowered = snapshot(reports=[report("mode lowered")])
    acknowledge = ObjectIds.AcknowledgeableConditionType_Acknowledge
    async with client_of(server.endpoint, "olga") as client:
        subscription = await listen(client, ear)
        await show(lowered)
        before = await ear.next("ModeLowered")
        await show(snapshot())
        cleared = await ear.next("ModeLowered")
        assert flags(cleared)[0] is False
        await show(lowered)
        anew = await ear.next("ModeLowered")
        for old in (before, cleared):
            assert await call(client, node, acknowledge, *given(old, "")) == StatusCodes.BadEventIdUnknown
        assert await call(client, node, acknowledge, *given(anew, "")) == StatusCodes.Good
        await show(snapshot())
        await subscription.delete()


async def test_whoever_asks_for_conditions_is_told_of_alarms(server: Served) -> None:
    ear = Ear()
    async with client_of(server.endpoint, None, policy=None) as client:
        subscription: Any = await client.create_subscription(50, ear)
        alarm_type = client.get_node(ua.NodeId(ua.Int32(ObjectIds.OffNormalAlarmType)))
        wanted = await get_filter_from_event_type([alarm_type])
        literal = ua.LiteralOperand(Value=ua.Variant(ua.NodeId(ua.Int32(ObjectIds.ConditionType))))
        element = ua.ContentFilterElement(FilterOperator=ua.FilterOperator.OfType, FilterOperands=[literal])
        wanted.WhereClause = ua.ContentFilter(Elements=[element])
        await subscription.subscribe_events(evfilter=wanted)
        await server.shown.show(snapshot(failsafe=True, fault_why="inference hung"))
        assert (await ear.next("Failsafe")).Message.Text == "inference hung"
        await server.shown.show(snapshot())
        await subscription.delete()


async def test_past_values_are_read_in_both_directions_and_in_pieces(server: Served) -> None:
    history, start = server.shown.history, datetime(2040, 1, 1, tzinfo=UTC)
    for number in range(3000):
        history.ring.append(start.timestamp() + 10 * number, [float(number)] * len(HISTORIC))
    async with client_of(server.endpoint, None, policy=None) as client:
        node = client.get_node(node_id("Counters.Ng"))
        end = start + timedelta(seconds=10 * 2999)
        values = await node.read_raw_history(start, end)
        assert [value.Value.Value for value in values if value.Value] == list(range(3000))
        assert values[1].SourceTimestamp == start + timedelta(seconds=10)
        newest = await node.read_raw_history(end, start, numvalues=3)
        assert [value.Value.Value for value in newest if value.Value] == [2999, 2998, 2997]
        between = await node.read_raw_history(start + timedelta(seconds=15), start + timedelta(seconds=40))
        assert [value.Value.Value for value in between if value.Value] == [2, 3, 4]
        scores = await client.get_node(node_id("Scores.Newest")).read_raw_history(start, start)
        assert [value.Value for value in scores] == [ua.Variant(0.0, ua.VariantType.Double)]
        with pytest.raises(UaStatusCodeError) as refused:
            await client.get_node(node_id("Station.Name")).read_raw_history(start, end)
        assert refused.value.code == StatusCodes.BadHistoryOperationUnsupported
