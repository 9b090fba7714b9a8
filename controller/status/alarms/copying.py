"""A second instance like a first one: the library looks through all supertypes for each, a tenth of a second."""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy

from asyncua import ua
from asyncua.server.address_space import AddressSpace, AttributeValue, NodeData
from asyncua.ua.attribute_ids import AttributeIds


def copy_instance(space: AddressSpace, folder: ua.NodeId, pattern: ua.NodeId, made: ua.NodeId) -> None:
    """Copy a node with all nodes below it, whose ids begin with its own, into the same folder."""
    of_old, of_new = f"{pattern.Identifier}", f"{made.Identifier}"
    known: Iterable[ua.NodeId] = space.keys()
    below = [n for n in known if n.NamespaceIndex == pattern.NamespaceIndex and _below(n, of_old)]
    new = {n: ua.NodeId(ua.String(of_new + str(n.Identifier)[len(of_old) :]), made.NamespaceIndex) for n in below}
    name = of_new.rpartition(".")[2]
    for old, number in new.items():
        node = NodeData(number)
        for attribute, held in space[old].attributes.items():
            value = copy(held.value) if held.value is not None else None
            node.attributes[attribute] = AttributeValue(value if value is not None else ua.DataValue())
        node.attributes[AttributeIds.NodeId] = AttributeValue(ua.DataValue(ua.Variant(number)))
        for reference in space[old].references:
            twin = copy(reference)
            twin.NodeId = new.get(reference.NodeId, reference.NodeId)
            if reference.NodeId == pattern:
                twin.BrowseName, twin.DisplayName = _names(made, name)
            node.references.append(twin)
        space[number] = node
    top = space[made]
    browse, display = _names(made, name)
    top.attributes[AttributeIds.BrowseName] = AttributeValue(ua.DataValue(ua.Variant(browse)))
    top.attributes[AttributeIds.DisplayName] = AttributeValue(ua.DataValue(ua.Variant(display)))
    down = next(reference for reference in space[folder].references if reference.NodeId == pattern)
    twin = copy(down)
    twin.NodeId, (twin.BrowseName, twin.DisplayName) = made, (browse, display)
    space[folder].references.append(twin)


def _below(node: ua.NodeId, name: str) -> bool:
    text = node.Identifier
    return isinstance(text, str) and (text == name or text.startswith(f"{name}."))


def _names(number: ua.NodeId, name: str) -> tuple[ua.QualifiedName, ua.LocalizedText]:
    return ua.QualifiedName(name, ua.UInt16(number.NamespaceIndex)), ua.LocalizedText(name)
