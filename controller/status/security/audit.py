"""The audit trail: who came, who was refused, who asked for what. To the journal, and as events to auditors."""

from __future__ import annotations

import logging
import secrets
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from asyncua import ua
from asyncua.common.events import get_event_obj_from_type_node
from asyncua.common.node import Node
from asyncua.server.internal_server import InternalServer
from asyncua.ua.object_ids import ObjectIds

from controller.status.access import AUDITORS
from controller.status.messages import Noted
from controller.status.security.caller import Person

_log = logging.getLogger("controller.status.audit")

PLENTY, PERIOD_S = 20, 10.0
"""Refusals of one kind in each period that go into the journal; those beyond are counted: nobody can fill the disk."""


class Act(Enum):
    """What is audited. The values stand in the journal."""

    LOGGED_IN = "logged in"
    LOGIN_REFUSED = "log-in refused"
    CERTIFICATE_REFUSED = "certificate refused"
    CALLED = "called"
    CALL_FAILED = "call failed"
    CALL_REFUSED = "call refused"
    WRITE_REFUSED = "write refused"


_EVENT_TYPES = {
    Act.LOGGED_IN: ObjectIds.AuditActivateSessionEventType,
    Act.LOGIN_REFUSED: ObjectIds.AuditActivateSessionEventType,
    Act.CERTIFICATE_REFUSED: ObjectIds.AuditCertificateUntrustedEventType,
    Act.CALLED: ObjectIds.AuditUpdateMethodEventType,
    Act.CALL_FAILED: ObjectIds.AuditUpdateMethodEventType,
    Act.CALL_REFUSED: ObjectIds.AuditUpdateMethodEventType,
    Act.WRITE_REFUSED: ObjectIds.AuditWriteUpdateEventType,
}
_GOOD = frozenset({Act.LOGGED_IN, Act.CALLED})
_SEVERITY = {True: 100, False: 500}


class Audit:
    """Writes the trail. note: hands an entry to the station for its journal; may drop it."""

    def __init__(self, note: Callable[[Noted], object], clock: Callable[[], float]) -> None:
        self._note, self._clock = note, clock
        self._events: dict[Act, Any] = {}
        self._iserver: InternalServer | None = None
        self._period, self._refused = -1, Counter[Act]()
        self._withheld = 0

    async def build(self, iserver: InternalServer) -> None:
        """Make the events; after the standard address space was loaded."""
        self._iserver = iserver
        for act, kind in _EVENT_TYPES.items():
            event: Any = await get_event_obj_from_type_node(Node(iserver.isession, ua.NodeId(ua.Int32(kind))))
            event.emitting_node = event.SourceNode = ua.NodeId(ua.Int32(ObjectIds.Server))
            event.SourceName = "Server"
            event.data_types["ActionTimeStamp"] = ua.VariantType.DateTime
            event.Severity = ua.UInt16(_SEVERITY[act in _GOOD])
            self._events[act] = event

    async def tell(self, act: Act, person: Person, what: str, method: ua.NodeId | None = None) -> None:
        """One entry. what: the method, the reason, the thumbprint; printable.   method: of a call, for the event."""
        who = person.name or "anonymous"
        if act in _GOOD or self._within_plenty(act):
            detail = {"act": act.value, "what": what[:200], "address": person.address}
            if self._withheld:
                detail["withheld"] = str(self._withheld)
                self._withheld = 0
            self._note(Noted("access", who, detail))
            _log.info("%s: %s %s from %s", act.value, who, what, person.address)
        else:
            self._withheld += 1
        await self._fire(act, who, what, method)

    async def _fire(self, act: Act, who: str, what: str, method: ua.NodeId | None) -> None:
        event, iserver = self._events.get(act), self._iserver
        if event is None or iserver is None:
            return
        now = datetime.now(UTC)
        event.EventId = ua.Variant(_fresh_id(), ua.VariantType.ByteString)
        event.Time = event.ReceiveTime = event.ActionTimeStamp = now
        event.Status = act in _GOOD
        event.ClientUserId = who
        if method is not None:
            event.MethodId = method
        event.ServerId = iserver.endpoints[0].Server.ApplicationUri if iserver.endpoints else ""
        event.Message = ua.LocalizedText(f"{act.value}: {who}: {what}"[:300])
        listeners = {
            session.session_id
            for session in iserver._external_sessions.values()  # pyright: ignore[reportPrivateUsage]
            if isinstance(session.user, Person) and session.user.roles & AUDITORS
        }
        for number, subscription in tuple(iserver.subscription_service.subscriptions.items()):
            if subscription.session_id in listeners:
                await iserver.subscription_service.trigger_event(event, number)

    def _within_plenty(self, act: Act) -> bool:
        """Each kind by itself: a flood of one must not hide another."""
        period = int(self._clock() / PERIOD_S)
        if period != self._period:
            self._period, self._refused = period, Counter()
        self._refused[act] += 1
        return self._refused[act] <= PLENTY


def _fresh_id() -> bytes:
    return secrets.token_bytes(16)
