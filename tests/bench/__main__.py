"""`make bench`: every ratio, side by side in one run."""

from __future__ import annotations

import argparse
import json

from tests.bench import latency, throughput


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", choices=("latency", "throughput"))
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    results: dict[str, dict[str, float]] = {}
    if args.only != "latency":
        results["throughput"] = throughput.run()
    if args.only != "throughput":
        results["latency"] = latency.run()
    if args.json:
        print(json.dumps(results, indent=2))
        return
    for name, figures in results.items():
        print(name)
        for key, value in figures.items():
            print(f"  {key:24} {value:10.3f}")


if __name__ == "__main__":
    main()
