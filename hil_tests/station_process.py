"""The station as a rig handles it: started as a person does, then seen from outside as processes, files and a log."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

_STOP_S = 20.0
_POLL_S = 0.01
_STATUS_MARK = b"--multiprocessing-fork"


class StationProcess:
    """`linegate run STATION.toml` with its guard.

    environment: added to the station's. limits: RLIMIT numbers set on the deciding process by `limit`, lifted by
    `unlimit`.
    """

    def __init__(self, station: Path, log: Path, environment: Mapping[str, str] | None = None) -> None:
        self.log = log
        self._limits: dict[int, tuple[int, int]] = {}
        with log.open("ab") as out:
            self._guard = subprocess.Popen(
                [sys.executable, "-m", "controller", "run", str(station)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                env={**os.environ, **(environment or {})},
            )

    @property
    def exit_code(self) -> int | None:
        """How the whole ended, None while it runs."""
        return self._guard.poll()

    @property
    def pid(self) -> int | None:
        """The deciding process; None while the guard is between two starts."""
        found = [pid for pid in _children(self._guard.pid) if b"--once" in _command(pid)]
        return found[0] if found else None

    def wait_pid(self, other_than: int = 0, timeout_s: float = 20.0) -> int:
        """The deciding process, once there is one of another number."""
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            pid = self.pid
            if pid is not None and pid != other_than:
                return pid
            if self.exit_code is not None:
                raise RuntimeError(f"the station ended with exit code {self.exit_code}; see {self.log}")
            time.sleep(_POLL_S)
        raise RuntimeError(f"no station process within {timeout_s:.0f} s; see {self.log}")

    def status_pid(self) -> int:
        """The process of the status server."""
        pids = [pid for pid in _children(self.wait_pid()) if _STATUS_MARK in _command(pid)]
        if not pids:
            raise RuntimeError("the station has no status process")
        return pids[-1]

    def kill(self) -> int:
        """`kill -9` on the deciding process; its number. The guard starts another."""
        pid = self.wait_pid()
        os.kill(pid, signal.SIGKILL)
        return pid

    def pause(self) -> None:
        """SIGSTOP on the deciding process."""
        os.kill(self.wait_pid(), signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT on the deciding process."""
        os.kill(self.wait_pid(), signal.SIGCONT)

    def memory_bytes(self) -> int:
        """Address space of the deciding process."""
        pages = int(Path(f"/proc/{self.wait_pid()}/statm").read_text().split()[0])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def limit(self, what: int, soft: int) -> None:
        """Lower a resource limit of the running deciding process, as `prlimit` does."""
        pid = self.wait_pid()
        before = resource.prlimit(pid, what)
        self._limits.setdefault(what, before)
        resource.prlimit(pid, what, (soft, before[1]))

    def unlimit(self) -> None:
        """Lift every limit that was lowered; a process that is gone took its own with it."""
        for what, before in self._limits.items():
            with suppress(ProcessLookupError, RuntimeError):
                resource.prlimit(self.wait_pid(timeout_s=1.0), what, before)
        self._limits.clear()

    def stop(self) -> int:
        """End it in good order, by force where it does not obey; its exit code."""
        if self._guard.poll() is None:
            with suppress(ProcessLookupError, RuntimeError):
                os.kill(self.wait_pid(timeout_s=0.5), signal.SIGCONT)
            self._guard.send_signal(signal.SIGTERM)
            try:
                self._guard.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self.destroy()
        return self._guard.wait()

    def destroy(self) -> None:
        """As a power cut does: guard and station at once."""
        pid = self.pid
        self._guard.kill()
        self._guard.wait()
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def wait_end(self, timeout_s: float = 20.0) -> int:
        """Wait until guard and station ended by themselves; the exit code."""
        return self._guard.wait(timeout_s)


def _children(pid: int) -> list[int]:
    with suppress(OSError):
        return [
            int(child)
            for task in Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text().split()
        ]
    return []


def _command(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""
