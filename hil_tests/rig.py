"""A rig: renderer or hand-placed belt, soft PLC and the real station, each a process of its own, in one folder.

Black box: it starts `linegate run`, drives the PLC, looks at what the PLC saw and reads the journal; nothing else.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from controller.drivers.record.query import JournalReader, PartFilter
from controller.sim.belt import Belt
from controller.sim.line_run import StationProcess
from controller.sim.plc_commands import LiveTally, TriggerNow
from controller.sim.plc_process import SoftPlcProcess
from controller.sim.plc_settings import SoftPlcSettings
from controller.sim.renderer_process import RendererProcess, RendererSettings
from controller.sim.source import RenderedSettings, open_source
from controller.sim.tally import PartTally
from controller.sim.workspace import Workspace, make_workspace


class Rig:
    """One station on one simulated line. rate_ppm 0: parts by `part()` only, a good one lies in view all the time."""

    def __init__(self, folder: Path, *, rate_ppm: float = 0.0, parts: int = 0, seed: int = 5) -> None:
        self._belt_name = f"linegate-rig-{os.getpid()}-{abs(hash(str(folder))) % 10**6}"
        self._source = RenderedSettings(seed)
        self._renderer = RendererProcess(
            RendererSettings(self._belt_name, self._source, parts, rate_ppm, 5.0 if rate_ppm else 0.0, seed)
        )
        self._settings = SoftPlcSettings(
            rate_ppm=rate_ppm,
            jitter_ms=5.0 if rate_ppm else 0.0,
            seed=seed,
            parts=parts,
            belt=self._belt_name if rate_ppm else None,
            plc_epoch=int(time.time()) & 0x3FFFFFFF,
            live_every_ms=20,
            auto_acknowledge_ms=200,
        )
        self._folder = folder
        self._next_part = 0
        self.plc = SoftPlcProcess(self._settings)
        self.workspace: Workspace
        self.station: StationProcess
        self.belt: Belt

    def __enter__(self) -> Self:
        self._renderer.start()
        assert self._renderer.wait_filled(60), "the renderer did not start"
        self.belt = Belt.attach(self._belt_name)
        if not self._settings.rate_ppm:
            self.belt.place(1, open_source(self._source).pixels(1))
        self.plc.start()
        self.workspace = make_workspace(
            self._folder, name="rig", belt=self._belt_name, plc_address=self.plc.wait_ready(), ok_images="none"
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if hasattr(self, "station"):
            self.station.stop()
        self.plc.kill()
        self.belt.close()
        self._renderer.stop()

    def start_station(self) -> None:
        """Start the station as a person does."""
        self.station = StationProcess(self.workspace)

    def wait_ready(self, timeout_s: float = 30.0) -> None:
        """Wait until the PLC may trigger."""
        self.plc.wait_live(lambda live: live.station_ready, timeout_s)

    def wait_not_ready(self, timeout_s: float = 30.0) -> None:
        """Wait until the PLC may not trigger."""
        self.plc.wait_live(lambda live: not live.station_ready, timeout_s)

    def part(self) -> int:
        """Bring one part into view; its id."""
        self._next_part += 1
        self.plc.command(TriggerNow(self._next_part))
        return self._next_part

    def inspect(self, timeout_s: float = 10.0) -> PartTally:
        """Bring one part and wait until it is past the gate; what the PLC saw of it."""
        part_id = self.part()
        self.wait_for(lambda live: live.figures.waiting == 0, timeout_s)
        return self.seen(part_id, timeout_s)

    def seen(self, part_id: int, timeout_s: float = 10.0) -> PartTally:
        """What the PLC's tally says of a part that is past the gate."""
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            for part in reversed(self.plc.tally().parts):
                if part.part_id == part_id and part.outcome is not None:
                    return part
        raise AssertionError(f"part {part_id} never passed the gate")

    def wait_for(self, when: Callable[[LiveTally], bool], timeout_s: float = 10.0) -> LiveTally:
        """Wait for the PLC's live figures to fulfil a condition."""
        return self.plc.wait_live(when, timeout_s)

    def journal(self, **wanted: Any) -> list[dict[str, Any]]:
        """Parts as the journal has them, newest first."""
        with JournalReader(self.workspace.folder / "data" / "journal.db") as reader:
            return list(reader.parts(PartFilter(**wanted)))

    def events(self, kind: str) -> list[dict[str, Any]]:
        """The journal's events of a kind, newest first."""
        with JournalReader(self.workspace.folder / "data" / "journal.db") as reader:
            return reader.events(kind)

    def journalled(self, part_id: int, timeout_s: float = 10.0) -> dict[str, Any]:
        """The journal's row of a part, once it has ended there."""
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            rows = self.journal(part_id=str(part_id))
            if rows and rows[0]["verdict"] is not None:
                return rows[0]
        raise AssertionError(f"part {part_id} never ended in the journal")
