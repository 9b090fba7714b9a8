"""Which cells run, in which order, how often, and what a cell's first attempt is worth."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from controller.sim.tally import PartTally
from hil_tests import run
from hil_tests.__main__ import main
from hil_tests.cell import Cell
from hil_tests.faults.bench import Bench
from hil_tests.faults.matrix import Fault, load_matrix
from hil_tests.judge import judge_answers
from hil_tests.report import measured
from hil_tests.rig import Rig
from hil_tests.rigfile import find_rig
from hil_tests.schedule import plan, run_matrix

FAULTS = {fault.name: fault for fault in load_matrix()}
SEQUENCE, MODBUS = find_rig("opcua-sequence"), find_rig("modbus-sequence")
OK, REJECTED = (1, 0, 1), (4, 1, 3)
"""Verdict, reason, outcome."""


def test_rigs_side_by_side_give_every_cell_back_in_order(tmp_path: Path) -> None:
    """With rows that no Modbus rig can have: the processes are real, no rig needs to be up for them."""
    (tmp_path / "packages").mkdir()
    faults = [FAULTS["tag-missing"].model_copy(update={"alone": True}), FAULTS["tag-retyped"], FAULTS["tag-read-only"]]
    told: list[str] = []
    batches = plan([MODBUS, find_rig("modbus-four-phase")], ["SHADOW", "ALERT"], faults)
    cells = run_matrix(batches, tmp_path, lambda cell: told.append(cell.name), jobs=2)
    assert [cell.name for cell in cells] == [cell.name for batch in batches for cell in batch]
    assert all("neither names nor types" in cell.skipped for cell in cells)
    assert sorted(told) == sorted(cell.name for cell in cells)
    assert all(name.startswith("tag-missing") for name in told[-4:]), "what must be alone comes last"


def test_a_run_of_impossible_cells_writes_both_reports_and_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    order = ["--rig", "modbus-sequence", "--mode", "SHADOW", "--fault", "tag-missing", "--out", str(tmp_path)]
    assert main(order) == 0
    assert "0 cells (1 more are not possible" in capsys.readouterr().out
    assert "neither names nor types" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "neither names nor types" in (tmp_path / "junit.xml").read_text(encoding="utf-8")


def attempts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *steps: Callable[[Cell], None], standing_ms: float = 0.0
) -> Cell:
    """A cell whose attempts end like this, one after the other, while the computer stands still for so long in each."""
    left, stood = list(steps), [0.0]

    def attempt(cell: Cell, _keeper: object) -> None:
        left.pop(0)(cell)
        stood[0] += standing_ms

    monkeypatch.setattr(run, "_run_cell", attempt)
    cell = Cell(FAULTS["camera-black"], SEQUENCE, "SHADOW")
    run.CellRunner(tmp_path, SEQUENCE, lambda: stood[0]).run(cell)
    assert not left, "fewer attempts than expected"
    return cell


def late(cell: Cell) -> None:
    cell.late.append("safe after 130 ms")


def wrong(cell: Cell) -> None:
    cell.problems.append("duplicate: 1, must be 0")


def well(_cell: Cell) -> None:
    pass


def test_what_was_late_is_tried_once_more_and_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cell = attempts(monkeypatch, tmp_path, late, well)
    assert (cell.result, cell.earlier) == ("repeated", ["safe after 130 ms"])
    assert attempts(monkeypatch, tmp_path, late, late).result == "failed"
    assert attempts(monkeypatch, tmp_path, well).result == "passed"


def test_an_attempt_in_which_the_computer_stood_still_does_not_count(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cell = attempts(monkeypatch, tmp_path, late, late, late, well, standing_ms=21)
    assert cell.result == "repeated"
    assert cell.earlier == ["safe after 130 ms (the computer stood still for 21 ms)"] * 3
    failed = attempts(monkeypatch, tmp_path, *[late] * run.MOST_ATTEMPTS, standing_ms=21)
    assert failed.result == "failed", "not for ever"
    assert "stood still for 21 ms" in measured(failed)
    assert attempts(monkeypatch, tmp_path, late, late, standing_ms=19).result == "failed"
    assert attempts(monkeypatch, tmp_path, late, wrong, standing_ms=21).result == "failed"


def test_a_run_that_is_asked_to_end_leaves_no_station_behind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    dropped: list[object] = []

    def asked_to_end(_cell: Cell, _keeper: object) -> None:
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(run, "_run_cell", asked_to_end)

    def drop(keeper: object) -> None:
        dropped.append(keeper)

    monkeypatch.setattr(run._RigKeeper, "drop", drop)  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(SystemExit):
        run.run_cells([Cell(FAULTS["camera-black"], SEQUENCE, "SHADOW")], tmp_path, lambda _cell: None)
    assert len(dropped) == 1
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_what_must_never_happen_is_not_tried_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert attempts(monkeypatch, tmp_path, wrong).result == "failed"
    assert attempts(monkeypatch, tmp_path, lambda cell: (late(cell), wrong(cell))[0]).result == "failed"


def judged(tmp_path: Path, fault: Fault, *parts: tuple[int, int, int]) -> Cell:
    """A cell in AUTO_REJECT whose parts got these answers, each in 20 ms."""
    cell = Cell(fault, SEQUENCE, "AUTO_REJECT")
    tallies = [
        PartTally(n, n, 1, 1, 0, answered_ns=20_000_000, answers=1, verdict=verdict, reason=reason, outcome=outcome)
        for n, (verdict, reason, outcome) in enumerate(parts, start=1)
    ]
    judge_answers(cell, Bench(Rig(SEQUENCE, tmp_path)), tallies, 0)
    return cell


def test_late_and_safe_is_late_wrong_is_wrong(tmp_path: Path) -> None:
    black, decided = FAULTS["camera-black"], FAULTS["recipe-unknown"]
    assert judged(tmp_path, decided, OK).complaints == []
    slow = judged(tmp_path, decided, REJECTED)
    assert (slow.problems, len(slow.late)) == ([], 1)
    assert judged(tmp_path, black, OK).problems == ["part 1 got OK/DECIDED, expected NO_DECISION/IMAGE_QUALITY"]
    (moved,) = judged(tmp_path, decided, (1, 0, 3)).problems
    assert moved == "part 1 (OK/DECIDED): gate REJECT, expected PASS"


def test_a_part_that_must_get_no_answer_is_not_merely_late_when_it_gets_one(tmp_path: Path) -> None:
    cell = judged(tmp_path, FAULTS["connection-reset-mid-cycle"], REJECTED)
    assert len(cell.problems) == 1
    assert cell.late == []
