"""`make bench`: every ratio, side by side in one run."""

from __future__ import annotations

import argparse
import json

from tests.bench import frames, image_health, latency, throughput
from tests.bench.plc_protocols import BARE


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", choices=("latency", "throughput", "image-health", "frames"))
    parser.add_argument("--protocol", choices=tuple(BARE), help="the one PLC protocol to measure latency over")
    parser.add_argument("--rounds", type=int, default=6, help="of 100 parts, for each of the two (default 6)")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    results: dict[str, dict[str, float]] = {}
    if args.only in (None, "throughput"):
        results["throughput"] = throughput.run()
    if args.only in (None, "image-health"):
        results["image health"] = image_health.run()
    if args.only in (None, "frames"):
        results["frames"] = frames.run()
    if args.only in (None, "latency"):
        for protocol in BARE:
            if args.protocol in (None, protocol):
                results[f"latency over {protocol}"] = latency.run(protocol, args.rounds)
    if args.json:
        print(json.dumps(results, indent=2))
        return
    for name, figures in results.items():
        print(name)
        for key, value in figures.items():
            print(f"  {key:24} {value:10.3f}")


if __name__ == "__main__":
    main()
