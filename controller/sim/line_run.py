"""One run of the simulated line: renderer, soft PLC and the real station, each in a process of its own.

The figures that count come from the PLC's tally and from the marks in the kept images; the station is only asked for
what no one else can know (its own overhead).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from controller.errors import DeviceError, DeviceTimeout
from controller.sim.gentl import build_producer, describe_cameras, serial, socket_of
from controller.sim.image_check import ImageCheck, check_images
from controller.sim.light_barrier import BarrierSettings
from controller.sim.plc_commands import LineFinished, TallyReady
from controller.sim.plc_process import SoftPlcProcess
from controller.sim.plc_settings import Profile, Protocol, SoftPlcSettings
from controller.sim.renderer_process import RendererProcess, RendererSettings
from controller.sim.source import RenderedSettings, SourceSettings, open_source
from controller.sim.standstill import Standstills, StandstillWatch
from controller.sim.status_view import StatusClients, StatusView
from controller.sim.tally import LatencyMs, PartTally, Truth, percentiles, truth_of
from controller.sim.view_set import ViewSet
from controller.sim.workspace import GENTL_CAMERA, PACKAGES, RECIPES, SIM_CAMERA, Workspace, make_workspace
from statemachines.vocabulary import Verdict

_START_S = 60.0
_MARGIN_MS = 20.0


@dataclass(frozen=True, slots=True)
class LineSettings:
    """What runs. status_clients: OPC UA clients that read the whole status at 10 Hz from a process of their own.

    trigger_pulse_ms: four-phase profile, pulses instead of a held Trigger. acquisition: of GenTL cameras; with hardware
    trigger the line's own light barrier triggers them. fault_share: of their frames, how many are spoilt.
    unplug_every: parts after which the first camera loses its cable for a while; 0: never.
    """

    parts: int = 300
    rate_ppm: float = 120.0
    jitter_ms: float = 5.0
    seed: int = 1
    mode: str = "AUTO_REJECT"
    status_clients: int = 0
    deadline_ms: float = 80.0
    gate_delay_ms: float = 400.0
    ok_images: str = "jpeg"
    protocol: Protocol = "opcua"
    profile: Profile = "sequence"
    poll_ms: float = 2.0
    trigger_pulse_ms: int | None = None
    camera: Literal["sim", "gentl"] = "sim"
    acquisition: Literal["software", "hardware"] = "software"
    views: ViewSet = ViewSet()
    fault_share: float = 0.0
    unplug_every: int = 0
    source: SourceSettings | None = None
    product: str = "washer"
    recipes: Path = RECIPES
    packages: Path = PACKAGES


@dataclass(frozen=True, slots=True)
class LineReport:
    """What came of it. overhead_ms: the station's own time between trigger seen and answer handed to the link.

    computer: when this computer itself stood still, which nothing on it could have done anything about.
    """

    tally: TallyReady
    truth: Truth
    images: ImageCheck
    overhead_ms: dict[str, float]
    status: dict[str, object] = field(default_factory=dict[str, object])
    computer: Standstills = Standstills()

    @property
    def undisturbed_ms(self) -> LatencyMs:
        """Trigger to answer of the parts during which this computer did not stand still."""
        parts = (part for part in self.tally.parts if part.answered_ns)
        spans = ((part.trigger_ns, part.answered_ns) for part in parts)
        return percentiles([end - begin for begin, end in spans if not self.computer.touch(begin, end)])

    @property
    def wrong_part(self) -> int:
        return self.tally.figures.wrong_part + self.images.wrong + self.images.unmarked

    @property
    def faultless(self) -> bool:
        """The four zeros, an answer for every trigger, and a decision for some: a line without any inspects nothing."""
        figures = self.tally.figures
        four = (figures.missing, figures.duplicate, self.wrong_part, figures.late_acted)
        decided = set(figures.verdicts) - {Verdict.NO_DECISION.name}
        return not any(four) and figures.answered == figures.triggers > 0 and bool(decided)

    def as_json(self) -> dict[str, object]:
        figures = self.tally.figures
        latency, undisturbed = figures.latency_ms, self.undisturbed_ms
        return {
            "triggers": figures.triggers,
            "answered": figures.answered,
            "missing": figures.missing,
            "duplicate": figures.duplicate,
            "wrong_part": self.wrong_part,
            "late_acted": figures.late_acted,
            "verdicts": figures.verdicts,
            "reasons": {str(reason): count for reason, count in figures.reasons.items()},
            "truth": {
                "defective_rejected": self.truth.defective_rejected,
                "defective_passed": self.truth.defective_passed,
                "good_rejected": self.truth.good_rejected,
                "good_passed": self.truth.good_passed,
            },
            "latency_ms": {"p50": latency.p50, "p99": latency.p99, "p999": latency.p999, "max": latency.max},
            "undisturbed_ms": {"p50": undisturbed.p50, "p99": undisturbed.p99, "p999": undisturbed.p999},
            "computer": self.computer.as_json(),
            "overhead_ms": self.overhead_ms,
            "images": {"checked": self.images.checked, "wrong": self.images.wrong, "unmarked": self.images.unmarked},
            "untriggered": figures.untriggered,
        }


Progress = Callable[[SoftPlcProcess, StatusView], None]


Watch = Callable[[int], None]
"""Called now and then with the station's process id."""


def run_line(
    settings: LineSettings, folder: Path, progress: Progress | None = None, watch: Watch | None = None
) -> LineReport:
    """Run a line to its end in a folder, which keeps configuration, journal and images.

    Raises DeviceError when a process of the simulation fails or the run does not end in time.
    """
    source = settings.source or _rendered(settings)
    belt = f"linegate-{os.getpid()}"
    renderer = RendererProcess(
        RendererSettings(belt, source, settings.parts, settings.rate_ppm, settings.jitter_ms, settings.seed)
    )
    plc = SoftPlcProcess(
        SoftPlcSettings(
            protocol=settings.protocol,
            profile=settings.profile,
            trigger_pulse_ms=settings.trigger_pulse_ms,
            rate_ppm=settings.rate_ppm,
            jitter_ms=settings.jitter_ms,
            seed=settings.seed,
            parts=settings.parts,
            recipe_id=recipe_id(settings),
            belt=belt,
            barrier=barrier(settings, folder) if settings.acquisition == "hardware" else None,
            gate_delay_ms=settings.gate_delay_ms,
            answer_limit_ms=settings.deadline_ms + _MARGIN_MS,
            plc_epoch=int(time.time()) & 0x3FFFFFFF,
        )
    )
    with renderer:
        # It comes up while the belt is filled, and looks at the belt when the line starts.
        plc.start()
        computer = StandstillWatch()
        try:
            if not renderer.wait_filled(_START_S):
                raise DeviceTimeout("renderer", "did not fill the belt in time")
            with computer:
                report = _run_station(settings, folder, belt, plc, source, progress, watch)
        finally:
            plc.kill()
        return replace(report, computer=computer.result)


def recipe_id(settings: LineSettings) -> int:
    """The number that the PLC's triggers name, as the product's recipe.toml states it."""
    text = (settings.recipes / settings.product / "recipe.toml").read_text(encoding="utf-8")
    return int(tomllib.loads(text)["id"])


def barrier(settings: LineSettings, folder: Path) -> BarrierSettings:
    """The line's light barrier, as this run has it."""
    return BarrierSettings(
        tuple(socket_of(folder, camera) for camera in settings.views.cameras),
        settings.fault_share,
        settings.seed,
        between_s=30.0 / settings.rate_ppm,
        unplug_every=settings.unplug_every,
    )


def _cameras(settings: LineSettings, folder: Path, belt: str) -> tuple[dict[str, str], dict[str, str]]:
    """The cameras' sections of station.toml, and the environment of the station."""
    names = settings.views.cameras
    if settings.camera == "sim":
        return dict.fromkeys(names, SIM_CAMERA), {}
    producer = build_producer()
    sections = {
        name: GENTL_CAMERA.format(producer=producer, serial=serial(name), acquisition=settings.acquisition)
        for name in names
    }
    return sections, describe_cameras(folder, belt, names)


def _run_station(
    settings: LineSettings,
    folder: Path,
    belt: str,
    plc: SoftPlcProcess,
    source: SourceSettings,
    progress: Progress | None,
    watch: Watch | None,
) -> LineReport:
    cameras, environment = _cameras(settings, folder, belt)
    workspace = make_workspace(
        folder,
        name="demo",
        belt=belt,
        plc_address=plc.wait_ready(),
        protocol=settings.protocol,
        profile=settings.profile,
        poll_ms=settings.poll_ms,
        trigger_pulse_ms=settings.trigger_pulse_ms,
        cameras=cameras,
        views=None if settings.views == ViewSet() else settings.views,
        mode=settings.mode,
        ok_images=settings.ok_images,
        product=settings.product,
        recipes=settings.recipes,
        packages=settings.packages,
    )
    station = StationProcess(workspace, environment)
    view = StatusView(workspace.status_endpoint)
    clients = StatusClients(workspace.status_endpoint, settings.status_clients)
    try:
        view.start()
        clients.start()
        _wait_for_the_end(settings, plc, station, view, progress, watch)
        clients.stop()
        status = view.read_once()
        view.stop()
        station.stop()
        tally = plc.stop()
    finally:
        clients.stop()
        view.stop()
        station.stop()
    return _report(settings, tally, workspace, source, status)


def _wait_for_the_end(
    settings: LineSettings,
    plc: SoftPlcProcess,
    station: StationProcess,
    view: StatusView,
    progress: Progress | None,
    watch: Watch | None,
) -> None:
    spare_s = _START_S + settings.gate_delay_ms / 1000
    until = time.monotonic() + spare_s + settings.parts * 60.0 / settings.rate_ppm
    while time.monotonic() < until:
        if station.ended:
            raise DeviceError("station", f"ended early with exit code {station.exit_code}; see {station.log}")
        if progress is not None:
            progress(plc, view)
        if watch is not None:
            watch(station.pid)
        try:
            plc.wait_for(LineFinished, 0.5)
        except DeviceTimeout:
            continue
        return
    raise DeviceTimeout("line", f"did not end in time; see {station.log}")


def _rendered(settings: LineSettings) -> RenderedSettings:
    width = settings.views.width
    return RenderedSettings(settings.seed, width, width * 5 // 8)


def _report(
    settings: LineSettings, tally: TallyReady, workspace: Workspace, source: SourceSettings, status: dict[str, object]
) -> LineReport:
    parts = open_source(source)
    defective: dict[int | str, bool] = {n: parts.truth(n).defective for n in range(1, settings.parts + 1)}
    decided = {part.part_id: _decided(part) for part in tally.parts if isinstance(part.part_id, int)}
    overhead = {
        name: float(str(status.get(f"Latency.Overhead.{node}", 0.0))) / 1000
        for name, node in (("p50", "P50"), ("p99", "P99"), ("p999", "P999"), ("max", "Max"))
    }
    return LineReport(
        tally, truth_of(tally.parts, defective), check_images(workspace.images, decided), overhead, status
    )


def _decided(part: PartTally) -> bool:
    return part.answers > 0 and part.verdict in (1, 2, 3)


class StationProcess:
    """The station as a person starts it: `linegate run STATION.toml`."""

    def __init__(self, workspace: Workspace, environment: Mapping[str, str] | None = None) -> None:
        self.log = workspace.log
        with workspace.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "controller", "run", str(workspace.station), "--once"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, **(environment or {})},
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    @property
    def exit_code(self) -> int | None:
        return self._process.poll()

    def stop(self, timeout_s: float = 15.0) -> int:
        """Ask it to end and wait; kill it when it does not."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
        return self._process.wait()

    def kill(self) -> None:
        """As `kill -9` does."""
        self._process.kill()
        self._process.wait()
