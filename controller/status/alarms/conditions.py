"""The alarms as conditions of an OPC UA server: nodes, events, and the methods that people call on them."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

from asyncua import ua
from asyncua.common.events import get_event_obj_from_type_node
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes

from controller.status.address_space import node_id
from controller.status.alarms.instances import ALARM_TYPE, CONDITION_CLASS, CONDITION_CLASS_NAME, alarm_node
from controller.status.alarms.machine import Act, ActRefused, AlarmState, Shelving, Stage, step
from controller.status.alarms.table import ALARMS, Alarm
from controller.status.alarms.watch import Watch
from controller.status.commands import one_line
from controller.status.messages import Noted, StationSnapshot
from controller.status.security.caller import caller_name
from controller.status.security.server import GuardedServer

REMEMBERED = 8
"""Events of one alarm that can still be acknowledged by their id."""
LONGEST_COMMENT = 500
_SHELVING_NODES = {
    Shelving.UNSHELVED: ObjectIds.ShelvedStateMachineType_Unshelved,
    Shelving.TIMED: ObjectIds.ShelvedStateMachineType_TimedShelved,
    Shelving.ONE_SHOT: ObjectIds.ShelvedStateMachineType_OneShotShelved,
}
_REFUSALS = {
    Act.ACKNOWLEDGE: StatusCodes.BadConditionBranchAlreadyAcked,
    Act.CONFIRM: StatusCodes.BadConditionBranchAlreadyConfirmed,
    Act.ENABLE: StatusCodes.BadConditionAlreadyEnabled,
    Act.DISABLE: StatusCodes.BadConditionAlreadyDisabled,
    Act.SHELVE_ONCE: StatusCodes.BadConditionAlreadyShelved,
    Act.SHELVE_FOR: StatusCodes.BadConditionAlreadyShelved,
    Act.UNSHELVE: StatusCodes.BadConditionNotShelved,
}
Method = Callable[..., Awaitable[Any]]


class Condition:
    """One alarm's instance."""

    def __init__(self, alarm: Alarm, event: Any) -> None:
        self.alarm, self.event = alarm, event
        self.state = AlarmState()
        self.why = self.comment = self.who = ""
        self.event_ids: deque[bytes] = deque(maxlen=REMEMBERED)
        self.id = alarm_node(alarm)

    def child(self, path: str) -> ua.NodeId:
        """Node id of a part of it."""
        return alarm_node(self.alarm, f".{path}")


class Conditions:
    """All alarms of the station. One event loop's thread.

    note: takes what belongs into the journal.
    """

    def __init__(self, server: GuardedServer, note: Callable[[Noted], object]) -> None:
        self._server, self._note = server, note
        self._watch = Watch()
        self._by_id: dict[ua.NodeId, Condition] = {}
        self._shown: dict[ua.NodeId, Any] = {}

    async def start(self) -> None:
        """Show all of them, and let people call their methods."""
        model: Any = await get_event_obj_from_type_node(self._server.get_node(ALARM_TYPE))
        model.add_property("NodeId", None, ua.VariantType.NodeId)
        model.add_property("ShelvingState/CurrentState", None, ua.VariantType.LocalizedText)
        model.add_property("ShelvingState/CurrentState/Id", None, ua.VariantType.NodeId)
        for alarm in ALARMS:
            condition = Condition(alarm, deepcopy(model))
            self._by_id[condition.id] = self._by_id[condition.child("ShelvingState")] = condition
            self._fill(condition)
            await self._show(condition)
            # Clients that are there already come in between.
            await asyncio.sleep(0)
        await self._link()

    async def look(self, snapshot: StationSnapshot | None) -> None:
        """Raise and clear by the station's latest news; None: there is none."""
        now = time.monotonic()
        for condition in self._all():
            if condition.state.until and now >= condition.state.until:
                await self._take(condition, Act.EXPIRE, "shelving expired")
            elif condition.state.until:
                await self._show_rest(condition, condition.state.until - now)
        for alarm, act, why in self._watch.look(snapshot, now):
            condition = self._by_id[alarm_node(alarm)]
            if why:
                condition.why = why[:300]
            condition.who = ""
            await self._take(condition, act, condition.why)

    def _all(self) -> Iterable[Condition]:
        return [condition for key, condition in self._by_id.items() if key == condition.id]

    # --- acts -----------------------------------------------------------------------------------------------------

    async def _take(self, condition: Condition, act: Act, why: str, until: float = 0.0) -> int:
        """Let something happen to an alarm: state, nodes, event, journal. Returns a status code."""
        before = condition.state
        try:
            condition.state = step(before, act, until)
        except ActRefused:
            return StatusCodes.BadConditionDisabled if not before.enabled and act is not Act.ENABLE else _REFUSALS[act]
        if condition.state == before and act in (Act.RAISE, Act.CLEAR):
            return StatusCodes.Good
        self._note(Noted("alarm", condition.who, {"alarm": condition.alarm.id, "act": act.value, "why": why}))
        if condition.state.stage is Stage.ACTIVE and before.stage is not Stage.ACTIVE:
            # Raised anew: who acknowledges an event of the time before has not seen this.
            condition.event_ids.clear()
        if before.enabled or condition.state.enabled:
            self._fill(condition)
            await self._show(condition)
            if condition.state.shelving is not before.shelving:
                await self._show_rest(condition, max(0.0, condition.state.until - time.monotonic()))
            await self._server.iserver.subscription_service.trigger_event(condition.event)
        return StatusCodes.Good

    async def _by_person(self, condition: Condition, act: Act, comment: str, until: float = 0.0) -> ua.StatusCode:
        name = caller_name()
        if not name:
            return _code(StatusCodes.BadUserAccessDenied)
        held = condition.who, condition.comment
        condition.who, condition.comment = name, comment or condition.comment
        code = await self._take(condition, act, comment, until)
        if code != StatusCodes.Good:
            condition.who, condition.comment = held
        return _code(code)

    async def _acknowledge(self, parent: ua.NodeId, *given: ua.Variant) -> ua.StatusCode:
        return await self._on_event(parent, Act.ACKNOWLEDGE, given)

    async def _confirm(self, parent: ua.NodeId, *given: ua.Variant) -> ua.StatusCode:
        return await self._on_event(parent, Act.CONFIRM, given)

    async def _on_event(self, parent: ua.NodeId, act: Act, given: tuple[ua.Variant, ...]) -> ua.StatusCode:
        condition, comment, code = self._meant(parent, given)
        if condition is None:
            return _code(code)
        return await self._by_person(condition, act, comment)

    async def _add_comment(self, parent: ua.NodeId, *given: ua.Variant) -> ua.StatusCode:
        condition, comment, code = self._meant(parent, given)
        name = caller_name()
        if condition is None:
            return _code(code)
        if not condition.state.enabled:
            return _code(StatusCodes.BadConditionDisabled)
        condition.who, condition.comment = name, comment
        self._note(Noted("alarm", name, {"alarm": condition.alarm.id, "act": "comment", "why": comment}))
        self._fill(condition)
        await self._show(condition)
        await self._server.iserver.subscription_service.trigger_event(condition.event)
        return _code(StatusCodes.Good)

    async def _enable(self, parent: ua.NodeId, *_given: ua.Variant) -> ua.StatusCode:
        return await self._plain(parent, Act.ENABLE)

    async def _disable(self, parent: ua.NodeId, *_given: ua.Variant) -> ua.StatusCode:
        return await self._plain(parent, Act.DISABLE)

    async def _unshelve(self, parent: ua.NodeId, *_given: ua.Variant) -> ua.StatusCode:
        return await self._plain(parent, Act.UNSHELVE)

    async def _shelve_once(self, parent: ua.NodeId, *_given: ua.Variant) -> ua.StatusCode:
        condition = self._by_id.get(parent)
        if condition is not None and not condition.alarm.shelf_min:
            return _code(StatusCodes.BadUserAccessDenied)
        return await self._plain(parent, Act.SHELVE_ONCE)

    async def _shelve_for(self, parent: ua.NodeId, *given: ua.Variant) -> ua.StatusCode:
        condition, duration_ms = self._by_id.get(parent), given[0].Value if len(given) == 1 else None
        if condition is None:
            return _code(StatusCodes.BadNodeIdUnknown)
        if not isinstance(duration_ms, float):
            return _code(StatusCodes.BadInvalidArgument)
        longest_ms = condition.alarm.shelf_min * 60_000
        if not 0 < duration_ms <= longest_ms:
            return _code(StatusCodes.BadShelvingTimeOutOfRange)
        return await self._plain(parent, Act.SHELVE_FOR, duration_ms / 1000)

    async def _plain(self, parent: ua.NodeId, act: Act, shelve_s: float | None = None) -> ua.StatusCode:
        condition = self._by_id.get(parent)
        if condition is None:
            return _code(StatusCodes.BadNodeIdUnknown)
        if shelve_s is None:
            shelve_s = condition.alarm.shelf_min * 60.0
        return await self._by_person(condition, act, "", time.monotonic() + shelve_s)

    def _meant(self, parent: ua.NodeId, given: tuple[ua.Variant, ...]) -> tuple[Condition | None, str, int]:
        """The condition, the comment, and what is wrong with the call."""
        condition = self._by_id.get(parent)
        if condition is None:
            return None, "", StatusCodes.BadNodeIdUnknown
        if len(given) != 2:
            return None, "", StatusCodes.BadArgumentsMissing
        event_id, comment = given[0].Value, given[1].Value
        if event_id not in condition.event_ids:
            return None, "", StatusCodes.BadEventIdUnknown
        text = comment.Text if isinstance(comment, ua.LocalizedText) else comment
        if not isinstance(text, (str, type(None))) or len(text or "") > LONGEST_COMMENT:
            return None, "", StatusCodes.BadInvalidArgument
        return condition, one_line(text or ""), StatusCodes.Good

    # --- nodes ----------------------------------------------------------------------------------------------------

    async def _link(self) -> None:
        """The types' methods serve all instances; clients call either."""
        work: dict[int, Method] = {
            ObjectIds.AcknowledgeableConditionType_Acknowledge: self._acknowledge,
            ObjectIds.AcknowledgeableConditionType_Confirm: self._confirm,
            ObjectIds.ConditionType_AddComment: self._add_comment,
            ObjectIds.ConditionType_Enable: self._enable,
            ObjectIds.ConditionType_Disable: self._disable,
            ObjectIds.ShelvedStateMachineType_Unshelve: self._unshelve,
            ObjectIds.ShelvedStateMachineType_OneShotShelve: self._shelve_once,
            ObjectIds.ShelvedStateMachineType_TimedShelve: self._shelve_for,
        }
        rights, inner = self._server.iserver.rights, self._server.iserver.isession
        for number, serve in work.items():
            of_type = ua.NodeId(ua.Int32(number))
            inner.add_method_callback(of_type, serve)
            name = (await self._server.get_node(of_type).read_browse_name()).Name
            for condition in self._all():
                for of_instance in (condition.child(name), condition.child(f"ShelvingState.{name}")):
                    if of_instance in self._server.iserver.aspace:
                        inner.add_method_callback(of_instance, serve)
                        rights.methods[of_instance] = rights.methods[of_type]

    def _fill(self, condition: Condition) -> None:
        """Bring the event up to the state."""
        event, state, alarm = condition.event, condition.state, condition.alarm
        now = datetime.now(UTC)
        event.emitting_node = ua.NodeId(ua.Int32(ObjectIds.Server))
        event.EventId = secrets.token_bytes(16)
        condition.event_ids.append(event.EventId)
        event.NodeId, event.BranchId = condition.id, ua.NodeId()
        event.SourceNode, event.SourceName = ua.NodeId.from_string(node_id("Station")), "Station"
        event.ConditionName, event.Retain = alarm.id, state.retain
        event.ConditionClassId, event.ConditionClassName = CONDITION_CLASS, ua.LocalizedText(CONDITION_CLASS_NAME)
        event.Time = event.ReceiveTime = now
        event.Severity = event.LastSeverity = ua.UInt16(alarm.priority.value)
        event.Quality = ua.StatusCode()
        event.Message = ua.LocalizedText(condition.why or alarm.cause)
        event.Comment, event.ClientUserId = ua.LocalizedText(condition.comment), condition.who
        event.SuppressedOrShelved = state.shelving is not Shelving.UNSHELVED
        for name, on, yes, no in _flags(state):
            setattr(event, name, ua.LocalizedText(yes if on else no))
            setattr(event, f"{name}/Id", on)
            event.data_types.setdefault(f"{name}/Id", ua.VariantType.Boolean)
        setattr(event, "ShelvingState/CurrentState", ua.LocalizedText(state.shelving.value))
        setattr(event, "ShelvingState/CurrentState/Id", ua.NodeId(ua.Int32(_SHELVING_NODES[state.shelving])))

    async def _show(self, condition: Condition) -> None:
        """Write what differs into the instance's nodes."""
        event = condition.event
        for path in _SHOWN:
            value = getattr(event, path)
            node = condition.child(path.replace("/", "."))
            if self._shown.get(node) == value:
                continue
            self._shown[node] = value
            kind = event.data_types[path]
            variant = ua.Variant(value, kind) if isinstance(kind, ua.VariantType) else ua.Variant(value)
            await self._server.write_attribute_value(node, ua.DataValue(variant, SourceTimestamp=event.Time))
            if path in _TIMED:
                moment = ua.DataValue(ua.Variant(event.Time, ua.VariantType.DateTime))
                await self._server.write_attribute_value(condition.child(f"{path}.SourceTimestamp"), moment)

    async def _show_rest(self, condition: Condition, seconds: float) -> None:
        """How much longer it is shelved."""
        rest = ua.DataValue(ua.Variant(seconds * 1000, ua.VariantType.Double))
        await self._server.write_attribute_value(condition.child("ShelvingState.UnshelveTime"), rest)


def _flags(state: AlarmState) -> tuple[tuple[str, bool, str, str], ...]:
    stage = state.stage
    return (
        ("EnabledState", state.enabled, "Enabled", "Disabled"),
        ("ActiveState", stage.active, "Active", "Inactive"),
        ("AckedState", stage.acked, "Acknowledged", "Unacknowledged"),
        ("ConfirmedState", stage.confirmed, "Confirmed", "Unconfirmed"),
    )


_SHOWN = (
    "EventId",
    "Time",
    "ReceiveTime",
    "Message",
    "Severity",
    "LastSeverity",
    "Quality",
    "Retain",
    "ConditionName",
    "Comment",
    "ClientUserId",
    "SuppressedOrShelved",
    "SourceNode",
    "SourceName",
    *(f"{name}{part}" for name, *_ in _flags(AlarmState()) for part in ("", "/Id")),
    "ShelvingState/CurrentState",
    "ShelvingState/CurrentState/Id",
)


_TIMED = frozenset(("Comment", "LastSeverity", "Quality"))
"""Those that have a SourceTimestamp of their own."""


def _code(number: int) -> ua.StatusCode:
    return ua.StatusCode(ua.UInt32(number))
