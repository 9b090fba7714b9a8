"""Subscriptions within bounds: intervals that are numbers, filters that cannot fail later, clients kept apart."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from asyncua import ua
from asyncua.server.internal_subscription import InternalSubscription
from asyncua.server.subscription_service import SubscriptionService
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.status_codes import StatusCodes

from controller.status.security import limits
from controller.status.security.caller import CALLER
from controller.status.security.event_filter import check_where, names_a_field

_log = logging.getLogger("controller.status.subscriptions")
_NUMBERS = frozenset(
    ua.VariantType[name]
    for name in ("SByte", "Byte", "Int16", "UInt16", "Int32", "UInt32", "Int64", "UInt64", "Float", "Double")
)


class Unacknowledged(dict[int, ua.PublishResult]):
    """What a client was sent and has not acknowledged, to be sent again if it asks: the oldest goes when the changes in
    them are too many. The library counts messages, and one of them holds up to 50,000 changes."""

    def __init__(self) -> None:
        super().__init__()
        self._changes = 0

    def __setitem__(self, number: int, result: ua.PublishResult) -> None:
        super().__setitem__(number, result)
        self._changes += _changes(result)
        while self._changes > limits.UNACKNOWLEDGED and len(self) > 1:
            self.pop(next(iter(self)))

    def pop(self, number: int, default: Any = None) -> Any:
        """Forget one."""
        if number in self:
            self._changes -= _changes(self[number])
        return super().pop(number, default)


def _changes(result: ua.PublishResult) -> int:
    """How many changes and events are in a message."""
    held: list[Any] = result.NotificationMessage.NotificationData or []
    return sum(len(getattr(part, "MonitoredItems", ()) or getattr(part, "Events", ()) or ()) for part in held)


class GuardedSubscriptions(SubscriptionService):
    """The library's service, with what a hostile client asks for brought into bounds."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._hurried: WeakKeyDictionary[InternalSubscription, float] = WeakKeyDictionary()
        """When a subscription last told of an event out of turn."""

    async def create_subscription(
        self,
        params: ua.CreateSubscriptionParameters,
        callback: Callable[..., Any],
        session_id: ua.NodeId,
        request_callback: Callable[..., Any] | None = None,
    ) -> ua.CreateSubscriptionResult:
        """A subscription with an interval that cannot keep the process busy, nor its timers in disorder."""
        if request_callback is not None:
            params.RequestedPublishingInterval = interval_ms(params.RequestedPublishingInterval)
        made = await super().create_subscription(params, callback, session_id, request_callback)
        subscription = self.subscriptions[made.SubscriptionId]
        subscription._not_acknowledged_results = Unacknowledged()  # pyright: ignore[reportPrivateUsage]
        return made

    def held_items(self) -> int:
        """Monitored items of all clients."""
        return sum(
            len(subscription.monitored_item_srv._monitored_items)  # pyright: ignore[reportPrivateUsage]
            for subscription in self.subscriptions.values()
        )

    def held_event_items(self, session_id: ua.NodeId | None = None) -> int:
        """Items that want events: of all clients, or of one session."""
        return sum(
            sum(map(len, subscription.monitored_item_srv._monitored_events.values()))  # pyright: ignore[reportPrivateUsage]
            for subscription in self.subscriptions.values()
            if session_id in (None, subscription.session_id)
        )

    async def trigger_event(self, event: Any, subscription_id: int | None = None) -> None:
        """Hand an event to all subscriptions; one that cannot take it loses it, and nobody else does."""
        retain = getattr(event, "Retain", None)
        if retain is not None and hasattr(event, "NodeId"):
            if retain:
                self._conditions[event.NodeId] = event
            else:
                self._conditions.pop(event.NodeId, None)
        for number, subscription in tuple(self.subscriptions.items()):
            if subscription_id not in (None, number):
                continue
            try:
                await subscription.monitored_item_srv.trigger_event(event)
                await self._hurry(subscription)
            except Exception as error:  # noqa: BLE001 - whatever a client's filter trips over is that client's affair
                _log.warning("subscription %s lost an event: %r", number, error)

    async def _hurry(self, subscription: InternalSubscription) -> None:
        """Send an event now rather than at the end of the publishing interval, once in each interval at most.

        A result that waits for its turn comes up to an interval later, and twice as late where the computer is busy.
        """
        now, interval_s = time.monotonic(), subscription.data.RevisedPublishingInterval / 1000
        waiting = subscription._triggered_events  # pyright: ignore[reportPrivateUsage]
        if not waiting or now - self._hurried.get(subscription, -math.inf) < interval_s:
            return
        self._hurried[subscription] = now
        cycles = subscription._publish_cycles_count  # pyright: ignore[reportPrivateUsage]
        if not await subscription.publish_results():
            # No request was there to answer. What ends a subscription is counted in intervals, and this was none.
            subscription._publish_cycles_count = cycles  # pyright: ignore[reportPrivateUsage]

    async def condition_refresh(self, parent: ua.NodeId, *given: ua.Variant) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Tell the caller's subscription of all conditions that matter; one of somebody else does not exist for it."""
        number = given[0].Value if given else None
        subscription = self.subscriptions.get(number) if isinstance(number, int) else None
        server: Any = self.iserver
        owner = server.session_of(subscription.session_id) if subscription is not None else None
        if owner is None or owner.person is not CALLER.get():
            return ua.StatusCode(ua.UInt32(StatusCodes.BadSubscriptionIdInvalid))
        return await super().condition_refresh(parent, *given)  # pyright: ignore[reportArgumentType]


def interval_ms(asked: float) -> float:
    """The publishing interval that is granted. NaN and infinity would upset the order of the event loop's timers."""
    if not math.isfinite(asked):
        return limits.SLOWEST_MS
    return min(max(asked, limits.FASTEST_MS), limits.SLOWEST_MS)


def given_filter(asked: Any) -> Any:
    """The filter, None where the client sent an empty one."""
    return None if isinstance(asked, ua.ExtensionObject) and asked.TypeId.is_null() else asked


def check_item(item: ua.MonitoredItemCreateRequest, kind: Callable[[ua.NodeId], ua.VariantType | None]) -> int:
    """Status code of what would make this item fail later, inside the process's own work; Good otherwise.

    kind: type of a node's present value.
    """
    wanted, asked = item.ItemToMonitor, item.RequestedParameters
    return check_filter(asked.Filter, wanted.AttributeId, kind(wanted.NodeId))


def check_filter(asked: Any, attribute: int, kind: ua.VariantType | None) -> int:
    """The same for a filter alone."""
    if attribute == AttributeIds.EventNotifier:
        return _check_event_filter(asked)
    if asked is None:
        return StatusCodes.Good
    if not isinstance(asked, ua.DataChangeFilter):
        return StatusCodes.BadFilterNotAllowed
    if asked.DeadbandType == ua.DeadbandType.None_:
        return StatusCodes.Good
    if asked.DeadbandType != ua.DeadbandType.Absolute:
        return StatusCodes.BadMonitoredItemFilterUnsupported
    if attribute != AttributeIds.Value or kind not in _NUMBERS or not asked.DeadbandValue >= 0:
        return StatusCodes.BadFilterNotAllowed
    return StatusCodes.Good


def _check_event_filter(asked: Any) -> int:
    if not isinstance(asked, ua.EventFilter):
        return StatusCodes.BadMonitoredItemFilterInvalid
    clauses = asked.SelectClauses or []
    if len(clauses) > limits.SELECT_CLAUSES:
        return StatusCodes.BadTooManyOperations
    if not all(map(names_a_field, clauses)):
        return StatusCodes.BadMonitoredItemFilterInvalid
    return check_where(asked.WhereClause)
