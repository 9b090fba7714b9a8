"""What is permitted on which node: filled while the address space is built, asked with every request; else nothing."""

from __future__ import annotations

from asyncua import ua
from asyncua.ua.attribute_ids import AttributeIds

from controller.status.access import METHODS, STANDARD_METHODS, WRITABLE, Audit, Role
from controller.status.address_space import node_id
from controller.status.security.caller import Person


class Rights:
    """Least roles by node id."""

    def __init__(self) -> None:
        self.methods: dict[ua.NodeId, Role] = {}
        self.writable: dict[ua.NodeId, Role] = {}
        self.unaudited: set[ua.NodeId] = set()
        """Methods that only read: they leave nothing in the audit trail, unless they are refused."""
        for name, access in METHODS.items():
            method = ua.NodeId.from_string(node_id(name))
            self.methods[method] = access.role
            if access.audit is Audit.NONE:
                self.unaudited.add(method)
        for number, least in STANDARD_METHODS.items():
            self.methods[ua.NodeId(ua.Int32(number))] = least
        for name, least in WRITABLE.items():
            self.writable[ua.NodeId.from_string(node_id(name))] = least

    def may_call(self, person: Person, method: ua.NodeId) -> bool:
        """A method that is not named may be called by nobody."""
        least = self.methods.get(method)
        return least is not None and person.may(least)

    def may_write(self, person: Person, node: ua.NodeId, attribute: int) -> bool:
        """Only values, only of nodes that are named, and never without a name."""
        least = self.writable.get(node)
        return least is not None and attribute == AttributeIds.Value and bool(person.name) and person.may(least)
