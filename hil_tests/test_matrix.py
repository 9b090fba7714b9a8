"""One cell of every kind of fault that is quick, on one rig: the whole matrix runs with `make hil`.

Which mode: three rigs would cost three starts, so all cells share one rig in AUTO_REJECT, the mode in which a wrong
answer moves the gate. Rows with `quick = false` take seconds each and are left to `make hil`.
"""

from __future__ import annotations

from collections.abc import Generator

import pytest

from hil_tests.faults.matrix import Fault, load_matrix
from hil_tests.rigfile import find_rig
from hil_tests.run import Cell, CellRunner

SLACK = 20.0
"""A test's computer is busy with other things, and no timing may decide a test; `make hil` holds the limits."""

RIG = find_rig("opcua-sequence")
QUICK = [fault for fault in load_matrix() if fault.quick and RIG.plc.profile in fault.profiles]


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Generator[CellRunner]:
    with CellRunner(tmp_path_factory.mktemp("matrix"), RIG) as made:
        yield made


@pytest.mark.timeout(180)
@pytest.mark.parametrize("fault", QUICK, ids=[fault.name for fault in QUICK])
def test_cell(runner: CellRunner, fault: Fault) -> None:
    cell = Cell(fault, RIG, "AUTO_REJECT", fault.expectation("AUTO_REJECT"), SLACK)
    runner.run(cell)
    if cell.skipped:
        pytest.skip(cell.skipped)
    assert not cell.problems, "\n".join(cell.problems + cell.notes)
