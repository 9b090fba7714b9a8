"""Logging in: who a client says it is, proven by a password that is checked in a thread, with waits for failures."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Literal, NoReturn

from asyncua.common.utils import ServiceError
from asyncua.ua.status_codes import StatusCodes

from controller.errors import ConfigError
from controller.status.security import limits
from controller.status.security.audit import Act, Audit
from controller.status.security.caller import ANONYMOUS, Person
from controller.status.security.penalty import Penalties
from controller.status.security.users import NOBODY, Account, UsersFile, matches

_log = logging.getLogger("controller.status.logins")


class Logins:
    """Everyone who may come in."""

    def __init__(self, users: UsersFile, anonymous: Literal["off", "read"], audit: Audit) -> None:
        self._users, self._anonymous, self._audit = users, anonymous, audit
        self._penalties = Penalties()
        self._turn = asyncio.Semaphore(limits.HASHING)
        self._waiting = 0

    def nobody(self, address: str, *, secured: bool) -> Person:
        """An anonymous client. Raises ServiceError where there are none."""
        if self._anonymous == "off":
            raise ServiceError(StatusCodes.BadIdentityTokenRejected)
        return Person(name="", roles=ANONYMOUS, secured=secured, address=address)

    async def prove(self, name: str, password: str, address: str, *, secured: bool) -> Person:
        """The person, once the password is right. A wrong one is answered late, and audited. Raises ServiceError."""
        place = (address, name[:64])
        if self._penalties.wait_s(place, time.monotonic()) > 0:
            await self._refuse(name, address, "too soon after a failure", 0.0)
        if self._waiting >= limits.HASHES_WAITING:
            raise ServiceError(StatusCodes.BadTooManyOperations)
        account = self._accounts().get(name, NOBODY)
        self._waiting += 1
        try:
            async with self._turn:
                right = await asyncio.to_thread(matches, account, password)
        finally:
            self._waiting -= 1
        if not right:
            wait_s = self._penalties.failed(place, time.monotonic())
            await self._refuse(name, address, "wrong name or password", wait_s)
        self._penalties.succeeded(place)
        person = Person(name=name, roles=account.roles, secured=secured, address=address)
        await self._audit.tell(Act.LOGGED_IN, person, " ".join(sorted(role.value for role in account.roles)))
        return person

    def still_welcome(self, person: Person) -> bool:
        """Nobody took this person's account or a role away since."""
        if not person.name:
            return self._anonymous == "read"
        account = self._accounts().get(person.name)
        return account is not None and account.roles == person.roles

    def _accounts(self) -> Mapping[str, Account]:
        try:
            return self._users.accounts()
        except ConfigError as error:
            # A file that was damaged while the station runs lets nobody in; the station goes on.
            _log.error("%s", error)
            return {}

    async def _refuse(self, name: str, address: str, why: str, wait_s: float) -> NoReturn:
        person = Person(name=ascii(name)[1:-1][:64], address=address)
        await self._audit.tell(Act.LOGIN_REFUSED, person, why)
        await asyncio.sleep(wait_s)
        raise ServiceError(StatusCodes.BadUserAccessDenied)
