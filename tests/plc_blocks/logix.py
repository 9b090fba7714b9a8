"""The Rockwell variant of the blocks, made from the IEC sources: `python -m tests.plc_blocks.logix`.

Logix Structured Text has no functions of one's own, no TRUE and FALSE, no copying of structures by `:=` and no
type aliases: every function becomes an add-on instruction with one output operand, every
call takes its instance and its operands in order. The text is rewritten in place, so that comments and layout stay.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tree_sitter import Node

from tests.plc_blocks.source import BLOCKS, Source, Unit, declared, field, named, parse, text, walk

FILES = ("1_types", "2a_part_id_number", "2_functions", "3_supervision", "4_reject_gate", "5_station", "6_four_phase")

_HEADER = """(* Rockwell Logix variant, generated from ../iec/{name}.st (python -m tests.plc_blocks.logix). See ../rockwell.md.

   STRUCT = user-defined data type. FUNCTION_BLOCK = add-on instruction: VAR_INPUT, VAR_OUTPUT and VAR_IN_OUT are its
   parameters in this order, all Required where a call names them; VAR are its local tags; the rest is its Logic routine. *)

"""


_VALUE = "Out"
"""The output operand that holds what the function returned."""


@dataclass(frozen=True, slots=True)
class Edit:
    """Bytes to replace."""

    start: int
    end: int
    by: str


def translated(name: str) -> str:
    """One file of the variant."""
    code = (BLOCKS / "iec" / f"{name}.st").read_text()
    source = declared([(BLOCKS / "iec" / f"{other}.st").read_text() for other in FILES])
    return _HEADER.format(name=name) + _applied(code, list(_edits(parse(code), source)))


def _applied(code: str, edits: list[Edit]) -> str:
    raw = code.encode()
    for edit in sorted(edits, key=lambda one: one.start, reverse=True):
        raw = raw[: edit.start] + edit.by.encode() + raw[edit.end :]
    return raw.decode()


def _edits(root: Node, source: Source) -> Iterator[Edit]:
    for node in named(root):
        if node.type == "type_declaration":
            yield from _type(node, source)
        else:
            unit = source.units[text(field(node, "name"))]
            yield from _unit(unit, source, node)


def _type(node: Node, source: Source) -> Iterator[Edit]:
    """A user-defined type; an alias has no counterpart, its meaning is written in its place."""
    definition = field(named(node)[0], "definition")
    if definition.type != "structure_type_inline":
        yield Edit(node.start_byte, node.end_byte, "")
    else:
        yield from _aliases(definition, source)


def _aliases(node: Node, source: Source) -> Iterator[Edit]:
    for inner in walk(node):
        definition = source.types.get(text(inner)) if inner.type == "identifier" else None
        if definition is not None and definition.type != "structure_type_inline":
            yield Edit(inner.start_byte, inner.end_byte, text(definition))


def _unit(unit: Unit, source: Source, node: Node) -> Iterator[Edit]:
    called = sorted({name for name in _calls(node) if source.units[name].kind == "FUNCTION"})
    instances = "".join(f"    Call_{name} : {name};\n" for name in called)
    sections = [child for child in named(node) if child.type.startswith("var_")]
    value = ""
    if unit.kind == "FUNCTION":
        assert unit.returns is not None
        keyword, colon, returns = node.children[0], node.children[2], field(node, "return_type")
        yield Edit(keyword.start_byte, keyword.end_byte, "FUNCTION_BLOCK")
        yield Edit(colon.start_byte - 1, returns.end_byte, "")
        yield Edit(node.children[-1].start_byte, node.children[-1].end_byte, "END_FUNCTION_BLOCK")
        value = f"\nVAR_OUTPUT\n    {_VALUE} : {text(unit.returns)};\nEND_VAR"
    for section in sections:
        yield from _aliases(section, source)
        for qualifiers in named(section):
            if qualifiers.type == "var_qualifier_list":
                yield Edit(qualifiers.start_byte - 1, qualifiers.end_byte, "")
    # Parameters stay in front of the local tags.
    locals_at = [section.children[-1].start_byte for section in sections if section.type == "var_block"]
    if instances and locals_at:
        yield Edit(locals_at[-1], locals_at[-1], instances)
    elif instances:
        value += f"\nVAR\n{instances}END_VAR"
    end = [section.end_byte for section in sections if section.type != "var_block"][-1]
    yield Edit(end, end, value)
    for statement in unit.body:
        yield from _body(statement, unit, source)


def _calls(node: Node) -> Iterator[str]:
    for inner in walk(node):
        if inner.type == "assignment_statement" and field(inner, "right").type == "call_expression":
            yield text(field(field(inner, "right"), "function"))


def _body(node: Node, unit: Unit, source: Source) -> Iterator[Edit]:
    if node.type == "assignment_statement":
        left, right = field(node, "left"), field(node, "right")
        target = _VALUE if text(left) == unit.name else text(left)
        if right.type == "call_expression":
            function = text(field(right, "function"))
            operands = [f"Call_{function}", *_operands(right), target]
            yield Edit(node.start_byte, right.end_byte, f"{function}({', '.join(operands)})")
            return
        if text(left) == "Copy":
            yield Edit(node.start_byte, right.end_byte, f"CPS({text(right)}, {target}, 1)")
            return
        if text(left) == unit.name:
            yield Edit(left.start_byte, left.end_byte, target)
    if node.type == "invocation_statement":
        call = named(node)[0]
        instance = text(field(call, "function"))
        block = next(text(variable.type) for variable in unit.variables if variable.name == instance)
        operands = [instance, *_operands(call)]
        yield Edit(call.start_byte, call.end_byte, f"{block}({', '.join(operands)})")
        return
    if node.type == "boolean_literal":
        yield Edit(node.start_byte, node.end_byte, "1" if text(node) == "TRUE" else "0")
    for child in node.children:
        yield from _body(child, unit, source)


def _operands(call: Node) -> Iterator[str]:
    for argument in named(field(call, "arguments")):
        value = text(field(argument, "value"))
        yield {"TRUE": "1", "FALSE": "0"}.get(value, value)


def main() -> None:
    """Write deploy/plc/rockwell."""
    for name in FILES:
        (BLOCKS / "rockwell" / f"{name}.st").write_text(translated(name))


if __name__ == "__main__":
    main()
