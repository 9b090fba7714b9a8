"""`linegate plc probe`: is every tag there, may the station use it, and how fast does this PLC answer."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

from controller.config import ConfigErrors, StationConfig, load_recipe
from controller.drivers.plc.tags import TAG_SETS, TagSet
from controller.errors import DeviceRefused
from controller.plc_commands.expectation import Expectation, Line, RoundTrips, expect
from controller.plc_commands.measure import QUIET_S, Progress, measure_reads, measure_writes
from controller.ports import PlcLink, PlcTags, TagReport
from models.errors import ModelRejected
from models.package import open_package
from statemachines.vocabulary import MS, Ns


@dataclass(frozen=True, slots=True)
class ProbeOrder:
    """What to measure. write: the writes too, with the values that stand there; exposure, inference: where known."""

    requests: int = 200
    write: bool = False
    exposure_ms: float | None = None
    inference_ms: float | None = None
    quiet_s: float = QUIET_S


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """What was found. Without `read` the tags have problems and nothing was measured."""

    tags: tuple[TagReport, ...]
    read: RoundTrips | None = None
    write_fields: RoundTrips | None = None
    write_number: RoundTrips | None = None
    expectation: Expectation | None = None
    remarks: tuple[str, ...] = ()

    @property
    def problems(self) -> tuple[TagReport, ...]:
        """The tags that a person must mend."""
        return tuple(tag for tag in self.tags if tag.problem)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {**asdict(self), "problems": len(self.problems)}


async def probe(config: StationConfig, link: PlcLink, order: ProbeOrder, progress: Progress) -> ProbeReport:
    """Check, measure, expect. Raises ConfigError, DeviceError, StationRuns. Closes the link."""
    plc = config.plc
    tags = TAG_SETS[plc.profile]
    try:
        found = await link.survey(_in(plc.connect_timeout_ms)) if isinstance(link, PlcTags) else ()
        if any(tag.problem for tag in found):
            return ProbeReport(found)
        await link.connect(_in(plc.connect_timeout_ms))
        return await _measured(config, link, tags, order, progress, found)
    finally:
        await link.close()


async def _measured(
    config: StationConfig,
    link: PlcLink,
    tags: TagSet,
    order: ProbeOrder,
    progress: Progress,
    found: tuple[TagReport, ...],
) -> ProbeReport:
    timeout = config.plc.request_timeout_ms
    read = await measure_reads(link, order.requests, timeout, progress)
    fields, number = read, read
    line, remarks = _line(config, order)
    if order.write:
        if not isinstance(link, PlcTags):
            raise DeviceRefused("PLC", "this protocol's link cannot write tags back: measure without --write")
        fields, number = await measure_writes(link, tags, order.requests, timeout, order.quiet_s, progress)
    else:
        remarks.append("writes were taken to be as fast as reads: measure them with --write while no station runs")
    if not found:
        remarks.append("this protocol's link checks tags while connecting and lists none")
    notices = link.notices if isinstance(link, PlcTags) else ()
    expectation = expect(line, read, fields, number, notices)
    written = (fields, number) if order.write else (None, None)
    return ProbeReport(found, read, *written, expectation, tuple(remarks))


def _line(config: StationConfig, order: ProbeOrder) -> tuple[Line, list[str]]:
    """What the files say of this line, and what they do not say."""
    remarks: list[str] = []
    deadline, window, inference = None, None, order.inference_ms
    try:
        recipe = load_recipe(config.station.recipes_dir / config.station.initial_recipe / "recipe.toml")
        deadline, window = float(recipe.deadline_ms), float(recipe.capture_window_ms)
        if inference is None:
            inference = sum(_inference_ms(config, view.model) for view in recipe.views) or None
    except (ConfigErrors, ModelRejected) as error:
        remarks.append(f"deadline and capture window are unknown: {error}")
    if inference is None:
        remarks.append("inference is not in the figures: give --inference-ms")
    exposure = order.exposure_ms
    if exposure is None:
        exposure = 0.0
        remarks.append("exposure and image transfer are not in the figures: give --exposure-ms")
    plc = config.plc
    line = Line(plc.profile, plc.poll_ms, plc.request_timeout_ms, exposure, inference or 0.0, deadline, window)
    return line, remarks


def _inference_ms(config: StationConfig, model: str) -> float:
    """What a model package says of its own time: metric "inference_ms" of the preferred graph; 0 if nothing."""
    name, _, version = model.partition("@")
    manifest = open_package(config.station.packages_dir, name, version).manifest
    return manifest.metrics.get(manifest.preferred, {}).get("inference_ms", 0.0)


def _in(milliseconds: float) -> Ns:
    return Ns(time.monotonic_ns() + int(milliseconds * MS))
