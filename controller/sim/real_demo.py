"""`make real`: a model package from real magnetic tiles, and the line on their test split.

Needs the extra `[train]` and the folder of images, which are research data of others and are not shipped.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from controller.errors import DeviceError
from controller.sim.demo import FAULT, print_report
from controller.sim.line_run import LineSettings, run_line
from controller.sim.source import FolderSettings, FolderSource

RECIPES = Path(__file__).parent / "real_station" / "recipes"
SIDE = 288


def main(arguments: Sequence[str] | None = None) -> int:
    """Build the package unless it is there, run the line, print the figures."""
    args = _parser().parse_args(arguments)
    console = Console()
    manifest = args.data / "manifest.csv"
    if not manifest.is_file():
        console.print(f"{manifest}: no such file. The images are not part of Linegate: see docs/real-input.md")
        return 2
    figures = _build(args, console)
    source = FolderSettings(str(manifest), "test", args.seed, SIDE, SIDE)
    parts = args.parts or len(FolderSource(source))
    line = args.out / "line"
    shutil.rmtree(line, ignore_errors=True)
    settings = LineSettings(
        parts=parts,
        rate_ppm=args.rate,
        seed=args.seed,
        source=source,
        product="tile",
        recipes=RECIPES,
        packages=args.out / "packages",
    )
    console.print(f"\nthe line: {parts} images of the test split at {args.rate:g} parts/min")
    try:
        report = run_line(settings, line)
    except DeviceError as error:
        console.print(f"the simulation failed: {error}")
        return 3
    print_report(console, report)
    if args.json:
        args.json.write_text(json.dumps({"model": figures, "line": report.as_json()}, indent=2), encoding="utf-8")
    return 0 if report.faultless else FAULT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m controller.sim.real_demo",
        description=__doc__,
        epilog="example: python -m controller.sim.real_demo --data ../shared/data/magnetic_tile --out build/real",
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with manifest.csv")
    parser.add_argument("--out", type=Path, required=True, help="where package, journal and images go")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--parts", type=int, default=0, help="how many images (default: the whole test split)")
    parser.add_argument("--rate", type=float, default=240.0, help="parts per minute (default 240)")
    parser.add_argument("--json", type=Path, help="write all figures there")
    parser.add_argument("--keep-model", action="store_true", help="use the package of an earlier run")
    return parser


def _build(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    from models.lifecycle import real_tiles

    package = args.out / "packages" / real_tiles.NAME / real_tiles.VERSION / "manifest.json"
    if args.keep_model and package.is_file():
        console.print(f"model of an earlier run: {package}")
        return {"metrics": json.loads(package.read_text(encoding="utf-8"))["metrics"]}
    report = args.out / "model.json"
    code = real_tiles.main(
        ["--data", str(args.data), "--out", str(args.out), "--seed", str(args.seed), "--json", str(report)]
    )
    if code:
        raise SystemExit(code)
    return dict(json.loads(report.read_text(encoding="utf-8")))


if __name__ == "__main__":
    sys.exit(main())
