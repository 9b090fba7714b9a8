"""What the EtherNet/IP link needs of a client library. Another library takes pycomm3's place by one file beside
`logix_pycomm.py` and its name in `ethernet_ip.py`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from statemachines.vocabulary import Ns

LogixValue = bool | int | float | str


@dataclass(frozen=True, slots=True)
class LogixTag:
    """One value in the controller. type: as Studio 5000 names it, every kind of string as "STRING".

    readable, writable: external access. characters: the longest string that it holds. address: for the client alone.
    """

    name: str
    type: str
    readable: bool
    writable: bool
    characters: int
    address: object


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a tag was not found, not read or not written, in words for the plant engineer."""

    why: str


class LogixClient(Protocol):
    """One connection to one controller, from `open` to `close`; never used again after any DeviceError.

    Blocking, and on one thread but for `abort`. `until`: absolute, monotonic ns; nothing lasts longer. A reply that is
    not the one to the request at hand is a DeviceError, never a value.
    """

    def open(self, names: Collection[str], until: Ns) -> Mapping[str, LogixTag | Refusal]:
        """Connect and look up these tags in the controller's own list. Raises DeviceError."""
        ...

    def read(self, tags: Sequence[LogixTag], until: Ns) -> list[LogixValue | Refusal]:
        """Read in the order given, in as few requests as the connection allows. Raises DeviceError."""
        ...

    def write(self, tags: Sequence[LogixTag], values: Sequence[LogixValue], until: Ns) -> list[Refusal | None]:
        """Write in the order given, each tag once. Values fit their tags. Raises DeviceError."""
        ...

    def close(self, until: Ns) -> None:
        """Take leave of the controller, if it listens. Never raises."""
        ...

    def abort(self) -> None:
        """Cut the connection at once, from any thread: what is under way fails."""
        ...
