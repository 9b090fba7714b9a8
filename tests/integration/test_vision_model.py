"""The vision system as a client sees it, held against the official nodeset: types, states, transitions, methods."""

from __future__ import annotations

import asyncio
import shutil
import xml.etree.ElementTree as ET
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from asyncua import ua
from asyncua.client.client import Client
from asyncua.common.node import Node
from asyncua.ua.attribute_ids import AttributeIds

from controller.status.vision import cache
from controller.status.vision.machine import TRANSITIONS, State
from controller.status.vision.nodesets import MACHINE_VISION, PACK_ML, importable, read_nodeset
from controller.status.vision.system import AUTOMATIC, NAME, RECIPES, VISION
from statemachines.handshake.state import Link
from tests.integration import status_access
from tests.integration.status_cache import model_cache
from tests.integration.vision_station import TIMEOUT_S, VisionStation, serving

SCHEMA = {
    "u": "http://opcfoundation.org/UA/2011/03/UANodeSet.xsd",
    "t": "http://opcfoundation.org/UA/2008/02/Types.xsd",
}
OURS = "ns=2;s="
NOT_OURS = {141}
"""Transitions of operation modes that a vendor adds (OPC 40100-1, 8.3.9)."""


class Nodeset:
    """The official XML, read by nothing of the product."""

    def __init__(self, name: str = "machine_vision") -> None:
        root = ET.fromstring(read_nodeset(name))
        self.aliases = {a.get("Alias", ""): a.text or "" for a in root.iterfind("u:Aliases/u:Alias", SCHEMA)}
        self.nodes = {n.get("NodeId", ""): n for n in root if n.get("NodeId")}

        self.below: dict[str, set[str]] = {}
        for node in self.nodes:
            for kind in ("HasComponent", "HasProperty"):
                self.below.setdefault(node, set()).update(self.references(node, kind))
                for above in self.references(node, kind, forward=False):
                    self.below.setdefault(above, set()).add(node)

    def references(self, node: str, kind: str, *, forward: bool = True) -> list[str]:
        found = self.nodes[node].findall("u:References/u:Reference", SCHEMA) if node in self.nodes else []
        wanted = "false" if not forward else "true"
        return [r.text or "" for r in found if r.get("ReferenceType") == kind and r.get("IsForward", "true") == wanted]

    def children(self, node: str) -> list[str]:
        return sorted(self.below.get(node, ()))

    def name(self, node: str) -> str:
        return self.nodes[node].get("BrowseName", "").rpartition(":")[2]

    def mandatory(self, node: str) -> bool:
        return "i=78" in self.references(node, "HasModellingRule")

    def sources(self, node: str) -> list[str]:
        """A declaration, its type and the types above."""
        found, ahead = [node], self.references(node, "HasTypeDefinition")
        while ahead and ahead[0] in self.nodes:
            found.append(ahead[0])
            ahead = self.references(ahead[0], "HasSubtype", forward=False)
        return found

    def number_of(self, node: str, name: str) -> int | None:
        for child in self.children(node):
            if self.name(child) == name:
                value = self.nodes[child].find("u:Value", SCHEMA)
                return int("".join(value.itertext())) if value is not None else None
        return None


@asynccontextmanager
async def client_of(station: VisionStation) -> AsyncGenerator[Client]:
    """An engineer, over an encrypted session."""
    async with status_access.client_of(station.endpoint, "emil", timeout=TIMEOUT_S) as client:
        # Reads the same classes as `load_data_type_definitions`, which sends some hundred requests at once for them.
        assert await cache.load([model_cache()]) is not None
        yield client


class Watch:
    """Collects events."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self._news = asyncio.Event()

    def event_notification(self, event: Any) -> None:
        self.seen.append(event)
        self._news.set()

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            while not condition():
                self._news.clear()
                await self._news.wait()


EVENT_TYPES = (1013, 1018, 1019, 1020, 1022, 1023, 1024, 1025)


async def watched(client: Client) -> Watch:
    watch = Watch()
    subscription = await client.create_subscription(20, watch)
    namespace = await client.get_namespace_index(MACHINE_VISION)
    types = [client.get_node(ua.NodeId(ua.Int32(number), ua.Int16(namespace))) for number in EVENT_TYPES]
    await subscription.subscribe_events(client.get_node(OURS + NAME), types)
    return watch


def transitions(watch: Watch) -> list[str]:
    return [e.Transition.Text for e in watch.seen if e.EventType.Identifier == 1018]


async def call(client: Client, method: str, *arguments: Any) -> Any:
    parent = client.get_node(OURS + method.rpartition(".")[0])
    return await parent.call_method(client.get_node(OURS + method).nodeid, *arguments)


def why() -> tuple[ua.Variant, ua.Variant]:
    return ua.Variant(7, ua.VariantType.Int32), ua.Variant("test", ua.VariantType.String)


def job_arguments(product: str = "") -> list[Any]:
    made: Any = ua
    return [
        made.MeasIdDataType(Id="m1"),
        made.PartIdDataType(Id="sample"),
        made.RecipeIdExternalDataType(Id=product),
        made.ProductIdDataType(),
        ua.Variant([], ua.VariantType.Variant, is_array=True),
    ]


async def test_the_tables_are_those_of_the_official_nodeset() -> None:
    nodeset = Nodeset()
    numbers: dict[int, str] = {}
    states: dict[int, str] = {}
    for machine in ("ns=1;i=1017", "ns=1;i=1021"):
        for child in nodeset.children(machine):
            number = nodeset.number_of(child, "TransitionNumber")
            if number is not None:
                numbers[number] = nodeset.name(child)
            if (state := nodeset.number_of(child, "StateNumber")) is not None:
                states[state] = nodeset.name(child)
    assert numbers == TRANSITIONS
    assert states == {state.value: state.browse_name for state in State}


def test_what_is_left_out_of_the_nodesets_is_for_design_tools_only() -> None:
    before, after = ET.fromstring(read_nodeset("di")), ET.fromstring(importable(read_nodeset("di")))
    gone = {n.get("NodeId") for n in before} - {n.get("NodeId") for n in after}
    assert len(gone) == 9
    assert all(n.get("DesignToolOnly") == "true" for n in before if n.get("NodeId") in gone)


@pytest.mark.timeout(150)
async def test_every_mandatory_child_is_there_with_its_type_rank_and_access() -> None:
    nodeset, checked = Nodeset(), 0
    async with serving(VisionStation()) as station, client_of(station) as client:
        namespace = await client.get_namespace_index(MACHINE_VISION)
        uris = await client.get_namespace_array()
        assert PACK_ML in uris

        async def compare(declaration: str, node: Node) -> None:
            nonlocal checked
            found = {str((await child.read_browse_name()).Name): child for child in await node.get_children()}
            for source in nodeset.sources(declaration):
                for child in nodeset.children(source):
                    name = nodeset.name(child)
                    if name not in found:
                        assert not nodeset.mandatory(child) or name.startswith("<"), f"{node}: {name} is missing"
                        continue
                    await same(child, found[name])
                    await compare(child, found[name])
                    checked += 1

        async def same(declaration: str, node: Node) -> None:
            element = nodeset.nodes[declaration]
            assert f"UA{(await node.read_node_class()).name}" == element.tag.rpartition("}")[2]
            if not element.tag.endswith("UAVariable"):
                return
            data_type, rank = element.get("DataType", "i=24"), int(element.get("ValueRank", "-1"))
            if "=" in data_type or data_type in nodeset.aliases:
                alias = nodeset.aliases.get(data_type, data_type)
                wanted = ua.NodeId.from_string(alias.replace("ns=1;", f"ns={namespace};"))
                assert await node.read_data_type() == wanted, f"{node}"
            assert (await node.read_attribute(AttributeIds.ValueRank)).Value.Value == rank, f"{node}"  # type: ignore[union-attr]
            access = await node.get_access_level()
            assert ua.AccessLevel.CurrentRead in access
            assert ua.AccessLevel.CurrentWrite not in access, "what a station shows is no client's to write"

        await compare("ns=1;i=1003", client.get_node(OURS + NAME))
        assert checked > 100


@pytest.fixture
def recipes(tmp_path: Path) -> Path:
    shutil.copytree(Path(__file__).parents[2] / "controller" / "sim" / "station" / "recipes", tmp_path / "recipes")
    return tmp_path / "recipes"


@pytest.mark.timeout(150)
async def test_every_transition_occurs_and_no_illegal_one(recipes: Path) -> None:
    """The station walks through its life; the client sees each step as an event with the standard's states."""
    async with serving(VisionStation(recipes)) as station, client_of(station) as client:
        watch = await watched(client)

        async def step(wanted: list[str], **changes: Any) -> None:
            count = len(transitions(watch))
            if changes:
                station.set(**changes)
            await watch.until(lambda: len(transitions(watch)) >= count + len(wanted))
            assert transitions(watch)[count:] == wanted

        async def does(wanted: list[str], method: str, *arguments: Any) -> None:
            count = len(transitions(watch))
            result = await call(client, method, *arguments)
            error = result[-1] if isinstance(result, list) else result
            assert error == 0
            await watch.until(lambda: len(transitions(watch)) >= count + len(wanted))
            assert transitions(watch)[count:] == wanted

        job = job_arguments()
        await until_state(client, State.READY)
        in_session, idle = {"plc_link": Link.IN_SESSION.value}, {"plc_link": Link.WAITING.value}
        await step(["ReadyToContinuousExecutionAuto"], **in_session)
        await step(["ContinuousExecutionToReadyAuto"], **idle)
        await step(["ReadyToInitializedAuto"], recipe_loading=True)
        await step(["OperationalToPreoperationalAuto"], mode_ceiling=0)
        await step(["PreoperationalToInitializedAuto"], mode_ceiling=3)
        await step(["InitializedToReadyAuto"], recipe_loading=False)
        await step(["OperationalToErrorAuto"], failsafe=True)
        await step(["ErrorToPreoperationalAuto"], reset_granted=True)
        await step(["PreoperationalToErrorAuto"], reset_granted=False)
        await does(["ErrorToPreoperational"], f"{VISION}.Reset", *why())
        await step(["PreoperationalToOperationalAuto"], failsafe=False, reset_granted=False)
        await step(["OperationalToErrorAuto"], failsafe=True)
        await step(["ErrorToOperationalAuto"], failsafe=False)
        await does(["OperationalToHalted"], f"{VISION}.Halt", *why())
        await does(["HaltedToPreoperational"], f"{VISION}.Reset", *why())
        await does(["PreoperationalToHalted"], f"{VISION}.Halt", *why())
        await step(["HaltedToPreoperationalAuto", "PreoperationalToErrorAuto"], failsafe=True)
        await does(["ErrorToHalted"], f"{VISION}.Halt", *why())
        await does(["HaltedToPreoperational", "PreoperationalToErrorAuto"], f"{VISION}.Reset", *why())
        await step(["ErrorToPreoperationalAuto"], failsafe=False)
        await does(["PreoperationalToInitialized", "InitializedToReadyAuto"], f"{VISION}.SelectModeAutomatic")
        await does(["OperationalToPreoperational"], f"{VISION}.Reset", *why())
        await does(["PreoperationalToInitialized", "InitializedToReadyAuto"], f"{VISION}.SelectModeAutomatic")
        await does(["ReadyToSingleExecution"], f"{AUTOMATIC}.StartSingleJob", *job)
        count = len(transitions(watch))
        station.end_job()
        await watch.until(lambda: len(transitions(watch)) > count)
        await does(["ReadyToSingleExecution"], f"{AUTOMATIC}.StartSingleJob", *job)
        assert await call(client, f"{AUTOMATIC}.Stop", *why()) == 0
        station.end_job()
        await watch.until(lambda: "SingleExecutionToReadyStop" in transitions(watch))
        await does(["ReadyToSingleExecution"], f"{AUTOMATIC}.StartSingleJob", *job)
        await does(["SingleExecutionToReadyAbort"], f"{AUTOMATIC}.Abort", *why())
        for end in ("Stop", "Abort"):
            await does(["ReadyToContinuousExecution"], f"{AUTOMATIC}.StartContinuous", *job)
            await does([f"ContinuousExecutionToReady{end}"], f"{AUTOMATIC}.{end}", *why())
        answer = await call(client, "Station.StartJob", "x", "Ada")
        assert answer[0]
        await watch.until(lambda: "ReadyToSingleExecutionAuto" in transitions(watch))
        station.end_job()
        await watch.until(lambda: transitions(watch)[-1] == "SingleExecutionToReadyAuto")
        await changes_recipe(client, station, watch, "Recipe")
        await changes_recipe(client, station, watch, "Product")
        await step(["OperationalToHaltedAuto"], state="stopped")
        await step(["HaltedToPreoperationalAuto"], state="starting")
        await step(["PreoperationalToHaltedAuto"], state="stopped")
        await step(["HaltedToPreoperationalAuto", "PreoperationalToErrorAuto"], state="failsafe", failsafe=True)
        await step(["ErrorToHaltedAuto"], state="stopped")

        events = [e for e in watch.seen if e.EventType.Identifier == 1018]
        names = {name: number for number, name in TRANSITIONS.items()}
        occurred = {names[event.Transition.Text] for event in events}
        assert occurred == set(TRANSITIONS) - NOT_OURS
        states = {event.FromState.Text for event in events} | {event.ToState.Text for event in events}
        assert states == {state.browse_name for state in State}
        assert {e.EventType.Identifier for e in watch.seen} == set(EVENT_TYPES)


async def changes_recipe(client: Client, station: VisionStation, watch: Watch, kind: str) -> None:
    count = len(transitions(watch))
    made: Any = ua
    arguments: list[Any] = [made.ProductIdDataType(Id="washer")]
    if kind == "Recipe":
        arguments = [made.RecipeIdExternalDataType(Id="washer"), made.RecipeIdInternalDataType()]
    result = await call(client, f"{RECIPES}.Prepare{kind}", *arguments)
    assert result[-1] == 0
    await watch.until(lambda: len(transitions(watch)) > count)
    station.loaded("washer")
    await watch.until(lambda: len(transitions(watch)) > count + 1)
    assert transitions(watch)[count:] == [f"ReadyToInitialized{kind}", f"InitializedToReady{kind}"]


async def until_state(client: Client, state: State) -> None:
    node = client.get_node(f"{OURS}{AUTOMATIC if state > State.OPERATIONAL else VISION}.CurrentState.Number")
    async with asyncio.timeout(TIMEOUT_S):
        while (await node.read_data_value(raise_on_bad_status=False)).Value != ua.Variant(
            int(state), ua.VariantType.UInt32
        ):
            await asyncio.sleep(0.05)
