"""`make test` in two runs: what fails in either is told and fails the whole, and no folder of tests is left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.__main__ import RUNS, TOGETHER, main

ROOT = Path(__file__).parents[2]


def run_of(folder: Path, name: str, body: str) -> list[str]:
    """Arguments for a run of one file with one test, apart from this project's own tests."""
    test = folder / f"test_{name}.py"
    test.write_text(f"def test_{name}():\n    {body}\n", encoding="utf-8")
    settings = folder / "pytest.ini"
    settings.write_text("[pytest]\nmarkers = slow\n", encoding="utf-8")
    return ["-q", f"--rootdir={folder}", "-c", str(settings), str(test)]


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plugins take longer to come up than the runs take."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


def test_what_fails_in_the_first_run_fails_the_whole_and_the_second_runs_all_the_same(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    bad, good = run_of(tmp_path, "bad", "assert 1 == 2"), run_of(tmp_path, "good", "pass")
    assert main({"one": bad, "other": good}) == 1
    told = capfd.readouterr().out
    assert "FAILED test_bad.test_bad" in told
    assert "1 passed, 1 failed, 0 errors, 0 skipped in " in told
    assert main({"one": good}) == 0


def test_a_run_that_comes_to_nothing_is_a_failure(tmp_path: Path) -> None:
    assert main({"one": ["-c", str(tmp_path / "none.ini")]}) != 0


def test_the_second_run_takes_all_that_the_first_leaves() -> None:
    first, second = RUNS.values()
    assert set(TOGETHER) < set(first)
    assert second == [f"--ignore={path}" for path in TOGETHER]
    assert all((ROOT / path).exists() for path in TOGETHER)
