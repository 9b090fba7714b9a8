"""The people who may log in: a file with their roles and the scrypt hashes of their passwords, readable by its owner.

The file is read anew when it changed, so `linegate users` takes effect on a running station.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
import secrets
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from controller.errors import ConfigError
from controller.status.access import Role

COST, BLOCK, LANES = 1 << 15, 8, 1
"""scrypt's N, r and p: 32 MB and some 80 ms for each guess."""
SHORTEST, LONGEST = 10, 200
"""Characters of a password."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_MEMORY = 128 * COST * BLOCK * 2


@dataclass(frozen=True, slots=True)
class Account:
    """One person. salt, digest: of scrypt with COST, BLOCK, LANES."""

    name: str
    roles: frozenset[Role]
    salt: bytes
    digest: bytes


NOBODY = Account("", frozenset(), b"\0" * 16, b"\0" * 32)
"""Checked in place of an account that does not exist: a wrong name must take as long as a wrong password."""


def make_account(name: str, password: str, roles: frozenset[Role]) -> Account:
    """A new account. Raises ValueError for a name or a password that is not allowed."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"name {name!r}: 1 to 64 letters, digits and . _ @ -, a letter or digit first")
    if not roles:
        raise ValueError(f"{name} needs a role: {', '.join(role.value for role in Role)}")
    if not SHORTEST <= len(password) <= LONGEST:
        raise ValueError(f"a password has {SHORTEST} to {LONGEST} characters")
    salt = secrets.token_bytes(16)
    return Account(name, roles, salt, _hash(password, salt))


def matches(account: Account, password: str) -> bool:
    """The password is the account's. Takes COST; for a thread, not for an event loop."""
    if len(password) > LONGEST:
        return False
    return hmac.compare_digest(_hash(password, account.salt), account.digest) and account is not NOBODY


def _hash(password: str, salt: bytes) -> bytes:
    text = password.encode("utf-8", "surrogateescape")
    return hashlib.scrypt(text, salt=salt, n=COST, r=BLOCK, p=LANES, maxmem=_MEMORY, dklen=32)


class UsersFile:
    """The accounts on disk. Raises ConfigError when the file cannot be used."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, int] | None = None
        self._accounts: dict[str, Account] = {}

    def accounts(self) -> Mapping[str, Account]:
        """All accounts by name; none where there is no file yet."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            self._seen, self._accounts = None, {}
            return self._accounts
        if os.name == "posix" and found.st_mode & 0o077:
            raise self._wrong(oct(found.st_mode & 0o777), "others can read it: chmod 600")
        if self._seen != (found.st_mtime_ns, found.st_ino):
            self._accounts = self._read()
            self._seen = found.st_mtime_ns, found.st_ino
        return self._accounts

    def put(self, account: Account) -> None:
        """Add or replace one account."""
        self._write({**self.accounts(), account.name: account})

    def remove(self, name: str) -> bool:
        """Remove one account; False when there is none of this name."""
        accounts = dict(self.accounts())
        if accounts.pop(name, None) is None:
            return False
        self._write(accounts)
        return True

    def _read(self) -> dict[str, Account]:
        try:
            rows = json.loads(self.path.read_text(encoding="utf-8"))["users"]
            return {name: _account(name, row) for name, row in rows.items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._wrong(
                self.path.name, f"is damaged ({error}): restore it, or remove it and add the users anew"
            ) from error

    def _write(self, accounts: Mapping[str, Account]) -> None:
        rows = {name: _row(accounts[name]) for name in sorted(accounts)}
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=".users-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump({"schema": 1, "users": rows}, file, indent=2)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self.path)
        except OSError as error:
            Path(name).unlink(missing_ok=True)
            raise self._wrong(self.path.name, f"cannot be written: {error.strerror}") from error

    def _wrong(self, value: str, cure: str) -> ConfigError:
        return ConfigError(str(self.path), "status.users_file", value, cure)


def _account(name: str, row: Mapping[str, object]) -> Account:
    roles = row["roles"]
    if not isinstance(roles, list):
        raise TypeError(f"roles of {name} are no list")
    salt, digest = base64.b64decode(str(row["salt"])), base64.b64decode(str(row["scrypt"]))
    if len(digest) != 32 or not salt:
        raise ValueError(f"the hash of {name} is cut off")
    return Account(name, frozenset(Role(role) for role in roles), salt, digest)


def _row(account: Account) -> dict[str, object]:
    return {
        "roles": sorted(role.value for role in account.roles),
        "salt": base64.b64encode(account.salt).decode(),
        "scrypt": base64.b64encode(account.digest).decode(),
    }
