"""Who gets in, and what for: every policy, every role on every node and method, and every way around that was found."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from asyncua import ua
from asyncua.client.client import Client
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes
from asyncua.ua.uaerrors import UaError, UaStatusCodeError

from controller.certificates import thumbprint
from controller.status.access import METHODS, STANDARD_METHODS, WRITABLE, Role, permits
from controller.status.address_space import NODES, Kind, StatusNode, node_id
from controller.status.messages import HoldStation, PartBegan, SetMode, StartJob
from controller.status.nodes import variant_type
from controller.status.process import StatusLimits
from controller.status.security import limits, penalty
from controller.status.security.audit import PERIOD_S, PLENTY
from controller.status.security.pki import Pki
from controller.status.security.subscriptions import Unacknowledged
from controller.status.security.users import UsersFile
from controller.status.vision.system import RECIPES, VISION
from statemachines.vocabulary import Hold
from tests.integration.status_access import (
    PEOPLE,
    POLICIES,
    certificate,
    client_of,
)
from tests.integration.status_server import Served, served

NOT_TRUSTED = "urn:linegate:test:stranger"
SESSIONS = limits.KEPT_FOR_PEOPLE + 4
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Served]:
    """This computer's clients may come without encryption, anonymous ones may read. One for all tests that leave it as
    it was: to load the standard address space takes seconds."""
    limit = StatusLimits(sessions=SESSIONS)
    async with served(tmp_path_factory.mktemp("open"), alarms=True, limits=limit) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def closed(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Served]:
    """As a station is by default: encrypted, nobody without a name."""
    async with served(tmp_path_factory.mktemp("closed"), unsecured=False, anonymous="off") as running:
        yield running


def method_id(name: str) -> ua.NodeId:
    return ua.NodeId.from_string(node_id(name))


def mode(number: int) -> ua.Variant:
    return ua.Variant(number, ua.VariantType.Int32)


async def status_of_call(client: Client, object_id: ua.NodeId, method: ua.NodeId, *arguments: Any) -> int:
    """The status code of a call, whatever it returns."""
    request = ua.CallMethodRequest(
        object_id, method, [ua.Variant(a) if not isinstance(a, ua.Variant) else a for a in arguments]
    )
    (result,) = await client.uaclient.call([request])
    assert result.StatusCode is not None
    return result.StatusCode.value


@pytest.mark.parametrize("policy", POLICIES)
async def test_each_policy_signs_and_encrypts(policy: str, closed: Served) -> None:
    async with client_of(closed.endpoint, "oskar", policy=policy) as client:
        assert await client.get_node(node_id("Station.State")).read_value() == "running_shadow"
        offered = {e.SecurityPolicyUri: e for e in await client.get_endpoints()}
        assert set(offered) == {known.URI for known in POLICIES.values()}
        endpoint = offered[POLICIES[policy].URI]
        assert endpoint.SecurityMode == ua.MessageSecurityMode.SignAndEncrypt
        assert [token.TokenType for token in endpoint.UserIdentityTokens or []] == [ua.UserTokenType.UserName]


async def test_without_encryption_there_is_discovery_and_nothing_else(closed: Served) -> None:
    found = await Client(closed.endpoint).connect_and_get_server_endpoints()
    assert {e.SecurityMode for e in found} == {ua.MessageSecurityMode.SignAndEncrypt}
    assert len(found) == 3
    # The library opens the channel although no such endpoint exists.
    with pytest.raises(UaStatusCodeError) as refused:
        await Client(closed.endpoint).connect()
    assert refused.value.code == StatusCodes.BadSecurityModeInsufficient


async def test_a_stranger_is_kept_out_until_a_person_trusts_it(server: Served) -> None:
    pki = Pki(server.settings.pki)
    with pytest.raises((UaError, OSError, asyncio.TimeoutError)):
        async with client_of(server.endpoint, "oskar", uri=NOT_TRUSTED):
            pass
    print_of_it = thumbprint(certificate(NOT_TRUSTED)[0])
    assert [c.thumbprint for c in pki.certificates() if not c.trusted] == [print_of_it]
    assert any(print_of_it in act["what"] for act in server.acts("access"))
    der = pki.find_rejected(print_of_it[:8])
    assert der is not None
    pki.trust(der)
    async with client_of(server.endpoint, "oskar", uri=NOT_TRUSTED) as client:
        await client.get_node(node_id("Station.State")).read_value()
        # Distrusted while it is connected: out within a sweep.
        assert pki.distrust(print_of_it) is not None
        async with asyncio.timeout(10):
            with pytest.raises((UaError, ConnectionError)):
                while True:
                    await client.get_node(node_id("Station.State")).read_value()
                    await asyncio.sleep(0.05)


async def test_a_certificate_of_another_application_does_not_serve(server: Served) -> None:
    with pytest.raises(UaStatusCodeError) as refused:
        async with client_of(server.endpoint, "oskar", says="urn:somebody:else"):
            pass
    assert refused.value.code == StatusCodes.BadCertificateUriInvalid


# --- the permission matrix: generated from the tables, every cell tried from a client --------------------------------

ROLES: dict[str | None, frozenset[Role]] = {
    None: frozenset({Role.OBSERVER}),
    **{n: frozenset({r}) for n, r in PEOPLE.items()},
}
"""None: an anonymous client, which reads as an observer does."""
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "Station.SetMode": (ua.Variant(1, ua.VariantType.Int32), "", "matrix"),
    "Station.ResetFailsafe": ("",),
    "Station.ChangeRecipe": ("washer", ""),
    "Station.StartJob": ("sample", ""),
}
"""Of the methods whose wish reaches the station from any state; the vision system's are called with too few."""


async def test_the_permission_matrix_over_nodes(server: Served) -> None:
    tried = 0
    for name, roles in ROLES.items():
        async with client_of(server.endpoint, name, watchdog_intervall=20) as client:
            read = await attributes(client, AttributeIds.Value)
            levels = await attributes(client, AttributeIds.UserAccessLevel)
            written = await writes(client, AttributeIds.Value, [_same(row) for row in NODES])
            renamed = await writes(
                client, AttributeIds.DisplayName, [ua.Variant(ua.LocalizedText("mine"))] * len(NODES)
            )
            for row, value, level, code, name_code in zip(NODES, read, levels, written, renamed, strict=True):
                least = WRITABLE.get(row.name)
                may = least is not None and name is not None and permits(roles, least)
                assert value.StatusCode is not None
                assert value.StatusCode.is_good(), f"{name} reads {row.name}"
                assert (code == StatusCodes.Good) is may, f"{name} writes {row.name}"
                assert name_code == StatusCodes.BadUserAccessDenied, f"{name} renames {row.name}"
                assert level.Value is not None
                told = bool(level.Value.Value & (1 << ua.AccessLevel.CurrentWrite))
                assert told is may, f"{name} is told of {row.name}"
                tried += 4
    assert tried == 4 * len(NODES) * len(ROLES)
    assert await server.shown.server.get_node(node_id("Station.Mode")).read_value() == 1


def _same(row: StatusNode) -> ua.Variant:
    return ua.Variant(row.kind.empty, variant_type(row.kind), is_array=row.kind is Kind.STRINGS)


async def attributes(client: Client, attribute: AttributeIds) -> list[ua.DataValue]:
    """One attribute of all nodes."""
    params = ua.ReadParameters()
    params.NodesToRead = [ua.ReadValueId(method_id(row.name), ua.IntegerId(attribute)) for row in NODES]
    return await client.uaclient.read(params)


async def writes(client: Client, attribute: AttributeIds, values: list[ua.Variant]) -> list[int]:
    """The codes of writing one attribute of all nodes."""
    wanted = [
        ua.WriteValue(method_id(row.name), ua.IntegerId(attribute), Value=ua.DataValue(value))
        for row, value in zip(NODES, values, strict=True)
    ]
    codes: list[int] = []
    for start in range(0, len(wanted), limits.NODES_PER_WRITE):
        params = ua.WriteParameters()
        params.NodesToWrite = wanted[start : start + limits.NODES_PER_WRITE]
        codes += [code.value for code in await client.uaclient.write(params)]
    return codes


async def test_the_permission_matrix_over_methods(server: Served) -> None:
    alarm = method_id("Alarms.Camera")
    calls: dict[ua.NodeId, tuple[Role, ua.NodeId, tuple[Any, ...]]] = {
        method_id(name): (access.role, method_id(name.rpartition(".")[0]), ARGUMENTS.get(name, ()))
        for name, access in METHODS.items()
    }
    for number, least in STANDARD_METHODS.items():
        calls[ua.NodeId(ua.Int32(number))] = (least, alarm, ())
    for name, roles in ROLES.items():
        async with client_of(server.endpoint, name, watchdog_intervall=10) as client:
            for method, (least, target, arguments) in calls.items():
                may = permits(roles, least)
                asked = len(server.commands)
                code = await status_of_call(client, target, method, *arguments)
                assert (code == StatusCodes.BadUserAccessDenied) is not may, f"{name} calls {method}: {code:#x}"
                assert (len(server.commands) > asked) is (may and bool(arguments)), f"{name} calls {method}"
                told = await client.get_node(method).read_attribute(AttributeIds.UserExecutable)
                assert told.Value is not None
                assert told.Value.Value is may
            # A method that no table names is nobody's, also not one of the standard's own.
            server_object = ua.NodeId(ua.Int32(ObjectIds.Server))
            unnamed = ua.NodeId(ua.Int32(ObjectIds.Server_GetMonitoredItems))
            assert await status_of_call(client, server_object, unnamed, 1) == StatusCodes.BadUserAccessDenied


async def test_the_permission_matrix_over_the_address_space_itself(server: Served) -> None:
    count = len(server.shown.server.iserver.aspace.keys())
    for name in ROLES:
        async with client_of(server.endpoint, name) as client:
            with pytest.raises(UaStatusCodeError) as refused:
                await client.nodes.objects.add_folder("ns=2;s=Mine", "2:Mine")
            assert refused.value.code == StatusCodes.BadUserAccessDenied
            with pytest.raises(UaStatusCodeError):
                await client.delete_nodes([client.get_node(node_id("Station.State"))])
            with pytest.raises(UaStatusCodeError):
                await client.get_node(node_id("Station")).add_reference(client.nodes.server, ObjectIds.Organizes)
            with pytest.raises(UaError):
                await client.register_server(server.shown.server)  # pyright: ignore[reportArgumentType]
    assert len(server.shown.server.iserver.aspace.keys()) == count


async def test_a_wish_bears_the_name_that_logged_in_and_what_only_reads_leaves_no_trace(server: Served) -> None:
    halt, release = f"{VISION}.Halt", f"{RECIPES}.ReleaseRecipeHandle"
    async with client_of(server.endpoint, "olga") as client:
        asked, noted = len(server.commands), len(server.notes)
        code = await status_of_call(client, method_id(RECIPES), method_id(release))
        assert code == StatusCodes.BadArgumentsMissing
        code = await status_of_call(client, method_id(VISION), method_id(halt), mode(7), "broken belt")
        assert code == StatusCodes.Good
        code = await status_of_call(client, method_id("Station"), method_id("Station.StartJob"), "sample", "Ada")
        assert code == StatusCodes.Good
    held, started = server.commands[asked:]
    assert held == HoldStation(held.id, Hold.HALTED, "olga", "broken belt (cause 7)")
    assert started == StartJob(started.id, "sample", "olga for Ada")
    called = [note.detail["what"] for note in server.notes[noted:] if note.detail.get("act") == "called"]
    assert called == [method_id(halt).to_string(), method_id("Station.StartJob").to_string()]


# --- the mode -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "policy", "signed"),
    [
        ("emil", "Basic256Sha256", True),
        ("emil", None, False),
        ("olga", "Basic256Sha256", False),
        ("maria", "Basic256Sha256", False),
    ],
)
async def test_a_signature_is_an_engineers_name_over_an_encrypted_session(
    name: str, policy: str | None, signed: bool, server: Served
) -> None:
    async with (
        client_of(server.endpoint, name, policy=policy, watchdog_intervall=10) as client,
    ):
        code = await status_of_call(client, method_id("Station"), method_id("Station.SetMode"), mode(3), "", "proven")
        assert code == StatusCodes.Good
        command = server.commands[-1]
        assert command == SetMode(command.id, 3, name, "proven", signed)


# --- logging in -----------------------------------------------------------------------------------------------------


async def wrong(server: Served, name: str) -> float:
    """Seconds until a wrong password is refused."""
    began = time.monotonic()
    with pytest.raises(UaStatusCodeError) as refused:
        async with client_of(server.endpoint, name, password="wrong password"):
            pass
    assert refused.value.code == StatusCodes.BadUserAccessDenied
    return time.monotonic() - began


async def test_a_wrong_password_is_answered_late_and_audited(server: Served) -> None:
    for name in ("oskar", "nobody"):
        assert await wrong(server, name) >= penalty.FIRST_S
        assert refusals(server).count(name) == 1


async def test_while_a_wrong_password_waits_for_its_answer_the_right_one_is_not_looked_at(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Long enough for the slowest computer to come in between.
    monkeypatch.setattr(penalty, "FIRST_S", penalty.LONGEST_S)
    waits = asyncio.ensure_future(wrong(server, "maria"))
    try:
        async with asyncio.timeout(20):
            while "maria" not in refusals(server):
                await asyncio.sleep(0.01)
        with pytest.raises(UaStatusCodeError) as refused:
            async with client_of(server.endpoint, "maria"):
                pass
        assert refused.value.code == StatusCodes.BadUserAccessDenied
        assert not waits.done()
        assert refusals(server).count("maria") == 2
    finally:
        waits.cancel()
        await asyncio.wait([waits])
        monkeypatch.undo()
    # Its wait is over now, or will be in a second.
    async with asyncio.timeout(20):
        while True:
            with suppress(UaStatusCodeError):
                async with client_of(server.endpoint, "maria") as client:
                    await client.get_node(node_id("Station.State")).read_value()
                    return


def refusals(server: Served) -> list[str]:
    return [act["who"] for act in server.acts("access") if act["act"] == "log-in refused"]


async def test_a_password_in_the_open_is_refused(server: Served) -> None:
    client = Client(server.endpoint)
    client.set_user("emil")
    client.set_password("correct horse 42")
    # As a client would do that does not care what the server asks for.
    client._encrypt_password = lambda password, policy: (password.encode(), "")  # type: ignore[method-assign]
    with pytest.raises(UaStatusCodeError) as refused:
        await client.connect()
    assert refused.value.code == StatusCodes.BadIdentityTokenRejected


async def test_anonymous_clients_can_be_kept_out(closed: Served) -> None:
    with pytest.raises(UaStatusCodeError) as refused:
        async with client_of(closed.endpoint):
            pass
    assert refused.value.code == StatusCodes.BadIdentityTokenRejected


async def test_a_removed_account_ends_its_sessions(server: Served) -> None:
    file = UsersFile(server.settings.users)
    file.put(replace(file.accounts()["emil"], name="guest.engineer"))
    async with client_of(server.endpoint, "guest.engineer") as client:
        assert file.remove("guest.engineer")
        async with asyncio.timeout(10):
            with pytest.raises((UaError, ConnectionError)):
                while True:
                    await client.get_node(node_id("Station.State")).read_value()
                    await asyncio.sleep(0.05)


async def test_engineers_hear_of_refusals_and_observers_do_not(server: Served) -> None:
    heard: dict[str, asyncio.Queue[Any]] = {"emil": asyncio.Queue(), "oskar": asyncio.Queue()}

    class Listener:
        def __init__(self, name: str) -> None:
            self._name = name

        def event_notification(self, event: Any) -> None:
            heard[self._name].put_nowait(event)

    async with (
        client_of(server.endpoint, "emil") as engineer,
        client_of(server.endpoint, "oskar", watchdog_intervall=10) as observer,
    ):
        for name, client in (("emil", engineer), ("oskar", observer)):
            subscription: Any = await client.create_subscription(20, Listener(name))
            await subscription.subscribe_events(client.nodes.server, ObjectIds.AuditEventType)
        code = await status_of_call(observer, method_id("Station"), method_id("Station.ResetFailsafe"), "")
        assert code == StatusCodes.BadUserAccessDenied
        async with asyncio.timeout(10):
            event = await heard["emil"].get()
        assert event.EventType == ua.NodeId(ua.Int32(ObjectIds.AuditUpdateMethodEventType))
        assert (event.ClientUserId, event.Status) == ("oskar", False)
        await observer.get_node(node_id("Station.State")).read_value()
        assert heard["oskar"].empty()


async def test_a_call_that_fails_is_audited_as_failed_and_not_without_end(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit = server.shown.server.iserver.audit
    # A period of its own: the tests before this one may have used up the plenty of theirs.
    period = [time.monotonic() + 100 * PERIOD_S]
    monkeypatch.setattr(audit, "_clock", lambda: period[0])
    before = len(server.acts("access"))
    async with client_of(server.endpoint, "olga") as client:
        heard: asyncio.Queue[Any] = asyncio.Queue()
        async with client_of(server.endpoint, "emil") as engineer:
            ear = Ear()
            ear.heard = heard
            subscription: Any = await engineer.create_subscription(20, ear)
            await subscription.subscribe_events(engineer.nodes.server, ObjectIds.AuditUpdateMethodEventType)
            reset = method_id("Station.ResetFailsafe")
            for _ in range(3 * PLENTY):
                assert await status_of_call(client, method_id("Station"), reset) == StatusCodes.BadArgumentsMissing
            async with asyncio.timeout(10):
                event = await heard.get()
            assert (event.ClientUserId, event.Status, event.MethodId) == ("olga", False, reset)
            assert "BadArgumentsMissing" in event.Message.Text
            await subscription.delete()
        period[0] += PERIOD_S
        assert await status_of_call(client, method_id("Station"), reset) == StatusCodes.BadArgumentsMissing
    failed = [act for act in server.acts("access")[before:] if act["act"] == "call failed"]
    assert len(failed) == PLENTY + 1
    assert failed[-1]["withheld"] == str(2 * PLENTY)


async def test_a_method_belongs_to_its_object(server: Served) -> None:
    async with client_of(server.endpoint, "olga") as client:
        reset = method_id("Station.ResetFailsafe")
        assert await status_of_call(client, method_id("Linegate"), reset, "") == StatusCodes.BadMethodInvalid
        assert await status_of_call(client, method_id("Nowhere"), reset, "") == StatusCodes.BadNodeIdUnknown
        assert await status_of_call(client, method_id("Station"), reset, "") == StatusCodes.Good


async def test_control_characters_do_not_reach_journal_and_log(server: Served) -> None:
    async with client_of(server.endpoint, "emil") as client:
        wish = mode(1), "Ada\r\nroot: all is well", "line\none\x1b[2J\u2028two"
        assert await status_of_call(client, method_id("Station"), method_id("Station.SetMode"), *wish) == 0
    asked = server.commands[-1]
    assert isinstance(asked, SetMode)
    assert (asked.who, asked.why) == ("emil for Ada  root: all is well", "line one [2J two")


async def test_all_clients_together_hold_no_more_items_than_there_is_room_for(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def items(subscription: Any, count: int, attribute: AttributeIds = AttributeIds.Value) -> Any:
        request = ua.CreateMonitoredItemsParameters(SubscriptionId=subscription.subscription_id)
        for _ in range(count):
            wanted = ua.MonitoredItemCreateRequest()
            node = (
                method_id("Station.State") if attribute is AttributeIds.Value else ua.NodeId(ua.Int32(ObjectIds.Server))
            )
            wanted.ItemToMonitor = ua.ReadValueId(node, ua.IntegerId(attribute))
            if attribute is AttributeIds.EventNotifier:
                wanted.RequestedParameters.Filter = ua.EventFilter()
            request.ItemsToCreate.append(wanted)
        return request

    monkeypatch.setattr(limits, "ITEMS", 20)
    async with (
        client_of(server.endpoint, "oskar") as named,
        client_of(server.endpoint, None, policy=None) as guest,
    ):
        ours: Any = await named.create_subscription(1000, Deaf())
        theirs: Any = await guest.create_subscription(1000, Deaf())
        assert len(await guest.uaclient.create_monitored_items(items(theirs, 10))) == 10
        with pytest.raises(UaStatusCodeError) as refused:
            await guest.uaclient.create_monitored_items(items(theirs, 1))
        assert refused.value.code == StatusCodes.BadTooManyMonitoredItems
        assert len(await named.uaclient.create_monitored_items(items(ours, 10))) == 10
        with pytest.raises(UaStatusCodeError):
            await named.uaclient.create_monitored_items(items(ours, 1))
        await theirs.delete()
        events = items(ours, limits.EVENT_ITEMS_PER_SESSION + 1, AttributeIds.EventNotifier)
        monkeypatch.setattr(limits, "ITEMS", 1000)
        with pytest.raises(UaStatusCodeError) as refused:
            await named.uaclient.create_monitored_items(events)
        assert refused.value.code == StatusCodes.BadTooManyMonitoredItems
        events.ItemsToCreate.pop()
        assert len(await named.uaclient.create_monitored_items(events)) == limits.EVENT_ITEMS_PER_SESSION
        await ours.delete()


async def test_what_is_kept_until_it_is_acknowledged_is_counted_in_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    def message(changes: int) -> ua.PublishResult:
        notification = ua.DataChangeNotification(MonitoredItems=[ua.MonitoredItemNotification()] * changes)
        return ua.PublishResult(NotificationMessage=ua.NotificationMessage(NotificationData=[notification]))

    monkeypatch.setattr(limits, "UNACKNOWLEDGED", 10)
    kept = Unacknowledged()
    for number, changes in enumerate((4, 4, 2)):
        kept[number] = message(changes)
    assert list(kept) == [0, 1, 2]
    kept[3] = message(1)
    assert list(kept) == [1, 2, 3]
    kept.pop(1)
    kept[4] = message(7)
    assert list(kept) == [2, 3, 4]
    kept[5] = message(50)
    assert list(kept) == [5]
    assert kept.pop(99, None) is None


# --- what the library would let through -------------------------------------------------------------------------------


async def test_a_session_is_nobodys_before_it_is_activated_and_after_it_was_closed(server: Served) -> None:
    client = Client(server.endpoint)
    await client.connect_socket()
    try:
        await client.send_hello()
        await client.open_secure_channel()
        await client.create_session()
        state = client.get_node(node_id("Station.State"))
        with pytest.raises(UaStatusCodeError) as refused:
            await state.read_value()
        assert refused.value.code == StatusCodes.BadSessionNotActivated
        await client.activate_session()
        assert await state.read_value() == "running_shadow"
        await client.uaclient.close_session(True)
        with pytest.raises(UaStatusCodeError):
            await state.read_value()
    finally:
        client.disconnect_socket()


async def test_a_session_of_somebody_else_cannot_be_taken(server: Served) -> None:
    async with client_of(server.endpoint, "emil") as engineer:
        token = engineer.uaclient.protocol.authentication_token  # pyright: ignore[reportAttributeAccessIssue,reportOptionalMemberAccess]
        assert isinstance(token.Identifier, bytes)
        assert len(token.Identifier) == 32
        thief = Client(server.endpoint)
        await thief.connect_socket()
        try:
            await thief.send_hello()
            await thief.open_secure_channel()
            thief.uaclient.protocol.authentication_token = token  # pyright: ignore[reportAttributeAccessIssue,reportOptionalMemberAccess]
            with pytest.raises(UaStatusCodeError) as refused:
                await thief.activate_session()
            assert refused.value.code == StatusCodes.BadSessionIdInvalid
        finally:
            thief.disconnect_socket()
        assert await engineer.get_node(node_id("Station.State")).read_value() == "running_shadow"


class Deaf:
    def datachange_notification(self, node: Any, val: Any, data: Any) -> None:
        del node, val, data


async def test_a_subscription_of_somebody_else_cannot_be_touched(server: Served) -> None:
    async with (
        client_of(server.endpoint, "emil") as engineer,
        client_of(server.endpoint, None, policy=None) as guest,
    ):
        theirs: Any = await engineer.create_subscription(1000, Deaf())
        number = theirs.subscription_id
        (code,) = await guest.uaclient.delete_subscriptions([number])
        assert code.value == StatusCodes.BadSubscriptionIdInvalid
        request = ua.CreateMonitoredItemsParameters()
        request.SubscriptionId = number
        with pytest.raises(UaStatusCodeError):
            await guest.uaclient.create_monitored_items(request)
        refresh = ua.NodeId(ua.Int32(ObjectIds.ConditionType_ConditionRefresh))
        kind = ua.NodeId(ua.Int32(ObjectIds.ConditionType))
        assert await status_of_call(guest, kind, refresh, ua.Variant(number, ua.VariantType.UInt32)) != StatusCodes.Good
        assert number in server.shown.server.iserver.subscription_service.subscriptions


async def test_intervals_and_queues_and_filters_are_brought_into_bounds(server: Served) -> None:
    async with client_of(server.endpoint, None, policy=None) as client:
        for asked in (0.0, 1e-6, -5.0, float("nan"), float("inf"), 1e300):
            params = ua.CreateSubscriptionParameters(asked, ua.UInt32(100), ua.UInt32(10), PublishingEnabled=True)
            subscription: Any = await client.create_subscription(params, Deaf())
            held = server.shown.server.iserver.subscription_service.subscriptions[subscription.subscription_id]
            assert limits.FASTEST_MS <= held.data.RevisedPublishingInterval <= limits.SLOWEST_MS
            await subscription.delete()
        subscription = await client.create_subscription(100, Deaf())
        handle = await subscription.subscribe_data_change(client.get_node(node_id("Station.State")))
        await subscription.modify_monitored_item(handle, 100, 1_000_000)
        service = server.shown.server.iserver.subscription_service.subscriptions[subscription.subscription_id]
        (item,) = service.monitored_item_srv._monitored_items.values()  # pyright: ignore[reportPrivateUsage]
        assert item.queue_size == limits.QUEUED
        # A dead band on a text, and an event's filter on a value, would raise within the server's own writes.
        band = ua.DataChangeFilter(DeadbandType=ua.UInt32(ua.DeadbandType.Absolute), DeadbandValue=1.0)
        for wrong in (band, ua.EventFilter()):
            request = ua.CreateMonitoredItemsParameters()
            request.SubscriptionId = subscription.subscription_id
            wanted = ua.MonitoredItemCreateRequest()
            wanted.ItemToMonitor = ua.ReadValueId(method_id("Station.State"), ua.IntegerId(AttributeIds.Value))
            wanted.RequestedParameters.Filter = wrong
            request.ItemsToCreate = [wanted]
            (result,) = await client.uaclient.create_monitored_items(request)
            assert result.StatusCode is not None
            assert result.StatusCode.value == StatusCodes.BadFilterNotAllowed


class Ear:
    def __init__(self) -> None:
        self.heard: asyncio.Queue[Any] = asyncio.Queue()

    def event_notification(self, event: Any) -> None:
        self.heard.put_nowait(event)


async def test_an_event_is_sent_when_it_happens_and_once_in_an_interval(server: Served) -> None:
    async with client_of(server.endpoint, None, policy=None) as client:
        ear, subscriptions = Ear(), server.shown.server.iserver.subscription_service.subscriptions
        subscription: Any = await client.create_subscription(limits.SLOWEST_MS, ear)
        await subscription.subscribe_events()
        held = subscriptions[subscription.subscription_id]
        for number in range(3):
            await server.shown.take(PartBegan(f"77/plc/{number}", str(number), 0))
        async with asyncio.timeout(20):
            assert (await ear.heard.get()).Message.Text == "part 0"
        (waiting,) = held._triggered_events.values()  # pyright: ignore[reportPrivateUsage]
        assert len(waiting) == 2
        await subscription.delete()


async def test_sessions_are_limited_and_people_find_a_place(server: Served) -> None:
    guests: list[Client] = []
    try:
        for _ in range(SESSIONS - limits.KEPT_FOR_PEOPLE):
            guests.append(Client(server.endpoint))
            await guests[-1].connect()
        with pytest.raises(UaStatusCodeError) as refused:
            await Client(server.endpoint).connect()
        assert refused.value.code == StatusCodes.BadTooManySessions
        async with client_of(server.endpoint, "emil") as engineer:
            await engineer.get_node(node_id("Station.State")).read_value()
    finally:
        for guest in guests:
            await guest.disconnect()


async def test_the_own_key_and_the_users_file_are_their_owners_alone(tmp_path: Path) -> None:
    pki = Pki(tmp_path / "pki")
    certificate_file, key = pki.own("urn:linegate:x", "x")
    assert key.stat().st_mode & 0o077 == 0
    before = certificate_file.read_bytes()
    assert pki.own("urn:linegate:x", "x")[0].read_bytes() == before
    assert pki.refusal(before, datetime.now(UTC)) is not None
    assert os.name != "posix" or (tmp_path / "pki").stat().st_mode & 0o077 == 0
