"""Who stands behind a request, as far as the rights are concerned."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass

from asyncua.crypto.permission_rules import User, UserRole

from controller.status.access import Role, permits


@dataclass
class Person(User):
    """The user of a session, in the library's terms a plain user, never an administrator.

    name: "" for an anonymous client.   secured: over an encrypted channel.   address: where it comes from.
    """

    role: UserRole = UserRole.User
    name: str | None = ""
    roles: frozenset[Role] = frozenset()
    secured: bool = False
    address: str = ""

    def may(self, least: Role) -> bool:
        """Has at least this role."""
        return permits(self.roles, least)

    @property
    def signs(self) -> bool:
        """What this person asks for counts as signed: a name that logged in, over an encrypted channel."""
        return bool(self.name) and self.secured


ANONYMOUS = frozenset({Role.OBSERVER})
"""Roles of a client without a name, where such clients may read. Never more."""

STATION = Person(name="", roles=frozenset())
"""Nobody: outside of a client's request."""

CALLER: ContextVar[Person] = ContextVar("caller", default=STATION)
"""Whose method call is being served."""

PROVEN: ContextVar[Person | None] = ContextVar("proven", default=None)
"""Who has just shown a right password, for the moment of activating the session."""


def caller_name() -> str:
    """The name that logged in, for the journal; "" outside of a client's request."""
    return CALLER.get().name or ""


class ProvenUsers:
    """The library's user manager. The passwords were checked before, in a thread, so that no hash holds the loop."""

    def get_user(
        self, iserver: object, username: str | None = None, password: str | None = None, certificate: object = None
    ) -> User | None:
        """The person of this moment, or None."""
        del iserver, username, password, certificate
        return PROVEN.get()
