"""A rig: line, PLC, network and station, each a process or a thread of its own, and the way to bring them up.

Black box: it starts `linegate run`, drives the PLC, looks at what the PLC saw and reads the journal; nothing else.
The strategy brings the rig from one `State` to the next and goes no further once something broke.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from enum import IntEnum
from pathlib import Path
from types import TracebackType
from typing import Self

from controller.errors import DeviceError
from controller.priority import raise_device
from controller.sim.belt import Belt
from controller.sim.plc_commands import LiveTally, PulseFaultReset, RequestRecipe, SetEnable, TriggerNow
from controller.sim.plc_image import GateAction
from controller.sim.plc_process import SoftPlcProcess
from controller.sim.plc_settings import SoftPlcSettings, TagDefect, free_port
from controller.sim.renderer_process import RendererProcess, RendererSettings
from controller.sim.source import Grey, RenderedSettings, open_source
from controller.sim.tally import PartTally, TallySummary
from controller.sim.workspace import PACKAGES, RECIPES, Workspace, make_workspace
from hil_tests.faulty_models import make_packages
from hil_tests.journal import Journal
from hil_tests.rigfile import Mode, RigFile
from hil_tests.shaper import Shaper
from hil_tests.station_process import StationProcess

FIRST_SEQ = 100
"""The PLC's numbers begin above this, so that a fault can step back from the first part on."""

RESTING: dict[Mode, GateAction] = {
    "SHADOW": GateAction.NONE,
    "ALERT": GateAction.PASS,
    "AUTO_REJECT": GateAction.REJECT,
}
"""What the soft PLC's gate does before a station ever told its Fallback, as its programmer would set it."""

RECIPE_IDS = {"washer": 1, "washer-b": 2, "nan": 3, "slow": 4, "hung": 5, "missing": 6, "quick": 7}
_FAULTY = ("nan", "slow", "hung", "missing", "quick")
IMAGES_MB = 32
"""For images: the small disk of some rigs must not fill by itself."""

_START_S = 60.0


class State(IntEnum):
    """How far a rig has come."""

    OFF = 0
    LINE_UP = 1
    """Parts lie in view, the PLC serves its tags."""
    STATION_READY = 2
    """The PLC may trigger."""
    RUNNING = 3
    """A good part was decided and passed."""


class RigBroken(Exception):
    """The rig does not come to the state that was asked for; nothing that follows would mean anything."""


@dataclass(frozen=True, slots=True)
class RigOptions:
    """What differs from one use of a rig to another.

    rate_ppm 0: parts by `part()` only, a good one lies in view all the time. width, height: of the camera's frames.
    packages: folder of the model packages, made when it is not there yet; None: in the rig's own.
    """

    mode: Mode = "AUTO_REJECT"
    product: str = "washer"
    width: int = 1920
    height: int = 1200
    rate_ppm: float = 0.0
    parts: int = 0
    closed_loop: bool = False
    gate_delay_ms: float = 300.0
    deadline_ms: float = 80.0
    packages: Path | None = None
    data_dir: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict[str, str])


def dwell(seconds: float) -> None:
    """Let a fault last for its time. Never used to wait for something that can be seen."""
    threading.Event().wait(seconds)


class Rig:
    """One station on one line; use it with `with`, then `bring` it to a state."""

    def __init__(self, file: RigFile, folder: Path, options: RigOptions = RigOptions()) -> None:
        if file.plc.kind != "soft":
            raise RigBroken(f"{file.name}: this rig has a real PLC: see hil_tests.real_rig")
        self.file, self.options = file, options
        self.folder = folder
        self.state = State.OFF
        self.broken = ""
        self.past: list[TallySummary] = []
        self.past_parts: list[PartTally] = []
        self._next_part = 0
        self._good: Grey | None = None
        self._open = ExitStack()
        self._belt_name = f"linegate-rig-{os.getpid()}-{abs(hash(str(folder))) % 10**6}"
        rate = 0.0 if options.closed_loop else options.rate_ppm
        self._source = RenderedSettings(file.line.seed, options.width, options.height)
        self._renderer = RendererProcess(
            RendererSettings(
                self._belt_name, self._source, options.parts if rate else 0, rate, 5.0 if rate else 0.0, file.line.seed
            )
        )
        self._plc_settings = SoftPlcSettings(
            port=free_port("127.0.0.1"),
            protocol=file.plc.protocol,
            profile=file.plc.profile,
            rate_ppm=options.rate_ppm,
            jitter_ms=5.0 if rate else 0.0,
            seed=file.line.seed,
            parts=options.parts,
            closed_loop=options.closed_loop,
            belt=self._belt_name if rate else None,
            gate_delay_ms=options.gate_delay_ms,
            resting=RESTING[options.mode],
            recipe_id=RECIPE_IDS[options.product],
            plc_epoch=int(time.time()) & 0x3FFFFFFF,
            trigger_seq=FIRST_SEQ,
            live_every_ms=20,
            auto_acknowledge_ms=200,
        )
        self.plc = SoftPlcProcess(self._plc_settings)
        self.shaper: Shaper | None = None
        self.station: StationProcess | None = None
        self.workspace: Workspace
        self.belt: Belt

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.station is not None:
            self.station.stop()
        self.plc.kill()
        self._open.close()

    # --- the strategy -----------------------------------------------------------------------------------------

    def bring(self, wanted: State) -> None:
        """Bring the rig up to a state. Raises RigBroken, now and ever after, when it does not get there."""
        if self.broken:
            raise RigBroken(f"the rig is broken: {self.broken}")
        steps = {
            State.LINE_UP: self._line_up,
            State.STATION_READY: self._station_ready,
            State.RUNNING: self._run,
        }
        try:
            for state in (s for s in State if self.state < s <= wanted):
                steps[state]()
                self.state = state
        except (DeviceError, RuntimeError, AssertionError, OSError) as error:
            self.broken = f"{State(self.state).name} did not lead on: {error}"
            raise RigBroken(self.broken) from error

    def fall_back(self, state: State) -> None:
        """A fault took the rig down to this state; `bring` mends it."""
        self.state = min(self.state, state)

    def _line_up(self) -> None:
        self._open.callback(self._renderer.stop)
        self._renderer.start()
        # It comes up while the renderer draws, and looks at the belt when the line starts.
        self.plc.start()
        self._good_part()
        assert self._renderer.wait_filled(_START_S), "the renderer did not start"
        self.belt = Belt.attach(self._belt_name)
        self._open.callback(self.belt.close)
        self.show_good_part()
        address = self.plc.wait_ready(_START_S)
        if self.file.network.shaper:
            self.shaper = self._open.enter_context(Shaper("127.0.0.1", self._plc_settings.port, self.file.network.seed))
            raise_device(self.shaper.thread_id)
            address = address.replace(str(self._plc_settings.port), str(self.shaper.port))
        self._write_workspace(address)

    def _station_ready(self) -> None:
        if self.station is None or self.station.exit_code is not None:
            self.start_station()
        self.wait_ready(_START_S)

    def _run(self) -> None:
        self.good_part()

    # --- setting up -------------------------------------------------------------------------------------------

    def _write_workspace(self, address: str) -> None:
        options = self.options
        recipes, packages = self.folder / "all-recipes", options.packages or self.folder / "packages"
        _write_recipes(recipes, options)
        if not packages.exists():
            shutil.copytree(PACKAGES, packages)
            make_packages(packages)
        self.workspace = make_workspace(
            self.folder,
            name="rig",
            belt=self._belt_name,
            plc_address=address,
            protocol=self.file.plc.protocol,
            profile=self.file.plc.profile,
            mode=options.mode,
            product=options.product,
            recipes=recipes,
            packages=packages,
            ok_images="none",
            image_budget_mb=IMAGES_MB,
        )
        text = self.workspace.station.read_text(encoding="utf-8")
        text += "\n[inference]\nhard_limit_ms = 800\ngrace_ms = 300\n"
        if options.data_dir is not None:
            text = text.replace('data_dir = "data"', f"data_dir = '{options.data_dir}'")
        self.workspace.station.write_text(text, encoding="utf-8")

    @property
    def data(self) -> Path:
        """The station's data directory."""
        return self.options.data_dir or self.folder / "data"

    def show_good_part(self) -> None:
        """A good part lies in view until further notice; a running line shows its own."""
        if (good := self._good_part()) is not None:
            self.belt.place(1, good)

    def _good_part(self) -> Grey | None:
        """A good part's picture; to draw the first takes a second or two. None where the line shows its own."""
        if not self.options.closed_loop and self.options.rate_ppm:
            return None
        if self._good is None:
            self._good = open_source(self._source).pixels(1)
        return self._good

    # --- the station ------------------------------------------------------------------------------------------

    def start_station(self, environment: Mapping[str, str] | None = None) -> None:
        """Start the station as a person does."""
        added = self.options.environment if environment is None else environment
        self.station = StationProcess(self.workspace.station, self.workspace.log, added)

    def stop_station(self) -> None:
        """End the station in good order."""
        if self.station is not None:
            self.station.stop()
            self.station = None
        self.fall_back(State.LINE_UP)

    def the_station(self) -> StationProcess:
        """The station's process; it must have been started."""
        assert self.station is not None, "the station was not started"
        return self.station

    def the_shaper(self) -> Shaper:
        """The network shaper; the rig must have one."""
        assert self.shaper is not None, "this rig has no shaper"
        return self.shaper

    def latch(self) -> int:
        """The failsafe code that is latched on disk, 0 for none."""
        try:
            return int(json.loads((self.data / "failsafe.json").read_text(encoding="utf-8"))["code"])
        except FileNotFoundError:
            return 0

    def reset_failsafe(self, timeout_s: float = 40.0) -> None:
        """As an operator at the PLC does: FaultReset 0→1, then Enable off and on."""
        until = time.monotonic() + timeout_s
        while self.latch():
            if time.monotonic() > until:
                raise RigBroken(f"failsafe {self.latch()} cannot be reset")
            self.plc.command(PulseFaultReset(200))
            dwell(0.3)
            self.plc.command(SetEnable(False))
            self.wait_live(lambda live: live.hindrance == "not enabled", 5)
            dwell(0.3)
            self.plc.command(SetEnable(True))
            self.wait_live(lambda live: live.hindrance == "", 2, quietly=True)

    # --- the PLC ----------------------------------------------------------------------------------------------

    def power_cycle_plc(self, defects: tuple[TagDefect, ...] = ()) -> None:
        """End the PLC and start it anew at the same address: power cut, program download, new tags."""
        self.end_plc()
        self.start_plc(defects)

    def end_plc(self) -> None:
        """Take the power from the PLC; its tally so far is kept."""
        tally = self.plc.tally()
        self.past.append(tally.figures)
        self.past_parts += tally.parts
        self.plc.kill()

    def start_plc(self, defects: tuple[TagDefect, ...] = ()) -> None:
        """Give it power again."""
        epoch = self._plc_settings.plc_epoch + 1000
        self._plc_settings = replace(self._plc_settings, plc_epoch=epoch, defects=defects)
        self.plc = SoftPlcProcess(self._plc_settings)
        self.plc.start()
        self.plc.wait_ready(_START_S)

    def wait_live(self, when: Callable[[LiveTally], bool], timeout_s: float = 10.0, *, quietly: bool = False) -> None:
        """Wait for the PLC's live figures to fulfil a condition. quietly: it is enough to have waited."""
        try:
            self.plc.wait_live(when, timeout_s)
        except DeviceError:
            if not quietly:
                live = self.plc.live
                raise RigBroken(f"not within {timeout_s:.0f} s; the PLC last saw {live}") from None

    def wait_ready(self, timeout_s: float = 30.0) -> None:
        """Wait until nothing forbids the PLC a trigger."""
        self.wait_live(lambda live: live.hindrance == "", timeout_s)

    def wait_hindered(self, timeout_s: float = 30.0, by: str = "") -> str:
        """Wait until something, or just this, forbids the PLC a trigger; what."""
        return self.plc.wait_live(lambda live: live.hindrance != "" and by in ("", live.hindrance), timeout_s).hindrance

    def request_recipe(self, recipe_id: int, timeout_s: float = 30.0) -> None:
        """Ask for a product and wait until the station loaded or refused it and the PLC may trigger again."""
        with self.journal() as journal:
            after = journal.last_event()
            self.plc.command(RequestRecipe(recipe_id))
            until = time.monotonic() + timeout_s
            # Ready falls for a few milliseconds only where the product is refused: live figures can miss that.
            while not journal.events("recipe", after):
                if time.monotonic() > until:
                    raise RigBroken(f"recipe {recipe_id} was neither loaded nor refused within {timeout_s:.0f} s")
                dwell(0.01)
        told_ns = time.monotonic_ns()
        self.wait_live(lambda live: live.at_ns > told_ns and live.hindrance == "", timeout_s)

    def next_part(self) -> int:
        """A part id that was not used yet."""
        self._next_part += 1
        return self._next_part

    def part(self, *, impatient: bool = False) -> int:
        """Bring one part into view; its id."""
        part_id = self.next_part()
        self.plc.command(TriggerNow(part_id, impatient))
        return part_id

    def seen(self, part_id: int, timeout_s: float = 10.0) -> PartTally:
        """What the PLC's tally says of a part, once it is past the gate."""
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            for part in reversed(self.plc.tally().parts):
                if part.part_id == part_id and part.outcome is not None:
                    return part
            dwell(0.02)
        raise RigBroken(f"part {part_id} never passed the gate")

    def good_part(self, tries: int = 10) -> PartTally:
        """The line is well: a part is triggered, decided OK and passes. Raises RigBroken.

        Not always the very first: a PLC does not trigger before it saw the heartbeat move, and a computer that was busy
        a moment ago may be late once more. Each part must be safe all the same; that is what the tally's zeros say.
        """
        part = None
        for _ in range(tries):
            part = self.seen(self.part())
            if (part.verdict, part.reason) == (1, 0):
                return part
            self.wait_ready()
        raise RigBroken(f"none of {tries} good parts was decided OK, the last was {part}")

    def inspect(self) -> PartTally:
        """Bring one part and wait until it is past the gate."""
        return self.seen(self.part())

    # --- the journal ------------------------------------------------------------------------------------------

    def journal(self) -> Journal:
        """The station's journal, to be used with `with`."""
        return Journal(self.data / "journal.db")


def _write_recipes(folder: Path, options: RigOptions) -> None:
    """The demo's recipe under every name that a fault needs, each with its number and model."""
    text = (RECIPES / "washer" / "recipe.toml").read_text(encoding="utf-8")
    mm_per_px = 0.05 * 1920 / options.width
    text = text.replace("mm_per_px = 0.05", f"mm_per_px = {mm_per_px}")
    text = text.replace("frame_px = [1920, 1200]", f"frame_px = [{options.width}, {options.height}]")
    text = text.replace("deadline_ms = 80 ", f"deadline_ms = {options.deadline_ms:.0f} ")
    for name, number in RECIPE_IDS.items():
        made = text.replace("id = 1\n", f"id = {number}\n").replace('product = "washer"', f'product = "{name}"')
        if name in _FAULTY:
            made = made.replace("sim-washer@1.0.0", f"{name}@1.0.0")
        target = folder / name
        target.mkdir(parents=True, exist_ok=True)
        (target / "recipe.toml").write_text(made, encoding="utf-8")
        catalogue = (RECIPES / "washer" / "catalogue.toml").read_text(encoding="utf-8")
        (target / "catalogue.toml").write_text(
            catalogue.replace('product = "washer"', f'product = "{name}"'), encoding="utf-8"
        )
