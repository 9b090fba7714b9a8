"""Types and expressions of Structured Text, worked out to Python."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from tree_sitter import Node

from tests.plc_blocks import machine
from tests.plc_blocks.source import Source, Unit, Variable, field, named, refuse, text

_COMPARISONS = {"=": "==", "<>": "!=", "<": "<", ">": ">", "<=": "<=", ">=": ">="}
_ARITHMETIC = {"+", "-", "*", "/", "MOD"}
_LOGIC = {"AND": "&", "OR": "|", "XOR": "^"}
STARTS = {"DINT": "0", "BOOL": "False", "REAL": "0.0", "STRING": "''", "TIME": "0"}
"""Elementary types and their first values."""


class Dialect(Enum):
    """Whose Structured Text it is."""

    IEC = "IEC 61131-3"
    LOGIX = "Rockwell Logix"


@dataclass(frozen=True, slots=True)
class Kind:
    """A type. element, lower, upper: of an array."""

    name: str
    element: Kind | None = None
    lower: int = 0
    upper: int = 0


@dataclass(frozen=True, slots=True)
class Code:
    """A piece of Python and the type of what it gives. variable: it can be assigned to."""

    python: str
    kind: Kind
    variable: bool = False


@dataclass(frozen=True, slots=True)
class Standard:
    """A function that every controller brings along, or that a test lends."""

    takes: tuple[str, ...]
    gives: str
    call: Callable[..., Any]


DINT, BOOL = Kind("DINT"), Kind("BOOL")


class Expressions:
    """The declarations of one source, and what an expression in one of its units means."""

    def __init__(self, source: Source, dialect: Dialect, standard: Mapping[str, Standard]) -> None:
        self._source, self._dialect, self._standard = source, dialect, standard
        self._unit: Unit | None = None
        self._scope: dict[str, Variable] = {}

    def _kind(self, node: Node) -> Kind:
        if node.type == "array_type":
            subrange = field(node, "range")
            lower, upper = int(text(field(subrange, "lower"))), int(text(field(subrange, "upper")))
            return Kind("ARRAY", self._kind(field(node, "element_type")), lower, upper)
        if node.type == "string_type":
            return Kind("STRING")
        name = text(node)
        definition = self._source.types.get(name)
        if definition is not None and definition.type != "structure_type_inline":
            return self._kind(definition)
        if definition is None and name not in STARTS and name not in self._source.units:
            raise refuse(node, "is a type that nobody declares")
        return Kind(name)

    def _start(self, kind: Kind) -> str:
        if kind.element is not None:
            return f"[{self._start(kind.element)} for _ in range({kind.upper - kind.lower + 1})]"
        return STARTS.get(kind.name, f"{kind.name}()")

    def _target(self, node: Node) -> Code:
        code = self._expression(node)
        root = text(node).partition(".")[0].partition("[")[0]
        variable = self._scope.get(root)
        if not code.variable or (variable is not None and variable.section == "input"):
            raise refuse(node, "cannot be assigned to")
        return code

    def _condition(self, node: Node) -> str:
        return self._fitting(node, BOOL).python

    def _fitting(self, node: Node, kind: Kind) -> Code:
        """The expression, which must be of this type."""
        if self._dialect is Dialect.LOGIX and kind == BOOL and node.type == "integer_literal" and text(node) in "01":
            return Code(str(text(node) == "1"), BOOL)
        code = self._expression(node)
        if code.kind != kind:
            raise refuse(node, f"is a {code.kind.name} where a {kind.name} belongs")
        return code

    def _expression(self, node: Node) -> Code:
        match node.type:
            case "integer_literal":
                written = text(node)
                return Code(
                    str(machine.dint(int(written[3:], 16) if written.startswith("16#") else int(written))), DINT
                )
            case "boolean_literal" if self._dialect is Dialect.IEC:
                return Code(str(text(node) == "TRUE"), BOOL)
            case "identifier":
                return self._variable(node)
            case "parenthesized_expression":
                inner = self._expression(named(node)[0])
                return Code(f"({inner.python})", inner.kind)
            case "member_access_expression":
                return self._member(node)
            case "index_expression":
                return self._indexed(node)
            case "unary_expression":
                return self._unary(node)
            case "binary_expression":
                return self._binary(node)
            case "call_expression" if self._dialect is Dialect.IEC or text(field(node, "function")) in self._standard:
                return self._call(node)
            case _:
                raise refuse(node, f"({node.type}) is outside the used subset")

    def _variable(self, node: Node) -> Code:
        name, unit = text(node), self._unit
        assert unit is not None
        if name == unit.name and unit.returns is not None:
            return Code(f"v_{name}", self._kind(unit.returns), True)
        variable = self._scope.get(name)
        if variable is None:
            raise refuse(node, "is not declared")
        local = unit.kind == "FUNCTION" or variable.section == "in_out"
        return Code(f"v_{name}" if local else f"self.{name}", self._kind(variable.type), True)

    def _member(self, node: Node) -> Code:
        owner, name = self._expression(field(node, "object")), text(field(node, "member"))
        definition, unit = self._source.types.get(owner.kind.name), self._source.units.get(owner.kind.name)
        if definition is not None:
            for entry in named(definition):
                if name in map(text, entry.children_by_field_name("name")):
                    return Code(f"{owner.python}.{name}", self._kind(field(entry, "type")), True)
        elif unit is not None:
            for variable in unit.variables:
                if variable.name == name and variable.section == "output":
                    return Code(f"{owner.python}.{name}", self._kind(variable.type))
        raise refuse(node, f"{owner.kind.name} has no {name} to read")

    def _indexed(self, node: Node) -> Code:
        array = self._expression(field(node, "object"))
        place = self._fitting(field(node, "index"), DINT).python
        if array.kind.name == "STRING":
            return Code(f"character({array.python}, {place})", DINT)
        if array.kind.element is None:
            raise refuse(node, "is no array")
        lower, upper = array.kind.lower, array.kind.upper
        return Code(f"{array.python}[index({place}, {lower}, {upper})]", array.kind.element, True)

    def _unary(self, node: Node) -> Code:
        sign, operand = node.children[0].type, field(node, "operand")
        if sign == "NOT":
            return Code(f"(not {self._fitting(operand, BOOL).python})", BOOL)
        if sign == "-":
            return Code(f"dint(-{self._fitting(operand, DINT).python})", DINT)
        raise refuse(node, "is outside the used subset")

    def _binary(self, node: Node) -> Code:
        left, sign, right = field(node, "left"), node.children[1].type, field(node, "right")
        if sign in _LOGIC:
            # Not Python's "and": a controller may work out both sides.
            both = (self._fitting(left, BOOL).python, self._fitting(right, BOOL).python)
            return Code(f"(({both[0]}) {_LOGIC[sign]} ({both[1]}))", BOOL)
        if sign in _ARITHMETIC:
            one, two = self._fitting(left, DINT).python, self._fitting(right, DINT).python
            if sign == "/":
                return Code(f"quotient({one}, {two})", DINT)
            return Code(f"remainder({one}, {two})" if sign == "MOD" else f"dint({one} {sign} {two})", DINT)
        if sign in _COMPARISONS:
            one = self._expression(left)
            if (sign not in ("=", "<>") and one.kind != DINT) or one.kind.name not in STARTS or one.kind == BOOL:
                raise refuse(node, f"compares {one.kind.name}")
            return Code(f"({one.python} {_COMPARISONS[sign]} {self._fitting(right, one.kind).python})", BOOL)
        raise refuse(node, f"{sign} is outside the used subset")

    def _call(self, node: Node) -> Code:
        """A function in an expression."""
        name, arguments = text(field(node, "function")), named(field(node, "arguments"))
        standard = self._standard.get(name)
        if standard is not None:
            if len(arguments) != len(standard.takes):
                raise refuse(node, f"{name} takes {len(standard.takes)} arguments")
            given = [self._fitting(a, Kind(k)).python for a, k in zip(arguments, standard.takes, strict=True)]
            return Code(f"std_{name}({', '.join(given)})", Kind(standard.gives))
        unit = self._source.units.get(name)
        if unit is None or unit.returns is None:
            raise refuse(node, "calls what is no function")
        given = self._by_name(node, parameters_of(unit), arguments)
        return Code(f"{name}({', '.join(given)})", self._kind(unit.returns))

    def _by_name(self, node: Node, parameters: Sequence[Variable], arguments: Sequence[Node]) -> list[str]:
        """Named arguments; every parameter in its order, so that the call reads the same in every dialect."""
        names = [text(field(a, "name")) if a.type == "named_argument" else "" for a in arguments]
        if names != [parameter.name for parameter in parameters]:
            raise refuse(node, f"must name {', '.join(parameter.name for parameter in parameters)} in this order")
        return [self._argument(p, field(a, "value")) for p, a in zip(parameters, arguments, strict=True)]

    def _argument(self, parameter: Variable, node: Node) -> str:
        kind = self._kind(parameter.type)
        if parameter.section == "in_out":
            if kind.name in STARTS:
                raise refuse(node, "is an elementary VAR_IN_OUT")
            self._fitting(node, kind)
            return self._target(node).python
        if kind.name not in STARTS:
            raise refuse(node, "hands a structure over by value")
        return self._fitting(node, kind).python


def parameters_of(unit: Unit) -> list[Variable]:
    return [variable for variable in unit.variables if variable.section in ("input", "in_out")]
