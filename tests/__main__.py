"""`make test`: every test that takes seconds, in two runs with one summary.

Unit tests and a few more decide nothing by time, so they share the computer, two files at once. All others (links with
deadlines, whole stations) run after them, one at a time: their parts must be answered in time.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

TOGETHER = (
    "tests/unit",
    "tests/plc_blocks",
    "tests/integration/test_camera_commands.py",
    "tests/integration/test_demo_model.py",
    "tests/integration/test_packml.py",
    "tests/integration/test_vision_model.py",
)
"""What may run beside other tests: it computes, or answers when it is asked, and no part waits for it."""

RUNS = {
    "two files at once": ["-n", "2", "--dist", "loadfile", *TOGETHER],
    # Whatever the first run does not take: a new folder of tests is never left out.
    "one at a time": [f"--ignore={path}" for path in TOGETHER],
}
NOTHING_WRONG = 0


@dataclass(frozen=True)
class Counts:
    """What pytest counted in a run."""

    tests: int = 0
    failures: int = 0
    errors: int = 0
    skipped: int = 0
    broken: tuple[str, ...] = ()
    """Names of what failed."""

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.tests + other.tests,
            self.failures + other.failures,
            self.errors + other.errors,
            self.skipped + other.skipped,
            self.broken + other.broken,
        )


def counted(report: Path) -> Counts:
    """The counts of a JUnit report; none where pytest did not come as far as to write one."""
    if not report.is_file():
        return Counts()
    counts = Counts()
    for suite in ElementTree.parse(report).getroot().iter("testsuite"):
        figures = {name: int(suite.get(name, "0")) for name in ("tests", "failures", "errors", "skipped")}
        bad = (
            case
            for case in suite.iter("testcase")
            if case.find("failure") is not None or case.find("error") is not None
        )
        broken = tuple(f"{case.get('classname', '')}.{case.get('name', '')}" for case in bad)
        counts += Counts(**figures, broken=broken)
    return counts


def main(runs: dict[str, list[str]] = RUNS) -> int:
    """Do each run, also after one that failed. Returns the first exit status that is not 0."""
    total, status, began = Counts(), NOTHING_WRONG, time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for number, (how, arguments) in enumerate(runs.items()):
            print(f"{how}:", flush=True)
            report = Path(folder) / f"{number}.xml"
            command = [sys.executable, "-m", "pytest", "-rs", "-m", "not slow", f"--junitxml={report}", *arguments]
            ended = subprocess.run(command, check=False).returncode
            total, status = total + counted(report), status or ended
    for name in total.broken:
        print(f"FAILED {name}")
    passed = total.tests - total.failures - total.errors - total.skipped
    minutes, seconds = divmod(round(time.monotonic() - began), 60)
    print(
        f"{passed} passed, {total.failures} failed, {total.errors} errors, {total.skipped} skipped "
        f"in {minutes}:{seconds:02}; exit status {status}"
    )
    return status


if __name__ == "__main__":
    sys.exit(main())
