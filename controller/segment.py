"""A named piece of shared memory that is always cleaned up, and never by the wrong process."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import threading
from collections.abc import Generator
from multiprocessing import resource_tracker, shared_memory

_UNSAFE = re.compile(r"[^A-Za-z0-9_-]")
_PREFIX = "linegate-"
_LONGEST = 30
"""macOS allows 31 characters for a name, with its leading slash."""

_PATCHING = threading.Lock()


class Segment:
    """Shared memory by name. `owned`: this process made it and removes its name on `close`."""

    def __init__(self, memory: shared_memory.SharedMemory, owned: bool) -> None:
        self._memory = memory
        self.owned = owned
        self.is_open = True

    @classmethod
    def create(cls, name: str, size: int) -> Segment:
        """Make it, in place of one that a crashed run may have left.

        Python's resource tracker removes it should this process be killed. Raises FileExistsError on Windows while a
        process still holds an old one that is too small: there a name goes only with its last user.
        """
        real = segment_name(name)
        with contextlib.suppress(FileNotFoundError):
            stale = _untracked(real)
            if sys.platform == "win32" and stale.size >= size:
                return cls(stale, owned=True)
            _remove(stale)
            stale.close()
        return cls(shared_memory.SharedMemory(real, create=True, size=size), owned=True)

    @classmethod
    def attach(cls, name: str) -> Segment:
        """Open one that exists. Raises FileNotFoundError."""
        return cls(_untracked(segment_name(name)), owned=False)

    @property
    def buffer(self) -> memoryview:
        """The memory itself. Whatever points into it must be gone before `close`."""
        buffer = self._memory.buf
        if buffer is None:
            raise ValueError("this shared memory is closed")
        return buffer

    @property
    def size(self) -> int:
        return self._memory.size

    def reserve(self, start: int, size: int) -> None:
        """Have the operating system hold that part of it ready from now on. Raises OSError where it has no room.

        On Linux shared memory is a promise until it is used, and a use for which there is no room ends the process
        (SIGBUS); elsewhere `create` has done this already.
        """
        if sys.platform == "linux":
            os.posix_fallocate(self._memory._fd, start, size)  # pyright: ignore[reportPrivateUsage, reportUnknownArgumentType, reportAttributeAccessIssue, reportUnknownMemberType]

    def unname(self) -> None:
        """Take away the name of one's own segment: the memory stays for those who have it, and goes with them."""
        if self.owned:
            self.owned = False
            with contextlib.suppress(FileNotFoundError):
                self._memory.unlink()

    def close(self) -> None:
        """Let go of it; an owner also removes the name, so that the memory goes with its last user."""
        if not self.is_open:
            return
        self.is_open = False
        self.unname()
        self._memory.close()


def segment_name(name: str) -> str:
    """The name under which the operating system knows it."""
    return (_PREFIX + _UNSAFE.sub("-", name))[:_LONGEST]


def _untracked(real: str) -> shared_memory.SharedMemory:
    """Open a segment without telling the resource tracker.

    Up to Python 3.12 attaching registers a segment as if it were one's own, and the tracker then removes it when the
    process that only looked on ends (python/cpython issue 82300). From 3.13 on there is a parameter for it.
    """
    if sys.version_info >= (3, 13):
        return shared_memory.SharedMemory(real, track=False)
    with _tracking_nothing():
        return shared_memory.SharedMemory(real)


def _remove(stale: shared_memory.SharedMemory) -> None:
    """Take away the name of an untracked segment. Windows has no names to take away."""
    with _tracking_nothing(), contextlib.suppress(FileNotFoundError):
        stale.unlink()


@contextlib.contextmanager
def _tracking_nothing() -> Generator[None]:
    def ignore(name: str, rtype: str) -> None:
        pass

    with _PATCHING:
        register, unregister = resource_tracker.register, resource_tracker.unregister
        resource_tracker.register = resource_tracker.unregister = ignore
        try:
            yield
        finally:
            resource_tracker.register, resource_tracker.unregister = register, unregister
