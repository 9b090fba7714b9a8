"""Where-clauses of event filters: checked when a client sends one, evaluated with each event in bounded time.

asyncua 2.1 evaluates an element again wherever another one refers to it, so that twenty elements take a million steps
with each event; it takes OfType for "of exactly this type", so that whoever asks for conditions gets no alarm; and it
goes on with the old clause where a client sends a new one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import eq, ge, gt, le, lt
from typing import Any

from asyncua import ua
from asyncua.common.events import Event
from asyncua.server.address_space import AddressSpace
from asyncua.server.monitored_item_service import MonitoredItemData
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.status_codes import StatusCodes

from controller.status.security import limits
from controller.status.vision.instances import supertypes

_Operator = ua.FilterOperator
_OPERANDS = {
    _Operator.Equals: (2, 2),
    _Operator.IsNull: (1, 1),
    _Operator.GreaterThan: (2, 2),
    _Operator.LessThan: (2, 2),
    _Operator.GreaterThanOrEqual: (2, 2),
    _Operator.LessThanOrEqual: (2, 2),
    _Operator.Not: (1, 1),
    _Operator.Between: (3, 3),
    _Operator.InList: (2, limits.FILTER_STEPS),
    _Operator.And: (2, 2),
    _Operator.Or: (2, 2),
    _Operator.OfType: (1, 1),
}
"""The operators that are served, with the least and the most operands."""
_BARE = Event()


def check_where(clause: ua.ContentFilter) -> int:
    """Status code of a where-clause: Good, or why it can never be evaluated here."""
    elements: Sequence[ua.ContentFilterElement] = clause.Elements or []
    if len(elements) > limits.FILTER_ELEMENTS:
        return StatusCodes.BadTooManyOperations
    # From the last one: an element may refer to later ones only, or it would refer to itself without end.
    steps = [0] * len(elements)
    for index in reversed(range(len(elements))):
        element = elements[index]
        operands = element.FilterOperands or []
        bounds = _OPERANDS.get(element.FilterOperator)
        if bounds is None:
            return StatusCodes.BadMonitoredItemFilterUnsupported
        if not bounds[0] <= len(operands) <= bounds[1]:
            return StatusCodes.BadMonitoredItemFilterInvalid
        if not all(_is_operand(operand, index, len(elements)) for operand in operands):
            return StatusCodes.BadMonitoredItemFilterInvalid
        if element.FilterOperator == _Operator.OfType and not _is_type(operands[0]):
            return StatusCodes.BadMonitoredItemFilterInvalid
        steps[index] = 1 + sum(steps[o.Index] if isinstance(o, ua.ElementOperand) else 1 for o in operands)
        if steps[index] > limits.FILTER_STEPS:
            return StatusCodes.BadTooManyOperations
    return StatusCodes.Good


def names_a_field(operand: ua.SimpleAttributeOperand) -> bool:
    """The library looks the name up among the attributes of its own event object, whatever that finds there."""
    path = operand.BrowsePath or []
    if not path:
        return operand.AttributeId == AttributeIds.NodeId
    if any(not step.Name for step in path):
        return False
    name = Event.browse_path_to_attribute_name(path)
    return not name.startswith("_") and not hasattr(_BARE, name)


class WhereClause:
    """Says which events an item is to have. What an event does not have is null: neither equal nor unequal to anything.

    item: silent while it is not reporting.
    """

    def __init__(self, space: AddressSpace, clause: ua.ContentFilter, item: MonitoredItemData) -> None:
        self._elements: Sequence[ua.ContentFilterElement] = clause.Elements or []
        self._space, self._item = space, item
        self._kinds: dict[ua.NodeId, frozenset[ua.NodeId]] = {}

    def eval(self, event: Any) -> bool:
        """The library's name for it."""
        if self._item.mode != ua.MonitoringMode.Reporting:
            return False
        return not self._elements or self._holds(0, event) is True

    def _holds(self, index: int, event: Any) -> bool | None:
        element = self._elements[index]
        operands, operator = element.FilterOperands, element.FilterOperator
        if operator == _Operator.OfType:
            return self._value(operands[0], event) in self._types_of(event.EventType)
        values = [self._value(operand, event) for operand in operands]
        if operator == _Operator.IsNull:
            return values[0] is None
        if operator in (_Operator.And, _Operator.Or, _Operator.Not):
            return _logic(operator, values)
        if any(value is None for value in values[:1]):
            return None
        if operator == _Operator.InList:
            return values[0] in values[1:]
        if any(value is None for value in values):
            return None
        try:
            return bool(_COMPARISONS[operator](*values))
        except TypeError:
            # A text and a number: the one is not greater than the other, nor is it not.
            return None

    def _value(self, operand: Any, event: Any) -> Any:
        if isinstance(operand, ua.ElementOperand):
            return self._holds(operand.Index, event)
        if isinstance(operand, ua.LiteralOperand):
            return operand.Value.Value
        path = operand.BrowsePath
        return getattr(event, Event.browse_path_to_attribute_name(path) if path else "NodeId", None)

    def _types_of(self, kind: ua.NodeId) -> frozenset[ua.NodeId]:
        if kind not in self._kinds:
            self._kinds[kind] = frozenset((kind, *supertypes(self._space, kind)))
        return self._kinds[kind]


def _logic(operator: ua.FilterOperator, values: Sequence[Any]) -> bool | None:
    """And, Or and Not of true, false and null (OPC 10000-4, 7.7.3)."""
    known = [value if isinstance(value, bool) else None for value in values]
    if operator == _Operator.Not:
        return None if known[0] is None else not known[0]
    decisive = operator == _Operator.Or
    if decisive in known:
        return decisive
    return None if None in known else not decisive


def _between(value: Any, low: Any, high: Any) -> Any:
    return low <= value <= high


_COMPARISONS: dict[ua.FilterOperator, Callable[..., Any]] = {
    _Operator.Equals: eq,
    _Operator.GreaterThan: gt,
    _Operator.LessThan: lt,
    _Operator.GreaterThanOrEqual: ge,
    _Operator.LessThanOrEqual: le,
    _Operator.Between: _between,
}


def _is_operand(operand: Any, index: int, count: int) -> bool:
    match operand:
        case ua.ElementOperand():
            return index < operand.Index < count
        case ua.LiteralOperand():
            return operand.Value is not None
        case ua.SimpleAttributeOperand():
            return names_a_field(operand)
        case _:
            return False


def _is_type(operand: Any) -> bool:
    return isinstance(operand, ua.LiteralOperand) and isinstance(operand.Value.Value, ua.NodeId)
