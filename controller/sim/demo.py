"""`linegate demo`: the station on the simulated line, with a live table and a summary that a person can check."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.live import Live
from rich.table import Table

from controller.errors import DeviceError
from controller.exit_codes import CONFIG_ERROR
from controller.sim.line_run import LineReport, LineSettings, run_line
from controller.sim.plc_process import SoftPlcProcess
from controller.sim.status_view import StatusView
from controller.sim.view_set import ViewSet

FAULT = 1
"""Exit code: a part was missed, answered twice, answered for another, or acted on too late."""


def run_demo(args: argparse.Namespace) -> int:
    """Run the demo as the command line asks. Returns 0, FAULT, 2 for what cannot be, 3 when the simulation failed."""
    # Asked to end, it ends what it started, too.
    signal.signal(signal.SIGTERM, _end)
    console = Console()
    if args.trigger == "hardware" and args.camera != "gentl":
        console.print("--trigger hardware needs --camera gentl: the simulated camera exposes on command only")
        return CONFIG_ERROR
    folder = Path(args.keep) if args.keep else Path(tempfile.mkdtemp(prefix="linegate-demo-"))
    settings = LineSettings(
        parts=args.parts,
        rate_ppm=args.rate,
        jitter_ms=args.jitter_ms,
        seed=args.seed,
        mode=args.mode,
        status_clients=args.status_clients,
        protocol=args.protocol,
        profile=args.profile,
        camera=args.camera,
        acquisition=args.trigger if args.camera == "gentl" else "software",
        views=ViewSet(args.views, args.redundant),
    )
    console.print(f"station configuration: {folder / 'station.toml'}")
    console.print(f"{args.parts} parts at {args.rate:g} parts/min, mode {args.mode}, seed {args.seed}")
    console.print(f"PLC over {args.protocol}, {args.profile} profile\n")
    try:
        with Live(Table(), console=console, refresh_per_second=4, transient=False) as live:
            report = run_line(settings, folder, lambda plc, view: live.update(_live_table(plc, view, settings.parts)))
    except DeviceError as error:
        console.print(f"[red]the simulation failed:[/red] {error}")
        return 3
    print_report(console, report)
    console.print(f"\njournal and images: {folder / 'data'}  (linegate parts list --station {folder / 'station.toml'})")
    if args.json:
        text = json.dumps(report.as_json(), indent=2)
        if args.json == "-":
            sys.stdout.write(text + "\n")
        else:
            Path(args.json).write_text(text + "\n", encoding="utf-8")
    return 0 if report.faultless else FAULT


def _end(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


def _live_table(plc: SoftPlcProcess, view: StatusView, parts: int) -> Table:
    table = Table(title="linegate demo", show_header=True, header_style="bold")
    table.add_column("PLC's own tally")
    table.add_column("", justify="right")
    table.add_column("station's status (OPC UA)")
    table.add_column("", justify="right")
    live = plc.live
    left: list[tuple[str, str]] = []
    if live is not None:
        f = live.figures
        left = [
            ("triggers", f"{f.triggers} of {parts}"),
            ("answered", str(f.answered)),
            ("missing / duplicate", f"{f.missing} / {f.duplicate}"),
            ("wrong part / late acted", f"{f.wrong_part} / {f.late_acted}"),
            ("OK / NG / UNSURE", " / ".join(str(f.verdicts.get(v, 0)) for v in ("OK", "NG", "UNSURE"))),
            ("NO_DECISION", str(f.verdicts.get("NO_DECISION", 0))),
            ("answer p50 / p99", f"{f.latency_ms.p50:.1f} / {f.latency_ms.p99:.1f} ms"),
            ("gate passed / rejected", f"{f.outcomes.get('PASS', 0)} / {f.outcomes.get('REJECT', 0)}"),
        ]
    values = view.values
    right = [
        ("state", _text(values, "Station.State")),
        ("mode", _text(values, "Station.Mode")),
        ("health", _text(values, "Station.HealthText") or "normal"),
        ("recipe", _text(values, "Recipe.Product")),
        ("model", f"{_text(values, 'Model.Name')} {_text(values, 'Model.Version')}"),
        ("inference p50", f"{_ms(values, 'Latency.Inference.P50')} ms"),
        ("own overhead p99", f"{_ms(values, 'Latency.Overhead.P99')} ms"),
        ("last part", f"{_text(values, 'LastParts[0].PartId')} {_text(values, 'LastParts[0].Verdict')}"),
    ]
    left += [("waiting for the station to be Ready", "")] * (len(right) - len(left)) if not left else []
    for (name, value), (other, shown) in zip(left, right, strict=True):
        table.add_row(name, value, other, shown)
    return table


def _text(values: Mapping[str, object], name: str) -> str:
    value = values.get(name)
    return "" if value is None else str(value)


def _ms(values: Mapping[str, object], name: str) -> str:
    value = values.get(name)
    return f"{value / 1000:.2f}" if isinstance(value, (int, float)) else "–"


def print_report(console: Console, report: LineReport) -> None:
    """The summary, with the truth beside the verdicts."""
    f, truth, latency = report.tally.figures, report.truth, report.tally.figures.latency_ms
    table = Table(title="summary", show_header=False)
    table.add_column("")
    table.add_column("", justify="right")
    zeros = (
        ("missing", f.missing),
        ("duplicate", f.duplicate),
        ("wrong part", report.wrong_part),
        ("late acted", f.late_acted),
    )
    table.add_row("triggers / answered", f"{f.triggers} / {f.answered}")
    for name, count in zeros:
        table.add_row(name, f"[{'green' if count == 0 else 'red'}]{count}[/]")
    table.add_row("verdicts", ", ".join(f"{count} {name}" for name, count in f.verdicts.items()))
    table.add_row("defective rejected / passed", f"{truth.defective_rejected} / {truth.defective_passed}")
    table.add_row("good rejected / passed", f"{truth.good_rejected} / {truth.good_passed}")
    table.add_row("images read back", f"{report.images.checked}")
    table.add_row(
        "trigger → answer p50 / p99 / p99.9 / max",
        f"{latency.p50:.1f} / {latency.p99:.1f} / {latency.p999:.1f} / {latency.max:.1f} ms",
    )
    if report.computer.found:
        calm = report.undisturbed_ms
        table.add_row(
            "this computer stood still",
            f"{len(report.computer.found)} times, {report.computer.sum_ms:.0f} ms in all, "
            f"longest {report.computer.longest_ms:.0f} ms\n"
            f"without such parts {calm.p50:.1f} / {calm.p99:.1f} / {calm.p999:.1f} / {calm.max:.1f} ms",
        )
    over = report.overhead_ms
    table.add_row("own overhead p50 / p99 / p99.9", f"{over['p50']:.2f} / {over['p99']:.2f} / {over['p999']:.2f} ms")
    console.print(table)
    verdict = "[green]every part got exactly one answer, its own, in time[/green]"
    console.print(verdict if report.faultless else "[red]FAULT: see the figures above[/red]")
