"""Objects of the companion models' types: what is mandatory, and of the optional only what the station serves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from asyncua import ua
from asyncua.server.address_space import AddressSpace, NodeData
from asyncua.server.server import Server
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds

_AGGREGATES = tuple(
    ua.NodeId(ua.Int32(number))
    for number in (ObjectIds.HasComponent, ObjectIds.HasProperty, ObjectIds.HasOrderedComponent, ObjectIds.HasAddIn)
)
_HAS_SUBTYPE = ua.NodeId(ua.Int32(ObjectIds.HasSubtype))
_HAS_RULE = ua.NodeId(ua.Int32(ObjectIds.HasModellingRule))
_HAS_TYPE = ua.NodeId(ua.Int32(ObjectIds.HasTypeDefinition))
_MANDATORY = ua.NodeId(ua.Int32(ObjectIds.ModellingRule_Mandatory))

_ANY = ua.NodeId(ua.Int32(ObjectIds.BaseDataType))

READ_ONLY = 1
"""AccessLevel CurrentRead. The types declare more; what a station shows is never a client's to write."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an object is put: under which node, by which reference, with which string as node id and which name."""

    parent: ua.NodeId
    reference: int
    node_id: ua.NodeId
    browse_name: ua.QualifiedName


async def instantiate(server: Server, type_id: ua.NodeId, place: Place, optional: frozenset[str]) -> None:
    """Add an object of a type with its mandatory children, and the optional ones whose path below it is named.

    Children have the node id of their parent with "." and their name. A type's declaration of a child and the child's
    own type are taken together, as OPC 10000-3 wants it.
    """
    await _Builder(server, optional).add(place, (type_id, *supertypes(server.iserver.aspace, type_id)), type_id, "")


def supertypes(space: AddressSpace, type_id: ua.NodeId) -> Iterator[ua.NodeId]:
    """The types above a type, nearest first."""
    while (node := space.get(type_id)) is not None:
        above = [r for r in node.references if r.ReferenceTypeId == _HAS_SUBTYPE and not r.IsForward]
        if not above:
            return
        type_id = above[0].NodeId
        yield type_id


def declared(space: AddressSpace, sources: tuple[ua.NodeId, ...]) -> dict[str, list[ua.ReferenceDescription]]:
    """The children that types and declarations name, by browse name; for each all declarations, nearest first."""
    found: dict[str, list[ua.ReferenceDescription]] = {}
    for source in sources:
        for reference in space[source].references:
            if reference.IsForward and reference.ReferenceTypeId in _AGGREGATES and reference.BrowseName is not None:
                found.setdefault(str(reference.BrowseName.Name), []).append(reference)
    return found


def is_mandatory(space: AddressSpace, node_id: ua.NodeId) -> bool | None:
    """The child's modelling rule: True mandatory, False any other, None none at all (it stays with its type)."""
    rules = [r.NodeId for r in space[node_id].references if r.ReferenceTypeId == _HAS_RULE and r.IsForward]
    return rules[0] == _MANDATORY if rules else None


def type_of(space: AddressSpace, node_id: ua.NodeId) -> ua.NodeId | None:
    """The type definition of an object or variable; None for a method."""
    types = [r.NodeId for r in space[node_id].references if r.ReferenceTypeId == _HAS_TYPE and r.IsForward]
    return types[0] if types else None


def children_of(
    space: AddressSpace, sources: tuple[ua.NodeId, ...]
) -> Iterator[tuple[str, tuple[ua.NodeId, ...], int]]:
    """Name, declarations (nearest first, then its type's), and reference type of each child that has a rule."""
    for name, references in declared(space, sources).items():
        nodes = [r.NodeId for r in references]
        if name.startswith("<") or all(is_mandatory(space, node) is None for node in nodes):
            continue
        kind = next((t for node in nodes if (t := type_of(space, node)) is not None), None)
        chain = (*nodes, kind, *supertypes(space, kind)) if kind is not None else tuple(nodes)
        yield name, chain, int(references[0].ReferenceTypeId.Identifier)


class _Builder:
    """Adds nodes below one object."""

    def __init__(self, server: Server, optional: frozenset[str]) -> None:
        self._server, self._space, self._optional = server, server.iserver.aspace, optional

    async def add(self, place: Place, sources: tuple[ua.NodeId, ...], kind: ua.NodeId | None, path: str) -> None:
        """Add one node as the nearest declaration has it, then its children."""
        item = ua.AddNodesItem()
        item.RequestedNewNodeId, item.BrowseName = place.node_id, place.browse_name
        item.ParentNodeId, item.ReferenceTypeId = place.parent, ua.NodeId(ua.Int32(place.reference))
        if kind is not None:
            item.TypeDefinition = kind
        item.NodeClass, item.NodeAttributes = _attributes(self._space, sources, place.browse_name)
        (result,) = await self._server.iserver.isession.add_nodes([item])
        result.StatusCode.check()
        for name, chain, reference in children_of(self._space, sources):
            below = f"{path}.{name}".removeprefix(".")
            mandatory = any(is_mandatory(self._space, node) for node in chain[:1])
            if not mandatory and below not in self._optional:
                continue
            node_id = ua.NodeId(ua.String(f"{place.node_id.Identifier}.{name}"), place.node_id.NamespaceIndex)
            browse_name = _attribute(self._space[chain[0]], AttributeIds.BrowseName)
            child = Place(place.node_id, reference, node_id, browse_name)
            await self.add(child, chain, type_of(self._space, chain[0]), below)


def _attribute(node: NodeData, attribute: AttributeIds) -> Any:
    held = node.attributes.get(attribute)
    if held is None or held.value is None or held.value.Value is None:
        return None
    return held.value.Value.Value


def _attributes(
    space: AddressSpace, sources: tuple[ua.NodeId, ...], name: ua.QualifiedName
) -> tuple[ua.NodeClass, object]:
    nearest = space[sources[0]]
    node_class = ua.NodeClass(_attribute(nearest, AttributeIds.NodeClass))
    description = _attribute(nearest, AttributeIds.Description) or ua.LocalizedText("")
    if node_class in (ua.NodeClass.Object, ua.NodeClass.ObjectType):
        found = ua.ObjectAttributes()
        node_class = ua.NodeClass.Object
    elif node_class is ua.NodeClass.Method:
        found = ua.MethodAttributes()
        found.Executable = found.UserExecutable = True
    else:
        node_class = ua.NodeClass.Variable
        found = ua.VariableAttributes()
        # A nodeset that names no data type means any; the importer leaves the null id for it.
        data_type = _attribute(nearest, AttributeIds.DataType)
        found.DataType = _ANY if data_type is None or data_type.is_null() else data_type
        rank = _attribute(nearest, AttributeIds.ValueRank)
        found.ValueRank = -1 if rank is None else rank
        found.ArrayDimensions = _attribute(nearest, AttributeIds.ArrayDimensions) or []
        found.AccessLevel = found.UserAccessLevel = ua.Byte(READ_ONLY)
        values = (space[source].attributes.get(AttributeIds.Value) for source in sources)
        given = [v.value.Value for v in values if v is not None and v.value is not None and v.value.Value is not None]
        found.Value = next((v for v in given if v.Value is not None), ua.Variant())
    found.DisplayName, found.Description = ua.LocalizedText(str(name.Name)), description
    return node_class, found
