"""A rig on a real line: the line's own PLC brings the parts, the journal is the only witness that a rig can ask.

The station is started from a copy of the plant's station.toml that names the shaper in the PLC's place. What the PLC
itself saw stays with the PLC: duplicates and gates are not judged here, and "safe" is not measured.
"""

from __future__ import annotations

import sqlite3
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from hil_tests.journal import Journal, JournalRow
from hil_tests.rig import RigBroken, State, dwell
from hil_tests.rigfile import RigFile
from hil_tests.shaper import Shaper
from hil_tests.station_process import StationProcess

_POLL_S = 0.05
_START_S = 120.0
T = TypeVar("T")


class RealRig:
    """Use it with `with`, then `bring` it to a state."""

    def __init__(self, file: RigFile, folder: Path) -> None:
        if file.plc.kind != "real" or file.station.config is None:
            raise RigBroken(f"{file.name}: this rig has a simulated PLC: see hil_tests.rig")
        self.file, self.folder = file, folder
        self.state = State.OFF
        self.broken = ""
        self.shaper: Shaper | None = None
        self.station: StationProcess | None = None
        self._host, self._port = file.plc.host, file.plc.port
        self._config = self._copy = file.station.config
        data = Path(tomllib.loads(self._config.read_text(encoding="utf-8"))["station"]["data_dir"])
        self.data = data if data.is_absolute() else self._config.parent / data

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.station is not None:
            self.station.stop()
        if self.shaper is not None:
            self.shaper.__exit__(None, None, None)

    def bring(self, wanted: State) -> None:
        """Bring the rig up to a state. Raises RigBroken, now and ever after, when it does not get there."""
        if self.broken:
            raise RigBroken(f"the rig is broken: {self.broken}")
        steps = {State.LINE_UP: self._line_up, State.STATION_READY: self._start, State.RUNNING: self._run}
        try:
            for state in (s for s in State if self.state < s <= wanted):
                steps[state]()
                self.state = state
        except (RuntimeError, OSError, RigBroken) as error:
            self.broken = f"{self.state.name} did not lead on: {error}"
            raise RigBroken(self.broken) from error

    def next_answered(self, after: int, timeout_s: float = _START_S) -> JournalRow:
        """The next part after a row of the journal that was answered with a decision. Raises RigBroken."""
        return self._wait(lambda: self._answered(after), timeout_s, "no part was decided: does the line run?")

    def last_row(self) -> int:
        """Where the journal ends now."""
        with self.journal() as journal:
            return journal.last_row()

    def journal(self) -> Journal:
        """The station's journal, to be used with `with`."""
        return Journal(self.data / "journal.db")

    def _line_up(self) -> None:
        text = self._config.read_text(encoding="utf-8")
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.file.network.shaper:
            self.shaper = Shaper(self._host, self._port, self.file.network.seed).__enter__()
            text = redirected(text, self._host, self._port, self.shaper.port)
        # Beside the original: relative paths in it must keep their meaning.
        self._copy = self._config.with_name(f"{self._config.stem}.hil.toml")
        self._copy.write_text(text, encoding="utf-8")

    def _start(self) -> None:
        self.station = StationProcess(self._copy, self.folder / "station.log")
        self._wait(self._in_session, _START_S, "the PLC never opened a session")

    def _run(self) -> None:
        self.next_answered(self.last_row())

    def _in_session(self) -> bool | None:
        try:
            with self.journal() as journal:
                events = journal.events("handshake")
        except sqlite3.OperationalError:
            # A station that starts for the first time has not made its journal yet.
            return None
        return bool(events and events[-1].detail["to"] == "in session") or None

    def _answered(self, after: int) -> JournalRow | None:
        with self.journal() as journal:
            return next((row for _, row in journal.newest(after) if row.answered and row.reason == 0), None)

    def the_shaper(self) -> Shaper:
        """The network shaper; the rig must have one."""
        assert self.shaper is not None, "this rig has no shaper"
        return self.shaper

    def the_station(self) -> StationProcess:
        """The station's process; it must have been started."""
        assert self.station is not None, "the station was not started"
        return self.station

    def _wait(self, look: Callable[[], T | None], timeout_s: float, why: str) -> T:
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            found = look()
            if found is not None:
                return found
            if self.station is not None and self.station.exit_code is not None:
                raise RigBroken(f"the station ended with {self.station.exit_code}; see {self.station.log}")
            dwell(_POLL_S)
        raise RigBroken(f"{why} (waited {timeout_s:.0f} s)")


def redirected(text: str, host: str, port: int, relay: int) -> str:
    """A station.toml with the relay in the PLC's place. Raises RigBroken where the PLC's address is not in it."""
    together = f"{host}:{port}"
    if together in text:
        return text.replace(together, f"127.0.0.1:{relay}")
    if f'host = "{host}"' in text and f"port = {port}" in text:
        return text.replace(f'host = "{host}"', 'host = "127.0.0.1"').replace(f"port = {port}", f"port = {relay}")
    raise RigBroken(f"the station's configuration does not name the PLC as {together}: correct the rig file")
