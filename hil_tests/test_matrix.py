"""One cell of every kind of fault that is quick, on one rig of each profile: the whole matrix runs with `make hil`.

All cells of a profile share one rig in AUTO_REJECT, the mode in which a wrong answer moves the gate. Rows with
`quick = false` take seconds each and are left to `make hil`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import ExitStack
from pathlib import Path

import pytest

from controller.sim.standstill import StandstillWatch
from hil_tests.cell import Cell
from hil_tests.faults.matrix import Fault, load_matrix
from hil_tests.judge import MUST_BE_0
from hil_tests.rigfile import RigFile, find_rig
from hil_tests.run import CellRunner

SLACK = 20.0
"""A test's computer is busy with other things, and no timing may decide a test; `make hil` holds the limits."""

ATTEMPTS = 5
"""For the same reason a part may be late, safely, more often than `make hil` forgives; never may it be wrong."""

SEQUENCE, FOUR_PHASE = find_rig("opcua-sequence"), find_rig("opcua-four-phase")
QUICK = [
    *((fault, SEQUENCE) for fault in load_matrix() if fault.quick and "sequence" not in fault.skip),
    *((fault, FOUR_PHASE) for fault in load_matrix() if fault.quick and "sequence" in fault.skip),
]

Runner = Callable[[RigFile], CellRunner]


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Generator[Runner]:
    """The runner of a rig; one rig is up at a time."""
    made: dict[str, CellRunner] = {}
    with StandstillWatch() as computer, ExitStack() as opened:

        def of(rig: RigFile) -> CellRunner:
            if rig.name not in made:
                opened.close()
                made.clear()
                folder: Path = tmp_path_factory.mktemp(rig.name)
                made[rig.name] = opened.enter_context(CellRunner(folder, rig, computer.so_far_ms))
            return made[rig.name]

        yield of


@pytest.mark.timeout(180)
@pytest.mark.parametrize(("fault", "rig"), QUICK, ids=[fault.name for fault, _ in QUICK])
def test_cell(runner: Runner, fault: Fault, rig: RigFile) -> None:
    cell = Cell(fault, rig, "AUTO_REJECT", SLACK)
    runner(rig).run(cell, ATTEMPTS)
    if cell.skipped:
        pytest.skip(cell.skipped)
    if cell.problems and not any(MUST_BE_0 in problem for problem in cell.problems):
        # Where this computer takes the simulated PLC's processor for longer than a request may last, the link is lost
        # and parts of the fault get no answer, which is safe. `make hil` does not forgive that, nor does this twice.
        cell = Cell(fault, rig, "AUTO_REJECT", SLACK)
        runner(rig).run(cell, ATTEMPTS)
    assert not cell.complaints, "\n".join(cell.complaints + cell.notes)
