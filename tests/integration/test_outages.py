"""A PLC that was switched off and on again: how soon the station is Ready, over each protocol. Minutes long."""

from __future__ import annotations

import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from controller.sim.line_run import StationProcess
from controller.sim.plc_commands import PlcEvent, PlcServing
from controller.sim.plc_process import SoftPlcProcess
from controller.sim.plc_settings import Protocol, SoftPlcSettings, free_port
from controller.sim.renderer_process import RendererProcess, RendererSettings
from controller.sim.source import RenderedSettings
from controller.sim.workspace import make_workspace
from tests.bench.figures import median, percentile

PROTOCOLS: tuple[Protocol, ...] = ("opcua", "ethernet-ip", "modbus", "modbus-server")
OUTAGES = 50


class Plc:
    """A soft PLC that can be switched off and on; it comes back on its port, with the next epoch."""

    def __init__(self, settings: SoftPlcSettings) -> None:
        self._settings = settings
        self._process: SoftPlcProcess | None = None
        self._serving_ns = 0

    def on(self) -> str:
        """Start it; its address, once clients may connect."""
        self._settings = replace(self._settings, plc_epoch=self._settings.plc_epoch + 1)
        self._process = SoftPlcProcess(self._settings, self._heard)
        self._process.start()
        return self._process.wait_ready()

    def off(self) -> None:
        """As a power cut does."""
        if self._process is not None:
            self._process.kill()

    def wait_ready(self) -> float:
        """Seconds from the moment that it served to the moment that it sees Ready."""
        assert self._process is not None
        live = self._process.wait_live(lambda live: live.station_ready, 60)
        return (live.at_ns - self._serving_ns) / 1e9

    def _heard(self, event: PlcEvent) -> None:
        if isinstance(event, PlcServing):
            self._serving_ns = time.monotonic_ns()


@contextmanager
def line(protocol: Protocol, folder: Path) -> Generator[Plc]:
    """A station on a soft PLC, both running."""
    belt = f"linegate-outages-{os.getpid()}"
    host = "127.0.0.1"
    plc = Plc(SoftPlcSettings(port=free_port(host), protocol=protocol, rate_ppm=0, plc_epoch=1, live_every_ms=5))
    with RendererProcess(RendererSettings(belt, RenderedSettings(5), 0, 0.0)) as renderer:
        assert renderer.wait_filled(60)
        try:
            workspace = make_workspace(folder, name="outages", belt=belt, protocol=protocol, plc_address=plc.on())
            station = StationProcess(workspace)
            try:
                yield plc
            finally:
                station.stop()
        finally:
            plc.off()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_ready_within_a_second_of_the_plc(protocol: Protocol, tmp_path: Path) -> None:
    with line(protocol, tmp_path) as plc:
        plc.wait_ready()
        took: list[float] = []
        for _ in range(OUTAGES):
            plc.off()
            plc.on()
            took.append(plc.wait_ready())
    print(
        f"{protocol}: Ready after p50 {median(took):.2f} s, p95 {percentile(took, 0.95):.2f} s, max {max(took):.2f} s"
    )
    assert percentile(took, 0.95) < 1.0
