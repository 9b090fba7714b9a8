"""Where-clauses: what a client may ask for, what an event must have for it, and that neither takes for ever."""

from __future__ import annotations

from typing import Any

import pytest
from asyncua import ua
from asyncua.common.events import Event
from asyncua.server.address_space import AddressSpace, NodeData
from asyncua.server.monitored_item_service import MonitoredItemData
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes

from controller.status.security import limits
from controller.status.security.event_filter import WhereClause, check_where

Op = ua.FilterOperator
CONDITION, ALARM = ua.NodeId(ua.Int32(ObjectIds.ConditionType)), ua.NodeId(ua.Int32(ObjectIds.OffNormalAlarmType))


def literal(value: Any) -> ua.LiteralOperand:
    return ua.LiteralOperand(Value=ua.Variant(value))


def field(*names: str) -> ua.SimpleAttributeOperand:
    return ua.SimpleAttributeOperand(BrowsePath=[ua.QualifiedName(name) for name in names])


def element(index: int) -> ua.ElementOperand:
    return ua.ElementOperand(Index=ua.UInt32(index))


def clause(*elements: tuple[ua.FilterOperator, list[Any]]) -> ua.ContentFilter:
    made = [ua.ContentFilterElement(FilterOperator=operator, FilterOperands=given) for operator, given in elements]
    return ua.ContentFilter(Elements=made)


def space() -> AddressSpace:
    """OffNormalAlarmType below ConditionType, without what lies between them."""
    made = AddressSpace()
    made[CONDITION], made[ALARM] = NodeData(CONDITION), NodeData(ALARM)
    up = ua.ReferenceDescription(
        ReferenceTypeId=ua.NodeId(ua.Int32(ObjectIds.HasSubtype)), IsForward=False, NodeId=CONDITION
    )
    made[ALARM].references.append(up)
    return made


def item(mode: ua.MonitoringMode = ua.MonitoringMode.Reporting) -> MonitoredItemData:
    made = MonitoredItemData()
    made.mode = mode
    return made


def passes(where: ua.ContentFilter, **held: Any) -> bool:
    event: Any = Event()
    event.EventType = ALARM
    for name, value in held.items():
        setattr(event, name.replace("__", "/"), value)
    assert check_where(where) == StatusCodes.Good
    return WhereClause(space(), where, item()).eval(event)


SEVERITY = field("Severity")


@pytest.mark.parametrize(
    ("where", "held", "wanted"),
    [
        (clause(), {}, True),
        (clause((Op.OfType, [literal(CONDITION)])), {}, True),
        (clause((Op.OfType, [literal(ALARM)])), {}, True),
        (clause((Op.OfType, [literal(ua.NodeId(ua.Int32(ObjectIds.AuditEventType)))])), {}, False),
        (clause((Op.GreaterThanOrEqual, [SEVERITY, literal(500)])), {"Severity": 500}, True),
        (clause((Op.GreaterThan, [SEVERITY, literal(500)])), {"Severity": 500}, False),
        (clause((Op.LessThan, [SEVERITY, literal(500)])), {"Severity": 499}, True),
        (clause((Op.LessThanOrEqual, [SEVERITY, literal(500)])), {"Severity": 501}, False),
        (clause((Op.Between, [SEVERITY, literal(100), literal(500)])), {"Severity": 300}, True),
        (clause((Op.Between, [SEVERITY, literal(100), literal(500)])), {"Severity": 600}, False),
        (clause((Op.InList, [SEVERITY, literal(100), literal(500)])), {"Severity": 500}, True),
        (clause((Op.InList, [SEVERITY, literal(100), literal(500)])), {"Severity": 300}, False),
        (clause((Op.Equals, [field("ActiveState", "Id"), literal(True)])), {"ActiveState__Id": True}, True),
        (clause((Op.Equals, [field("ActiveState", "Id"), literal(True)])), {"ActiveState": True}, False),
        # An event without the field: the comparison is null, and so is its negation.
        (clause((Op.GreaterThan, [SEVERITY, literal(1)])), {}, False),
        (clause((Op.Not, [element(1)]), (Op.GreaterThan, [SEVERITY, literal(1)])), {}, False),
        (clause((Op.Not, [element(1)]), (Op.GreaterThan, [SEVERITY, literal(1)])), {"Severity": 1}, True),
        (clause((Op.IsNull, [SEVERITY])), {}, True),
        (clause((Op.IsNull, [SEVERITY])), {"Severity": 1}, False),
        (clause((Op.GreaterThan, [SEVERITY, literal("high")])), {"Severity": 1}, False),
        (clause((Op.Or, [element(1), element(2)]), (Op.IsNull, [SEVERITY]), (Op.Equals, [SEVERITY, literal(2)])),
         {"Severity": 2}, True),
        (clause((Op.And, [element(1), element(2)]), (Op.IsNull, [SEVERITY]), (Op.Equals, [SEVERITY, literal(2)])),
         {"Severity": 2}, False),
        (clause((Op.Or, [element(1), literal(True)]), (Op.Equals, [SEVERITY, literal(2)])), {}, True),
        (clause((Op.And, [element(1), literal(True)]), (Op.Equals, [SEVERITY, literal(2)])), {}, False),
        (clause((Op.And, [element(1), literal(True)]), (Op.Equals, [SEVERITY, literal(2)])), {"Severity": 2}, True),
    ],
)  # fmt: skip
def test_an_event_passes(where: ua.ContentFilter, held: dict[str, Any], wanted: bool) -> None:
    assert passes(where, **held) is wanted


@pytest.mark.parametrize(
    ("where", "code"),
    [
        (clause((Op.Cast, [literal(1), literal(2)])), StatusCodes.BadMonitoredItemFilterUnsupported),
        (clause((Op.Like, [SEVERITY, literal("%")])), StatusCodes.BadMonitoredItemFilterUnsupported),
        (clause((Op.Equals, [SEVERITY])), StatusCodes.BadMonitoredItemFilterInvalid),
        (clause((Op.Not, [])), StatusCodes.BadMonitoredItemFilterInvalid),
        (clause((Op.Not, [element(0)])), StatusCodes.BadMonitoredItemFilterInvalid),
        (clause((Op.Not, [element(1)])), StatusCodes.BadMonitoredItemFilterInvalid),
        (clause((Op.IsNull, [field("__class__")])), StatusCodes.BadMonitoredItemFilterInvalid),
        (clause((Op.IsNull, [field("data_types")])), StatusCodes.BadMonitoredItemFilterInvalid),
        (clause((Op.IsNull, [ua.SimpleAttributeOperand()])), StatusCodes.BadMonitoredItemFilterInvalid),
        (clause((Op.IsNull, [ua.AttributeOperand()])), StatusCodes.BadMonitoredItemFilterInvalid),
        (clause((Op.OfType, [literal("a text")])), StatusCodes.BadMonitoredItemFilterInvalid),
        (clause((Op.OfType, [SEVERITY])), StatusCodes.BadMonitoredItemFilterInvalid),
        (clause(*[(Op.IsNull, [SEVERITY])] * (limits.FILTER_ELEMENTS + 1)), StatusCodes.BadTooManyOperations),
    ],
)
def test_what_can_never_be_evaluated_is_refused(where: ua.ContentFilter, code: int) -> None:
    assert check_where(where) == code


def test_elements_that_are_referred_to_again_and_again_are_refused() -> None:
    """Each would double the work of the one before: 2^19 steps with every event."""
    elements: list[tuple[ua.FilterOperator, list[Any]]] = [
        (Op.Equals, [element(index + 1), element(index + 1)]) for index in range(limits.FILTER_ELEMENTS - 1)
    ]
    doubling = clause(*elements, (Op.IsNull, [SEVERITY]))
    assert check_where(doubling) == StatusCodes.BadTooManyOperations
    many = clause((Op.InList, [SEVERITY, *[literal(1)] * (limits.FILTER_STEPS + 1)]))
    assert check_where(many) == StatusCodes.BadMonitoredItemFilterInvalid
    chain: list[tuple[ua.FilterOperator, list[Any]]] = [
        (Op.Not, [element(index + 1)]) for index in range(limits.FILTER_ELEMENTS - 1)
    ]
    assert check_where(clause(*chain, (Op.IsNull, [SEVERITY]))) == StatusCodes.Good


@pytest.mark.parametrize("mode", [ua.MonitoringMode.Disabled, ua.MonitoringMode.Sampling])
def test_an_item_that_does_not_report_is_silent(mode: ua.MonitoringMode) -> None:
    held = item(mode)
    where = WhereClause(space(), clause(), held)
    event: Any = Event()
    assert not where.eval(event)
    held.mode = ua.MonitoringMode.Reporting
    assert where.eval(event)
