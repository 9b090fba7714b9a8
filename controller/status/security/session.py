"""A client's session: every service that it can call, asked for the right to it first.

This is the one place where permissions are decided. The library's own ruleset knows services, not nodes.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.server.internal_session import InternalSession
from asyncua.server.monitored_item_service import MonitoredItemService
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.status_codes import StatusCodes

from controller.status.access import Role
from controller.status.security import limits
from controller.status.security.audit import Act
from controller.status.security.caller import CALLER, Person
from controller.status.security.event_filter import WhereClause
from controller.status.security.subscriptions import check_filter, check_item, given_filter

if TYPE_CHECKING:
    from controller.status.security.processor import GuardedProcessor
    from controller.status.security.server import GuardedInternalServer

_DENIED = StatusCodes.BadUserAccessDenied


class GuardedSession(InternalSession):
    """One client's session. `user` is a `Person` once it is activated."""

    iserver: GuardedInternalServer  # pyright: ignore[reportIncompatibleVariableOverride]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # The library counts its tokens up from 1000: whoever knows one would know them all.
        self.iserver.unregister_external_session(self)
        self.auth_token = ua.NodeId(ua.ByteString(secrets.token_bytes(32)))
        self.iserver.register_external_session(self)
        self.processor: GuardedProcessor | None = None
        self.certificate: bytes | None = None

    @property
    def person(self) -> Person:
        """Who is logged in; nobody before that."""
        return self.user if isinstance(self.user, Person) else Person()

    def require_reader(self) -> None:
        """Everything but logging in takes at least an observer."""
        if not self.person.may(Role.OBSERVER):
            raise ServiceError(_DENIED)

    # --- attributes -------------------------------------------------------------------------------------------

    async def read(self, params: ua.ReadParameters) -> list[ua.DataValue]:
        """Values of nodes; what concerns the caller's own rights is answered for the caller."""
        self.require_reader()
        _at_most(params.NodesToRead, limits.NODES_PER_READ)
        results = await super().read(params)
        return [self._for_caller(wanted, value) for wanted, value in zip(params.NodesToRead, results, strict=True)]

    async def write(self, params: ua.WriteParameters) -> list[ua.StatusCode]:
        """Write what the caller may write; each of the others is refused by itself."""
        _at_most(params.NodesToWrite, limits.NODES_PER_WRITE)
        rights, person = self.iserver.rights, self.person
        may = [rights.may_write(person, wanted.NodeId, wanted.AttributeId) for wanted in params.NodesToWrite]
        allowed = ua.WriteParameters()
        allowed.NodesToWrite = [wanted for wanted, ok in zip(params.NodesToWrite, may, strict=True) if ok]
        written = iter(await super().write(allowed) if allowed.NodesToWrite else [])
        refused = [wanted.NodeId for wanted, ok in zip(params.NodesToWrite, may, strict=True) if not ok]
        if refused:
            await self.iserver.audit.tell(Act.WRITE_REFUSED, person, ", ".join(n.to_string() for n in refused[:5]))
        return [next(written) if ok else ua.StatusCode(ua.UInt32(_DENIED)) for ok in may]

    async def history_read(self, params: ua.HistoryReadParameters) -> list[ua.HistoryReadResult]:
        """Past values of the nodes that have some."""
        self.require_reader()
        _at_most(params.NodesToRead, limits.NODES_PER_HISTORY)
        raw, results = isinstance(params.HistoryReadDetails, ua.ReadRawModifiedDetails), list[ua.HistoryReadResult]()
        for wanted in params.NodesToRead:
            if not raw or wanted.NodeId not in self.iserver.historic:
                code = ua.StatusCode(ua.UInt32(StatusCodes.BadHistoryOperationUnsupported))
                results.append(ua.HistoryReadResult(StatusCode=code))
                continue
            one = ua.HistoryReadParameters(params.HistoryReadDetails, NodesToRead=[wanted])
            results += await super().history_read(one)
        return results

    async def browse(self, params: ua.BrowseParameters) -> list[ua.BrowseResult]:
        """What lies around nodes."""
        self.require_reader()
        _at_most(params.NodesToBrowse, limits.NODES_PER_BROWSE)
        return await super().browse(params)

    async def translate_browsepaths_to_nodeids(self, params: list[ua.BrowsePath]) -> list[ua.BrowsePathResult]:
        """Node ids of paths."""
        self.require_reader()
        _at_most(params, limits.NODES_PER_TRANSLATE)
        return await super().translate_browsepaths_to_nodeids(params)

    def _for_caller(self, wanted: ua.ReadValueId, value: ua.DataValue) -> ua.DataValue:
        rights, person = self.iserver.rights, self.person
        match wanted.AttributeId:
            case AttributeIds.UserExecutable | AttributeIds.Executable if value.Value is not None:
                if wanted.AttributeId == AttributeIds.Executable:
                    return value
                may = rights.may_call(person, wanted.NodeId)
                return ua.DataValue(ua.Variant(may, ua.VariantType.Boolean))
            case AttributeIds.UserAccessLevel if value.Value is not None and isinstance(value.Value.Value, int):
                level = value.Value.Value & ~_WRITE_BITS
                if rights.may_write(person, wanted.NodeId, AttributeIds.Value):
                    level |= 1 << ua.AccessLevel.CurrentWrite
                return ua.DataValue(ua.Variant(ua.Byte(level), ua.VariantType.Byte))
            case _:
                return value

    # --- methods ----------------------------------------------------------------------------------------------

    async def call(self, params: list[ua.CallMethodRequest]) -> list[ua.CallMethodResult]:
        """Call the methods that the caller may call; the others are refused. Audited, but for what only reads."""
        _at_most(params, limits.METHODS_PER_CALL)
        person, results = self.person, list[ua.CallMethodResult]()
        for wanted in params:
            name = wanted.MethodId.to_string()
            if not self.iserver.rights.may_call(person, wanted.MethodId):
                await self.iserver.audit.tell(Act.CALL_REFUSED, person, name, wanted.MethodId)
                results.append(ua.CallMethodResult(StatusCode=ua.StatusCode(ua.UInt32(_DENIED))))
                continue
            code = self._misplaced(wanted)
            if code:
                results.append(ua.CallMethodResult(StatusCode=ua.StatusCode(ua.UInt32(code))))
                continue
            token = CALLER.set(person)
            try:
                results += await super().call([wanted])
            finally:
                CALLER.reset(token)
            if person.name and wanted.MethodId not in self.iserver.rights.unaudited:
                done = results[-1].StatusCode
                if done.is_good():
                    await self.iserver.audit.tell(Act.CALLED, person, name, wanted.MethodId)
                else:
                    await self.iserver.audit.tell(Act.CALL_FAILED, person, f"{name}: {done.name}", wanted.MethodId)
        return results

    def _misplaced(self, wanted: ua.CallMethodRequest) -> int:
        """Status code of a method that is not of this object; Good otherwise.

        The standard types' own methods may be called with any instance: what serves them looks for it.
        """
        space, method = self.aspace, wanted.MethodId
        if wanted.ObjectId not in space:
            return StatusCodes.BadNodeIdUnknown
        if method.NamespaceIndex == 0 or any(r.NodeId == method for r in space[wanted.ObjectId].references):
            return StatusCodes.Good
        return StatusCodes.BadMethodInvalid

    # --- the address space belongs to the station ---------------------------------------------------------------

    async def add_nodes(self, params: list[ua.AddNodesItem]) -> list[ua.AddNodesResult]:
        """Nobody may."""
        raise ServiceError(_DENIED)

    async def delete_nodes(self, params: ua.DeleteNodesParameters) -> list[ua.StatusCode]:
        """Nobody may."""
        raise ServiceError(_DENIED)

    async def add_references(self, params: list[ua.AddReferencesItem]) -> list[ua.StatusCode]:
        """Nobody may."""
        raise ServiceError(_DENIED)

    async def delete_references(self, params: list[ua.DeleteReferencesItem]) -> list[ua.StatusCode]:
        """Nobody may."""
        raise ServiceError(_DENIED)

    # --- subscriptions: each client its own -----------------------------------------------------------------------

    def owns(self, subscription_id: int) -> bool:
        """The subscription is this session's."""
        subscription = self.subscription_service.subscriptions.get(subscription_id)
        return subscription is not None and subscription.session_id == self.session_id

    async def create_subscription(
        self,
        params: ua.CreateSubscriptionParameters,
        callback: Callable[..., Any],
        request_callback: Callable[..., Any] | None = None,
    ) -> ua.CreateSubscriptionResult:
        """One more, up to the limit."""
        self.require_reader()
        held = sum(1 for s in self.subscription_service.subscriptions.values() if s.session_id == self.session_id)
        if held >= self.iserver.limits.subscriptions_per_session:
            raise ServiceError(StatusCodes.BadTooManySubscriptions)
        return await super().create_subscription(params, callback, request_callback)

    async def create_monitored_items(
        self, params: ua.CreateMonitoredItemsParameters
    ) -> list[ua.MonitoredItemCreateResult]:
        """Items, up to the limit; one with a filter that cannot work is refused by itself."""
        self._require_own(params.SubscriptionId)
        _at_most(params.ItemsToCreate, limits.ITEMS_PER_CALL)
        service = self.subscription_service.subscriptions[params.SubscriptionId].monitored_item_srv
        held = len(service._monitored_items)  # pyright: ignore[reportPrivateUsage]
        for item in params.ItemsToCreate:
            item.RequestedParameters.Filter = given_filter(item.RequestedParameters.Filter)
        codes = [check_item(item, self._kind) for item in params.ItemsToCreate]
        room = max(0, self.iserver.limits.items_per_subscription - held)
        wanted = [item for item, code in zip(params.ItemsToCreate, codes, strict=True) if code == 0]
        if len(wanted) > room or not self._has_room(wanted):
            raise ServiceError(StatusCodes.BadTooManyMonitoredItems)
        params.ItemsToCreate = wanted
        made = await super().create_monitored_items(params)
        for item in made:
            self._guard_filter(service, item.MonitoredItemId)
        done = iter(made)
        return [next(done) if code == 0 else _refused_item(code) for code in codes]

    def _has_room(self, wanted: Sequence[ua.MonitoredItemCreateRequest]) -> bool:
        """All clients together do not hold too much."""
        service = self.iserver.subscription_service
        events = sum(item.ItemToMonitor.AttributeId == AttributeIds.EventNotifier for item in wanted)
        most = limits.ITEMS if self.person.name else limits.ITEMS // 2
        return (
            service.held_items() + len(wanted) <= most
            and service.held_event_items() + events <= limits.EVENT_ITEMS
            and service.held_event_items(self.session_id) + events <= limits.EVENT_ITEMS_PER_SESSION
        )

    def _guard_filter(self, service: MonitoredItemService, number: int) -> None:
        """Let an event item have its where-clause evaluated within bounds."""
        item = service._monitored_items.get(number)  # pyright: ignore[reportPrivateUsage]
        if item is not None and isinstance(item.filter, ua.EventFilter):
            clause: Any = WhereClause(self.aspace, item.filter.WhereClause, item)
            item.where_clause_evaluator = clause

    async def modify_monitored_items(
        self, params: ua.ModifyMonitoredItemsParameters
    ) -> list[ua.MonitoredItemModifyResult]:
        """The same bounds as for new items; the library takes any queue and any filter here."""
        self._require_own(params.SubscriptionId)
        _at_most(params.ItemsToModify, limits.ITEMS_PER_CALL)
        service = self.subscription_service.subscriptions[params.SubscriptionId].monitored_item_srv
        items = service._monitored_items  # pyright: ignore[reportPrivateUsage]
        results = list[ua.MonitoredItemModifyResult]()
        for wanted in params.ItemsToModify:
            held, asked = items.get(wanted.MonitoredItemId), wanted.RequestedParameters
            if held is None or held.read_value_id is None:
                results.append(_refused_change(StatusCodes.BadMonitoredItemIdInvalid))
                continue
            asked.Filter = given_filter(asked.Filter)
            attribute, node = held.read_value_id.AttributeId, held.read_value_id.NodeId
            code = 0 if asked.Filter is None else check_filter(asked.Filter, attribute, self._kind(node))
            if code:
                results.append(_refused_change(code))
                continue
            asked.QueueSize = ua.UInt32(min(asked.QueueSize or limits.QUEUED, limits.QUEUED))
            one = ua.ModifyMonitoredItemsParameters()
            one.SubscriptionId, one.ItemsToModify = params.SubscriptionId, [wanted]
            results += await super().modify_monitored_items(one)
            self._guard_filter(service, wanted.MonitoredItemId)
        return results

    async def delete_monitored_items(self, params: ua.DeleteMonitoredItemsParameters) -> list[ua.StatusCode]:
        """Of an own subscription."""
        self._require_own(params.SubscriptionId)
        return await super().delete_monitored_items(params)

    async def set_monitoring_mode(self, params: ua.SetMonitoringModeParameters) -> list[ua.StatusCode]:
        """Of an own subscription."""
        self._require_own(params.SubscriptionId)
        return await super().set_monitoring_mode(params)

    async def set_publishing_mode(self, params: ua.SetPublishingModeParameters) -> list[ua.StatusCode]:
        """Of own subscriptions; the others do not exist for this client."""
        params.SubscriptionIds = [number if self.owns(number) else ua.UInt32(0) for number in params.SubscriptionIds]
        return await super().set_publishing_mode(params)

    async def delete_subscriptions(self, ids: list[int]) -> list[ua.StatusCode]:
        """Own ones; the others do not exist for this client."""
        return await super().delete_subscriptions([number if self.owns(number) else 0 for number in ids])

    def modify_subscription(self, params: ua.ModifySubscriptionParameters) -> ua.ModifySubscriptionResult:
        """An own one."""
        self._require_own(params.SubscriptionId)
        return super().modify_subscription(params)

    def republish(self, params: ua.RepublishParameters) -> ua.NotificationMessage:
        """Of an own subscription."""
        self._require_own(params.SubscriptionId)
        return super().republish(params)

    def publish(self, acks: Iterable[ua.SubscriptionAcknowledgement] | None = None) -> tuple[int, list[ua.StatusCode]]:
        """Acknowledge own notifications. The count bounds the requests that may wait: own subscriptions, not all."""
        known = list(acks or [])
        for ack in known:
            if not self.owns(ack.SubscriptionId):
                ack.SubscriptionId = ua.UInt32(0)
        _, results = super().publish(known)
        own = sum(1 for s in self.subscription_service.subscriptions.values() if s.session_id == self.session_id)
        return own, results

    async def transfer_subscriptions(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, params: ua.TransferSubscriptionsParameters, callback: Callable[..., Any]
    ) -> list[ua.TransferResult]:
        """Between sessions of one person, over encrypted channels."""
        params.SubscriptionIds = [
            number if self._may_take(number) else ua.UInt32(0) for number in params.SubscriptionIds
        ]
        results = await super().transfer_subscriptions(params, callback)
        for number in params.SubscriptionIds:
            # The library leaves it waiting for the requests of the connection that is gone.
            if self.processor is not None and self.owns(number):
                publish: Any = self.processor.get_publish_request
                self.subscription_service.subscriptions[number].pub_request_callback = publish
        return results

    def _may_take(self, subscription_id: int) -> bool:
        subscription = self.subscription_service.subscriptions.get(subscription_id)
        if subscription is None or not self.person.signs:
            return False
        owner = self.iserver.session_of(subscription.session_id)
        return owner is not None and owner.person.signs and owner.person.name == self.person.name

    def _require_own(self, subscription_id: int) -> None:
        if not self.owns(subscription_id):
            raise ServiceError(StatusCodes.BadSubscriptionIdInvalid)

    def _kind(self, node: ua.NodeId) -> ua.VariantType | None:
        value = self.aspace.read_attribute_value(node, AttributeIds.Value).Value
        return None if value is None or value.is_array else value.VariantType


_WRITE_BITS = (1 << ua.AccessLevel.CurrentWrite) | (1 << ua.AccessLevel.HistoryWrite)


def _at_most(asked: Sequence[object] | None, most: int) -> None:
    if asked is not None and len(asked) > most:
        raise ServiceError(StatusCodes.BadTooManyOperations)


def _refused_item(code: int) -> ua.MonitoredItemCreateResult:
    return ua.MonitoredItemCreateResult(StatusCode=ua.StatusCode(ua.UInt32(code)))


def _refused_change(code: int) -> ua.MonitoredItemModifyResult:
    return ua.MonitoredItemModifyResult(StatusCode=ua.StatusCode(ua.UInt32(code)))
