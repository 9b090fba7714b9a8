"""A small compiler of the Structured Text that deploy/plc uses: checked types in, Python out.

It takes IEC text (functions, instances called with named arguments) and Rockwell's (every call an add-on instruction
with its instance and operands in order, 0 and 1 for BOOL, CPS to copy). What it does not know it refuses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tree_sitter import Node

from tests.plc_blocks import machine
from tests.plc_blocks.expressions import DINT, STARTS, Code, Dialect, Expressions, Kind, Standard, parameters_of
from tests.plc_blocks.source import Unit, Variable, declared, field, named, refuse, text

__all__ = ["Dialect", "Standard", "compiled"]

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


class _Compiler(Expressions):
    """One source on its way to Python."""

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
            plainly = kind.name in STARTS
            yield f"        self.{member} = {value if plainly else f'assigned(self.{member}, {value})'}"

    def _function(self, unit: Unit) -> Iterator[str]:
        if unit.returns is None:
            raise refuse(unit.node, "returns nothing")
        yield f"def {unit.name}({', '.join(f'v_{variable.name}' for variable in parameters_of(unit))}):"
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
        if target.kind.name in STARTS:
            return f"{target.python} = {value}"
        return f"assigned({target.python}, {value})"

    def _invocation(self, node: Node) -> Iterator[str]:
        """A call that stands for itself: a block's instance, or an add-on instruction with its operands."""
        name, arguments = text(field(node, "function")), named(field(node, "arguments"))
        if self._dialect is Dialect.IEC:
            instance = self._expression(field(node, "function"))
            parameters = parameters_of(self._block_of(node, instance))
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
            parameters = parameters_of(unit)
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
