"""The station as a VisionSystem (OPC 40100-1): its objects, its state machines' variables, its events."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC
from typing import Any

from asyncua import ua
from asyncua.server.server import Server
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes

from controller.status.address_space import NAMESPACE, NAMESPACE_INDEX
from controller.status.messages import PartAcquired, PartBegan, PartEnded, StationSnapshot
from controller.status.vision import structures
from controller.status.vision.events import Events, Kind
from controller.status.vision.instances import Place, instantiate
from controller.status.vision.machine import (
    GRANTED,
    TRANSITIONS,
    Cause,
    Observation,
    State,
    moves,
    observe,
    of_a_job,
    state_of,
    used,
)
from controller.status.vision.nodesets import MACHINE_VISION

NAME = "VisionSystem"
VISION = f"{NAME}.VisionStateMachine"
AUTOMATIC = f"{VISION}.AutomaticModeStateMachine"
RECIPES = f"{NAME}.RecipeManagement"
RESULTS = f"{NAME}.ResultManagement"
EXPECTED_S = 2.0
LOADING_S = 60.0
"""For how long a granted method is held to be the cause of the transitions that it may cause; a recipe takes longer."""

_SYSTEM_TYPE = 1003
_OPTIONAL = frozenset(
    (
        "RecipeManagement",
        "RecipeManagement.AddRecipe",
        "RecipeManagement.RemoveRecipe",
        "RecipeManagement.PrepareProduct",
        "RecipeManagement.UnprepareProduct",
        "RecipeManagement.ReleaseRecipeHandle",
        "ResultManagement",
        "ResultManagement.ReleaseResultHandle",
        "SystemState",
        "VisionStateMachine.AutomaticModeStateMachine",
        "VisionStateMachine.AutomaticModeStateMachine.SimulationMode",
        "VisionStateMachine.AutomaticModeStateMachine.CurrentState.Number",
        "VisionStateMachine.AutomaticModeStateMachine.LastTransition",
        "VisionStateMachine.AutomaticModeStateMachine.LastTransition.Number",
        "VisionStateMachine.CurrentState.Number",
        "VisionStateMachine.LastTransition",
        "VisionStateMachine.LastTransition.Number",
        "VisionStateMachine.SelectModeAutomatic",
    )
)
_STATE_TYPES = {
    State.PREOPERATIONAL: 5028,
    State.HALTED: 5029,
    State.ERROR: 5030,
    State.OPERATIONAL: 5031,
    State.INITIALIZED: 5056,
    State.READY: 5057,
    State.SINGLE_EXECUTION: 5058,
    State.CONTINUOUS_EXECUTION: 5059,
}
"""Numbers of the state nodes in the model: what CurrentState.Id points at."""
_SYSTEM_STATE = {State.PREOPERATIONAL: 3, State.HALTED: 4, State.ERROR: 5, State.OPERATIONAL: 1}
"""SEMI E10: engineering, scheduled and unscheduled down time, production; 2 (standby) while it is ready."""


def station_node(name: str) -> ua.NodeId:
    """A node of the station's own namespace."""
    return ua.NodeId(ua.String(name), ua.Int16(NAMESPACE_INDEX))


async def build_objects(server: Server) -> None:
    """Add the VisionSystem below Objects, into a server whose models are imported."""
    namespace = await server.get_namespace_index(MACHINE_VISION)
    own = await server.get_namespace_index(NAMESPACE)
    place = Place(
        ua.NodeId(ua.Int32(ObjectIds.ObjectsFolder)),
        ObjectIds.Organizes,
        station_node(NAME),
        ua.QualifiedName(NAME, ua.UInt16(own)),
    )
    await instantiate(server, ua.NodeId(ua.Int32(_SYSTEM_TYPE), ua.Int16(namespace)), place, _OPTIONAL)
    system = server.get_node(station_node(NAME))
    await system.set_event_notifier([ua.EventNotifier.SubscribeToEvents])


class VisionSystem:
    """Shows where the station has got to. One event loop's thread."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._namespace = 0
        self._events = Events(server, 0, station_node(NAME), NAME)
        self._seen = Observation()
        self._state = State.PREOPERATIONAL
        self._expected: dict[tuple[State, State], tuple[Cause, float]] = {}
        self._last_job = ""
        self._recipe: tuple[str, str] | None = None
        self.snapshot: StationSnapshot | None = None

    @property
    def state(self) -> State:
        """The state shown; methods are allowed by it."""
        return self._state

    @property
    def runs_jobs(self) -> bool:
        """What runs was started by a client, not by the PLC."""
        return self._seen.series or self._seen.job

    async def build(self) -> None:
        """Find the nodes and show that nothing is known yet."""
        self._namespace = await self._server.get_namespace_index(MACHINE_VISION)
        self._events = Events(self._server, self._namespace, station_node(NAME), NAME)
        await self._events.build()
        await self._show_state(State.PREOPERATIONAL)
        await self.lose_feed()

    def granted(self, method: str) -> None:
        """A method was granted: what it may cause within the next moments is put down to it."""
        preparing, here = method.startswith("Prepare"), (self._state, self._state.top)
        until = time.monotonic() + (LOADING_S if preparing else EXPECTED_S)
        caused = GRANTED.get(method, {}).items()
        self._expected |= {pair: (cause, until) for pair, cause in caused if preparing or pair[0] in here}

    async def show(self, snapshot: StationSnapshot) -> None:
        """Take a snapshot: move the machines, write the variables."""
        fresh, self.snapshot = self.snapshot is None, snapshot
        self._seen = observe(snapshot)
        if fresh:
            await self._show_state(self._state)
        await self._move()
        recipe = (snapshot.recipe_product, snapshot.recipe_hash)
        if not snapshot.recipe_loading and recipe != self._recipe:
            self._recipe = recipe
            await self._events.fire(
                Kind.RECIPE_PREPARED,
                f"recipe {recipe[0]} is in force",
                {
                    "ExternalId": structures.external_recipe(recipe[0]),
                    "InternalId": structures.internal_recipe(recipe[0]),
                    "ProductId": structures.product_id(recipe[0]),
                },
            )

    async def take(self, news: PartBegan | PartAcquired | PartEnded) -> None:
        """Take what happened to a part: fire its events."""
        match news:
            case PartBegan():
                self._last_job = news.key
                await self._job(news.key, job=True, series=news.series)
                job = structures.job_id(news.key)
                await self._events.fire(Kind.JOB_STARTED, f"part {news.part_id}", {"JobId": job})
            case PartAcquired():
                await self._events.fire(
                    Kind.ACQUISITION_DONE, "every view is exposed", {"JobId": structures.job_id(news.key)}
                )
            case PartEnded():
                fields = structures.result_fields(news)
                await self._events.fire(Kind.RESULT_READY, f"{news.part_id}: {news.verdict}", fields)
                await self._job(news.key, job=False)

    async def lose_feed(self) -> None:
        """Nothing is known of the station any more: the last state keeps standing there, uncertain."""
        first = self.snapshot is None
        self.snapshot = None
        quality = StatusCodes.BadWaitingForInitialData if first else StatusCodes.UncertainLastUsableValue
        for name in (VISION, AUTOMATIC):
            for child in ("CurrentState", "CurrentState.Id", "CurrentState.Number"):
                node = self._server.get_node(station_node(f"{name}.{child}"))
                held = await node.read_data_value(raise_on_bad_status=False)
                await self._write(f"{name}.{child}", held.Value or ua.Variant(), quality)

    async def _job(self, key: str, **seen: bool) -> None:
        if of_a_job(key) and self.snapshot is not None:
            self._seen = replace(self._seen, **seen)
            await self._move()

    async def _move(self) -> None:
        now = time.monotonic()
        self._expected = {pair: held for pair, held in self._expected.items() if held[1] >= now}
        expected = {pair: cause for pair, (cause, _) in self._expected.items()}
        for number, state in moves(self._state, state_of(self._seen), expected):
            await self._enter(number, state)

    async def _enter(self, number: int, state: State) -> None:
        before, self._state = self._state, state
        self._expected.pop(used(number), None)
        await self._show_state(state)
        machine = AUTOMATIC if number >= 500 else VISION
        transition = await self._transition(machine, number)
        inner = number >= 500
        await self._events.fire(
            Kind.STATE_CHANGED,
            TRANSITIONS[number],
            {
                "Transition": ua.LocalizedText(TRANSITIONS[number]),
                "Transition/Id": transition,
                **self._state_fields("FromState", before if inner else before.top),
                **self._state_fields("ToState", state if inner else state.top),
            },
        )
        await self._fire_consequences(number, state)

    async def _fire_consequences(self, number: int, state: State) -> None:
        top_before, _ = used(number)
        named: dict[str, Any] = {
            "Transition": ua.LocalizedText(TRANSITIONS[number]),
            "Transition/Id": self._node(TRANSITIONS[number]),
            **self._state_fields("FromState", top_before),
            **self._state_fields("ToState", used(number)[1]),
        }
        why = self.snapshot.fault_why if self.snapshot is not None else ""
        if state is State.ERROR:
            await self._events.fire(Kind.ERROR, f"failsafe: {why}", named, 900)
        elif top_before is State.ERROR:
            await self._events.fire(Kind.ERROR_RESOLVED, "the failsafe is left", named, 300)
        if state is State.READY:
            await self._events.fire(Kind.READY, "ready for a job", {"JobId": structures.job_id(self._last_job)})

    def _state_fields(self, name: str, state: State) -> dict[str, Any]:
        return {name: ua.LocalizedText(state.browse_name), f"{name}/Id": self._state_node(state)}

    def _state_node(self, state: State) -> ua.NodeId:
        return ua.NodeId(ua.Int32(_STATE_TYPES[state]), ua.Int16(self._namespace))

    def _node(self, transition: str) -> ua.NodeId:
        return self._transitions()[transition]

    def _transitions(self) -> dict[str, ua.NodeId]:
        found: dict[str, ua.NodeId] = {}
        for number in (1017, 1021):
            machine = ua.NodeId(ua.Int32(number), ua.Int16(self._namespace))
            for reference in self._server.iserver.aspace[machine].references:
                if reference.IsForward and reference.BrowseName is not None:
                    found[str(reference.BrowseName.Name)] = reference.NodeId
        return found

    async def _transition(self, machine: str, number: int) -> ua.NodeId:
        node_id = self._node(TRANSITIONS[number])
        text = ua.Variant(ua.LocalizedText(TRANSITIONS[number]), ua.VariantType.LocalizedText)
        await self._write(f"{machine}.LastTransition", text)
        await self._write(f"{machine}.LastTransition.Id", ua.Variant(node_id, ua.VariantType.NodeId))
        await self._write(f"{machine}.LastTransition.Number", ua.Variant(number, ua.VariantType.UInt32))
        return node_id

    async def _show_state(self, state: State) -> None:
        await self._show_machine(VISION, state.top)
        if state > State.OPERATIONAL:
            await self._show_machine(AUTOMATIC, state)
        else:
            # Outside OPERATIONAL the inner machine is in no state (OPC 10000-16, 4.4.2).
            for child in ("CurrentState", "CurrentState.Id", "CurrentState.Number"):
                await self._write(f"{AUTOMATIC}.{child}", ua.Variant(), StatusCodes.BadStateNotActive)
        number = 2 if state is State.READY else _SYSTEM_STATE[state.top]
        described = structures.make(
            "SystemStateDescriptionDataType",
            State=ua.uatypes.enums_by_datatype[ua.NodeId(ua.Int32(3023), ua.Int16(self._namespace))](number),
            StateDescription=state.browse_name,
        )
        await self._write(f"{NAME}.SystemState", ua.Variant(described, ua.VariantType.ExtensionObject))

    async def _show_machine(self, machine: str, state: State) -> None:
        name = ua.Variant(ua.LocalizedText(state.browse_name), ua.VariantType.LocalizedText)
        await self._write(f"{machine}.CurrentState", name)
        await self._write(f"{machine}.CurrentState.Id", ua.Variant(self._state_node(state), ua.VariantType.NodeId))
        await self._write(f"{machine}.CurrentState.Number", ua.Variant(int(state), ua.VariantType.UInt32))

    async def _write(self, name: str, value: ua.Variant, quality: int = StatusCodes.Good) -> None:
        now = ua.DateTime.now(UTC)
        await self._server.write_attribute_value(
            station_node(name), ua.DataValue(value, ua.StatusCode(ua.UInt32(quality)), now, ServerTimestamp=now)
        )
