"""The station as a PackML unit: what the type demands is there, and state, mode, speed and counts are the station's."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import pytest
import pytest_asyncio
from asyncua import ua
from asyncua.client.client import Client
from asyncua.common.node import Node
from asyncua.ua.status_codes import StatusCodes
from asyncua.ua.uaerrors import UaStatusCodeError

from controller.status.address_space import node_id
from controller.status.messages import StationSnapshot
from controller.status.packml import PackState, UnitMode
from controller.status.vision.nodesets import PACK_ML
from statemachines.handshake.state import Link
from tests.integration.status_access import client_of
from tests.integration.status_server import Served, served, snapshot
from tests.integration.test_vision_model import Nodeset

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]
_MACHINES = ("BaseStateMachine", "BaseStateMachine.MachineState", "BaseStateMachine.MachineState.ExecuteState")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Served]:
    async with served(tmp_path_factory.mktemp("packml")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def client(server: Served) -> AsyncGenerator[Client]:
    async with client_of(server.endpoint, None, policy=None) as connected:
        yield connected


def unit(name: str = "") -> str:
    return node_id(f"PackML.{name}".rstrip("."))


def running(**changes: Any) -> StationSnapshot:
    values = {"plc_link": Link.IN_SESSION.value, "mode_ceiling": 3, "recipe_product": "washer", "recipe_id": 12}
    return snapshot(**(values | changes))


async def read(client: Client, name: str) -> Any:
    held = await client.get_node(unit(name)).read_data_value(raise_on_bad_status=False)
    assert held.StatusCode is not None
    if held.StatusCode.value != StatusCodes.Good:
        return held.StatusCode.value
    return held.Value.Value if held.Value is not None else None


async def test_every_mandatory_child_of_the_type_is_there(client: Client) -> None:
    nodeset, checked = Nodeset("pack_ml"), 0

    async def compare(declaration: str, node: Node) -> None:
        nonlocal checked
        found = {str((await child.read_browse_name()).Name): child for child in await node.get_children()}
        for source in nodeset.sources(declaration):
            for child in nodeset.children(source):
                name = nodeset.name(child)
                if name in found:
                    kind = nodeset.nodes[child].tag.rpartition("}")[2]
                    assert f"UA{(await found[name].read_node_class()).name}" == kind
                    await compare(child, found[name])
                    checked += 1
                else:
                    assert not nodeset.mandatory(child), f"{node}: {name} is missing"

    await compare("ns=1;i=6", client.get_node(unit()))
    assert checked > 30
    objects = client.get_node(ua.NodeId(ua.Int32(72), ua.Int16(await client.get_namespace_index(PACK_ML))))
    assert client.get_node(unit()) in await objects.get_children()


@pytest.mark.parametrize(
    ("told", "names", "state", "mode"),
    [
        (running(state="failsafe", failsafe=True), ("Aborted", None, None), PackState.ABORTED, UnitMode.MAINTENANCE),
        (running(hold=2), ("Cleared", "Stopped", None), PackState.STOPPED, UnitMode.MAINTENANCE),
        (running(hold=1), ("Cleared", "Stopped", None), PackState.STOPPED, UnitMode.MAINTENANCE),
        (running(state="starting"), ("Cleared", "Stopped", None), PackState.STOPPED, UnitMode.PRODUCE),
        (running(recipe_loading=True), ("Cleared", "Running", "Resetting"), PackState.RESETTING, UnitMode.PRODUCE),
        (running(plc_link=Link.WAITING.value), ("Cleared", "Running", "Idle"), PackState.IDLE, UnitMode.PRODUCE),
        (running(ready=False), ("Cleared", "Running", "Suspended"), PackState.SUSPENDED, UnitMode.PRODUCE),
        (running(), ("Cleared", "Running", "Execute"), PackState.EXECUTE, UnitMode.PRODUCE),
        (
            running(plc_link=Link.WAITING.value, job="77/opcua/1", ready=False),
            ("Cleared", "Running", "Execute"),
            PackState.EXECUTE,
            UnitMode.MANUAL,
        ),
    ],
)
async def test_where_the_station_has_got_to_is_said_in_packmls_words(
    server: Served,
    client: Client,
    told: StationSnapshot,
    names: tuple[str | None, ...],
    state: PackState,
    mode: UnitMode,
) -> None:
    await server.shown.show(told)
    nodeset = Nodeset("pack_ml")
    namespace = await client.get_namespace_index(PACK_ML)
    for machine, name in zip(_MACHINES, names, strict=True):
        current, number = (
            await read(client, f"{machine}.CurrentState"),
            await read(client, f"{machine}.CurrentState.Id"),
        )
        if name is None:
            assert current == number == StatusCodes.BadStateNotActive
            continue
        assert current.Text == name
        assert nodeset.name(number.to_string().replace(f"ns={namespace};", "ns=1;")) == name
        assert number in await read(client, f"{machine}.AvailableStates")
    assert await read(client, "Status.UnitModeCurrent") == mode
    assert await client.get_node(node_id("PackTags.StateCurrent")).read_value() == state
    assert await client.get_node(node_id("PackTags.UnitModeCurrent")).read_value() == mode


async def test_counts_and_speed_are_the_stations(server: Served, client: Client) -> None:
    await server.shown.show(running(uptime_s=0.0))
    await server.shown.show(running(triggers=100, answered=99, ng=7, uptime_s=10.0))
    for name, count in (("ProdProcessedCount", 99), ("ProdDefectiveCount", 7)):
        (counted,) = await read(client, f"Admin.{name}")
        assert (counted.ID, counted.Name, counted.Count, counted.AccCount) == (12, "washer", count, count)
    assert await read(client, "Status.CurMachSpeed") == 600.0
    assert await read(client, "Admin.AccTimeSinceReset") == 10
    assert await read(client, "Status.EquipmentStarved") is False
    await server.shown.show(running(triggers=100, answered=100, ng=7, uptime_s=30.0))
    await server.shown.show(running(triggers=100, answered=100, ng=7, uptime_s=41.0))
    assert await read(client, "Status.EquipmentStarved") is True


async def test_without_news_nothing_is_claimed(server: Served, client: Client) -> None:
    await server.shown.show(running())
    await server.shown.lose_feed()
    assert await read(client, "BaseStateMachine.CurrentState") == StatusCodes.BadNoCommunication
    assert await read(client, "Status.UnitModeCurrent") == UnitMode.INVALID
    assert await client.get_node(node_id("PackTags.StateCurrent")).read_value() == PackState.UNDEFINED
    await server.shown.show(running())
    assert (await read(client, "BaseStateMachine.CurrentState")).Text == "Cleared"


async def test_packmls_own_methods_are_nobodys(server: Served) -> None:
    async with client_of(server.endpoint, "emil") as engineer:
        for name in ("SetUnitMode", "SetProduct", "SetMachSpeed", "SetParameter"):
            with pytest.raises(UaStatusCodeError) as refused:
                await engineer.get_node(unit()).call_method(ua.NodeId.from_string(unit(name)))
            assert refused.value.code == StatusCodes.BadUserAccessDenied
