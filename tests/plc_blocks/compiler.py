"""A small compiler of the Structured Text that deploy/plc uses: checked types in, Python out.

It takes IEC text (functions, instances called with named arguments) and Rockwell's (every call an add-on instruction
with its instance and operands in order, 0 and 1 for BOOL, CPS to copy). What it does not know it refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from tree_sitter import Node

from tests.plc_blocks import machine
from tests.plc_blocks.source import Source, Unit, Variable, declared, field, named, refuse, text

_COMPARISONS = {"=": "==", "<>": "!=", "<": "<", ">": ">", "<=": "<=", ">=": ">="}
_ARITHMETIC = {"+", "-", "*", "/", "MOD"}
_LOGIC = {"AND": "&", "OR": "|", "XOR": "^"}
_STARTS = {"DINT": "0", "BOOL": "False", "REAL": "0.0", "STRING": "''", "TIME": "0"}


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


DINT, BOOL, NOTHING = Kind("DINT"), Kind("BOOL"), Kind("nothing")
LEN = Standard(("STRING",), "DINT", len)


def compiled(
    codes: Sequence[str], dialect: Dialect = Dialect.IEC, standard: Mapping[str, Standard] | None = None
) -> dict[str, Any]:
    """The classes of all structures, blocks and programs and the functions of these files, by name.

    A block is called as `block.scan(in_outs…)` after its inputs were set as attributes.
    Raises StError for text that is not well formed, ill typed, or outside the subset.
    """
    known = {"LEN": LEN, **(standard or {})}
    compiler = _Compiler(declared(codes), dialect, known)
    names: dict[str, Any] = {name: getattr(machine, name) for name in ("dint", "quotient", "remainder", "index")}
    names |= {"Struct": machine.Struct, "assigned": machine.assigned, "character": machine.character}
    names |= {f"std_{name}": function.call for name, function in known.items()}
    exec(compile("\n".join(compiler.module()), "<structured text>", "exec"), names)  # made of checked text only
    return names


class _Compiler:
    """One source on its way to Python."""

    def __init__(self, source: Source, dialect: Dialect, standard: Mapping[str, Standard]) -> None:
        self._source, self._dialect, self._standard = source, dialect, standard
        self._unit: Unit | None = None
        self._scope: dict[str, Variable] = {}

    def module(self) -> Iterator[str]:
        """The lines of the Python module."""
        for name, definition in self._source.types.items():
            if definition.type == "structure_type_inline":
                fields = [
                    (text(member), self._kind(field(entry, "type")))
                    for entry in named(definition)
                    for member in entry.children_by_field_name("name")
                ]
                yield from self._class(name, fields)
        for unit in self._source.units.values():
            self._unit, self._scope = unit, {variable.name: variable for variable in unit.variables}
            yield from self._function(unit) if unit.kind == "FUNCTION" else self._block(unit)

    def _class(self, name: str, fields: Sequence[tuple[str, Kind]]) -> Iterator[str]:
        yield f"class {name}(Struct):"
        yield f"    __slots__ = {tuple(member for member, _ in fields)!r}"
        makers = "".join(f"({member!r}, lambda: {self._start(kind)})," for member, kind in fields)
        yield f"    fields = ({makers})"
        yield "    def take(self, other):"
        for member, kind in fields:
            value = f"other.{member}"
            plainly = kind.name in _STARTS
            yield f"        self.{member} = {value if plainly else f'assigned(self.{member}, {value})'}"

    def _function(self, unit: Unit) -> Iterator[str]:
        if unit.returns is None:
            raise refuse(unit.node, "returns nothing")
        yield f"def {unit.name}({', '.join(f'v_{variable.name}' for variable in _parameters(unit))}):"
        yield f"    v_{unit.name} = {self._start(self._kind(unit.returns))}"
        for variable in unit.variables:
            if variable.section == "output":
                raise refuse(unit.node, "is a function with VAR_OUTPUT")
            if variable.section == "local":
                yield f"    v_{variable.name} = {self._first(variable)}"
        yield from self._statements(unit.body, 1)
        yield f"    return v_{unit.name}"

    def _block(self, unit: Unit) -> Iterator[str]:
        held = [variable for variable in unit.variables if variable.section != "in_out"]
        yield from self._class(unit.name, [(variable.name, self._kind(variable.type)) for variable in held])
        yield f"    retained = {tuple(variable.name for variable in held if variable.retain)!r}"
        given = {variable.name: self._first(variable) for variable in held if variable.initial is not None}
        yield "    def __init__(self):"
        yield "        super().__init__()"
        for name, value in given.items():
            yield f"        self.{name} = {value}"
        in_outs = "".join(f", v_{variable.name}" for variable in unit.variables if variable.section == "in_out")
        yield f"    def scan(self{in_outs}):"
        yield from self._statements(unit.body, 2)

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
        if definition is None and name not in _STARTS and name not in self._source.units:
            raise refuse(node, "is a type that nobody declares")
        return Kind(name)

    def _start(self, kind: Kind) -> str:
        if kind.element is not None:
            return f"[{self._start(kind.element)} for _ in range({kind.upper - kind.lower + 1})]"
        return _STARTS.get(kind.name, f"{kind.name}()")

    def _first(self, variable: Variable) -> str:
        kind = self._kind(variable.type)
        if variable.initial is None:
            return self._start(kind)
        return self._fitting(variable.initial, kind).python

    def _statements(self, nodes: Sequence[Node], depth: int) -> Iterator[str]:
        lines = [line for node in nodes if node.type != "comment" for line in self._statement(node, depth)]
        yield from lines or [f"{'    ' * depth}pass"]

    def _statement(self, node: Node, depth: int) -> Iterator[str]:
        pad = "    " * depth
        match node.type:
            case "empty_statement":
                return
            case "assignment_statement":
                yield pad + self._assignment(field(node, "left"), field(node, "right"))
            case "invocation_statement":
                for line in self._invocation(named(node)[0]):
                    yield pad + line
            case "if_statement":
                yield f"{pad}if {self._condition(field(node, 'condition'))}:"
                yield from self._statements(node.children_by_field_name("consequence"), depth + 1)
                for clause in named(node):
                    if clause.type == "elsif_clause":
                        yield f"{pad}elif {self._condition(field(clause, 'condition'))}:"
                        yield from self._statements(clause.children_by_field_name("body"), depth + 1)
                    elif clause.type == "else_clause":
                        yield f"{pad}else:"
                        yield from self._statements(clause.children_by_field_name("body"), depth + 1)
            case "for_statement":
                control = self._expression(field(node, "control"))
                start = self._fitting(field(node, "start"), DINT).python
                end = self._fitting(field(node, "end"), DINT).python
                yield f"{pad}for {control.python} in range({start}, {end} + 1):"
                yield from self._statements(node.children_by_field_name("body"), depth + 1)
            case "while_statement":
                yield f"{pad}while {self._condition(field(node, 'condition'))}:"
                yield from self._statements(node.children_by_field_name("body"), depth + 1)
            case "exit_statement":
                yield f"{pad}break"
            case _:
                raise refuse(node, f"({node.type}) is outside the used subset")

    def _assignment(self, left: Node, right: Node) -> str:
        target = self._target(left)
        value = self._fitting(right, target.kind).python
        if target.kind.name in _STARTS:
            return f"{target.python} = {value}"
        return f"assigned({target.python}, {value})"

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
            if (sign not in ("=", "<>") and one.kind != DINT) or one.kind.name not in _STARTS or one.kind == BOOL:
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
        given = self._by_name(node, _parameters(unit), arguments)
        return Code(f"{name}({', '.join(given)})", self._kind(unit.returns))

    def _invocation(self, node: Node) -> Iterator[str]:
        """A call that stands for itself: a block's instance, or an add-on instruction with its operands."""
        name, arguments = text(field(node, "function")), named(field(node, "arguments"))
        if self._dialect is Dialect.IEC:
            instance = self._expression(field(node, "function"))
            parameters = _parameters(self._block_of(node, instance))
            yield from _run(instance, parameters, self._by_name(node, parameters, arguments), ())
        elif name == "CPS":
            source, target = self._expression(arguments[0]), self._target(arguments[1])
            if source.kind != target.kind or text(arguments[2]) != "1":
                raise refuse(node, "copies between types")
            yield f"assigned({target.python}, {source.python})"
        else:
            instance = self._expression(arguments[0])
            unit = self._block_of(node, instance)
            if unit.name != name:
                raise refuse(node, f"gives {name} an instance of {unit.name}")
            parameters = _parameters(unit)
            inputs, outputs = arguments[1 : len(parameters) + 1], arguments[len(parameters) + 1 :]
            for operand in arguments[1:]:
                # Logix takes tags and immediate values as operands, no expressions.
                if operand.type not in (
                    "identifier",
                    "member_access_expression",
                    "index_expression",
                    "integer_literal",
                ):
                    raise refuse(operand, "is no tag and no immediate value")
            if len(inputs) != len(parameters):
                raise refuse(node, f"gives {len(inputs)} operands, {name} has {len(parameters)}")
            given = [self._argument(p, a) for p, a in zip(parameters, inputs, strict=True)]
            results = [variable for variable in unit.variables if variable.section == "output"]
            yield from _run(
                instance, parameters, given, [(self._target(a), r) for a, r in zip(outputs, results, strict=False)]
            )

    def _block_of(self, node: Node, instance: Code) -> Unit:
        unit = self._source.units.get(instance.kind.name)
        if unit is None or unit.kind == "FUNCTION":
            raise refuse(node, "calls what is no instance of a block")
        return unit

    def _by_name(self, node: Node, parameters: Sequence[Variable], arguments: Sequence[Node]) -> list[str]:
        """Named arguments; every parameter in its order, so that the call reads the same in every dialect."""
        names = [text(field(a, "name")) if a.type == "named_argument" else "" for a in arguments]
        if names != [parameter.name for parameter in parameters]:
            raise refuse(node, f"must name {', '.join(parameter.name for parameter in parameters)} in this order")
        return [self._argument(p, field(a, "value")) for p, a in zip(parameters, arguments, strict=True)]

    def _argument(self, parameter: Variable, node: Node) -> str:
        kind = self._kind(parameter.type)
        if parameter.section == "in_out":
            if kind.name in _STARTS:
                raise refuse(node, "is an elementary VAR_IN_OUT")
            return self._target(node).python if self._fitting(node, kind) else ""
        if kind.name not in _STARTS:
            raise refuse(node, "hands a structure over by value")
        return self._fitting(node, kind).python


def _parameters(unit: Unit) -> list[Variable]:
    return [variable for variable in unit.variables if variable.section in ("input", "in_out")]


def _run(
    instance: Code, parameters: Sequence[Variable], given: Sequence[str], outputs: Sequence[tuple[Code, Variable]]
) -> Iterator[str]:
    """Set the inputs, scan the block, take over the outputs that are operands."""
    for parameter, value in zip(parameters, given, strict=True):
        if parameter.section == "input":
            yield f"{instance.python}.{parameter.name} = {value}"
    in_outs = [value for parameter, value in zip(parameters, given, strict=True) if parameter.section == "in_out"]
    yield f"{instance.python}.scan({', '.join(in_outs)})"
    for target, output in outputs:
        yield f"{target.python} = {instance.python}.{output.name}"
