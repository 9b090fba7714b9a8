"""Structured Text as declarations and statements: what the grammar of `tree-sitter-iec61131-3-st` finds in a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import tree_sitter_iec61131_3_st
from tree_sitter import Language, Node, Parser

BLOCKS = Path(__file__).parents[2] / "deploy" / "plc"
"""Where the delivered sources lie."""

_PARSER = Parser(Language(tree_sitter_iec61131_3_st.language()))

_SECTIONS = {
    "var_input": "input",
    "var_output": "output",
    "var_in_out": "in_out",
    "var_block": "local",
}
_UNITS = {
    "function_declaration": "FUNCTION",
    "function_block_declaration": "FUNCTION_BLOCK",
    "program_declaration": "PROGRAM",
}


class StError(Exception):
    """The source is not what a compiler of the used subset takes. Names file and line."""


@dataclass(frozen=True, slots=True)
class Variable:
    """One declared variable. section: input, output, in_out or local."""

    name: str
    type: Node
    section: str
    retain: bool
    initial: Node | None


@dataclass(frozen=True, slots=True)
class Unit:
    """A function, function block or program. returns: type of a function's value."""

    kind: str
    name: str
    variables: tuple[Variable, ...]
    body: tuple[Node, ...]
    returns: Node | None
    node: Node


@dataclass(frozen=True, slots=True)
class Source:
    """What some files declare together: types by name, and units in their order."""

    types: dict[str, Node]
    units: dict[str, Unit]


def text(node: Node) -> str:
    """The node as it is written."""
    assert node.text is not None
    return node.text.decode()


def field(node: Node, name: str) -> Node:
    """A child that the grammar promises."""
    child = node.child_by_field_name(name)
    if child is None:
        raise refuse(node, f"has no {name}")
    return child


def named(node: Node) -> list[Node]:
    """The children that mean something."""
    return [child for child in node.named_children if child.type != "comment"]


def walk(node: Node) -> Iterator[Node]:
    """The node and everything in it, in the order of the text."""
    yield node
    for child in node.children:
        yield from walk(child)


def refuse(node: Node, why: str) -> StError:
    """The error for a place in the text."""
    return StError(f"line {node.start_point[0] + 1}: {text(node)[:60]!r} {why}")


def parse(code: str) -> Node:
    """The tree of one file. Raises StError where the grammar does not hold."""
    root = _PARSER.parse(code.encode()).root_node
    for node in walk(root):
        if node.type == "ERROR" or node.is_missing:
            raise refuse(node, "is not Structured Text")
    return root


def declared(codes: Sequence[str]) -> Source:
    """What these files declare together. A name declared twice is refused."""
    source = Source({}, {})
    for root in map(parse, codes):
        for node in named(root):
            if node.type == "type_declaration":
                for definition in named(node):
                    _once(definition, text(field(definition, "name")), source)
                    source.types[text(field(definition, "name"))] = field(definition, "definition")
            elif node.type in _UNITS:
                unit = _unit(node)
                _once(node, unit.name, source)
                source.units[unit.name] = unit
            else:
                raise refuse(node, f"({node.type}) is outside the used subset")
    return source


def _once(node: Node, name: str, source: Source) -> None:
    if name in source.types or name in source.units:
        raise refuse(node, f"declares {name} a second time")


def _unit(node: Node) -> Unit:
    variables = [variable for section in named(node) if section.type in _SECTIONS for variable in _section(section)]
    names = [variable.name for variable in variables]
    for name in names:
        if names.count(name) > 1:
            raise refuse(node, f"declares {name} twice")
    body = tuple(child for child in node.children_by_field_name("body") if child.type != "comment")
    name = text(field(node, "name"))
    return Unit(_UNITS[node.type], name, tuple(variables), body, node.child_by_field_name("return_type"), node)


def _section(section: Node) -> Iterator[Variable]:
    qualifiers = {text(n) for n in walk(section) if n.type == "var_qualifier"}
    if not qualifiers <= {"RETAIN"}:
        raise refuse(section, "has a qualifier outside the used subset")
    for declaration in named(section):
        if declaration.type == "variable_declaration":
            for name in declaration.children_by_field_name("names"):
                if name.is_named:
                    yield Variable(
                        text(name),
                        field(declaration, "type"),
                        _SECTIONS[section.type],
                        "RETAIN" in qualifiers,
                        declaration.child_by_field_name("initial_value"),
                    )
