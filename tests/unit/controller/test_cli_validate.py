"""`linegate model validate`, from a set, a catalogue and a table of answers to the report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from controller.cli import main
from models.lifecycle.data.catalogue_draft import draft
from models.lifecycle.data.labelled_set import LabelledSet
from models.lifecycle.data.sample import Split
from models.lifecycle.validate.predictions import write_predictions
from tests.unit.models.lifecycle.validate.validated import DEFECTS, answers, tiles


@pytest.fixture
def labelled(tmp_path: Path) -> LabelledSet:
    return tiles(tmp_path / "tiles")


@pytest.fixture
def arguments(labelled: LabelledSet, tmp_path: Path) -> list[str]:
    (tmp_path / "catalogue.toml").write_text(draft("tile", dict.fromkeys(DEFECTS, "length"), {}, {}), encoding="utf-8")
    files = ["--catalogue", str(tmp_path / "catalogue.toml"), "--predictions", str(tmp_path / "answers.csv")]
    return ["model", "validate", str(labelled.root), *files, "--out", str(tmp_path / "report"), "--fact", "seed=7"]


@pytest.mark.parametrize(("off", "code"), [(0.0, 0), (0.3, 1)])
def test_report_is_written_and_a_loss_is_told_by_the_exit_code(
    labelled: LabelledSet,
    arguments: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    off: float,
    code: int,
) -> None:
    shown = tuple(sample for sample in labelled.samples if sample.split is Split.TEST)
    both = [*answers(shown, "fp32"), *answers(shown, "int8", off)]
    write_predictions(tmp_path / "answers.csv", both, DEFECTS)
    assert main(arguments) == code
    said = capsys.readouterr().out
    assert "int8: caught" in said and "crack: recall" in said and "look 1 at a test split" in said
    assert ("INT8 loses too much" in said) == bool(code)
    content = json.loads((tmp_path / "report/report.json").read_text(encoding="utf-8"))
    assert content["facts"]["seed"] == "7" and bool(content["int8_losses"]) == bool(code)
    assert "<h1>Validation of tile</h1>" in (tmp_path / "report/report.html").read_text(encoding="utf-8")


def test_wrong_table_is_told_before_the_test_split_is_looked_at(
    labelled: LabelledSet, arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "answers.csv").write_text("image,graph\n", encoding="utf-8")
    assert main(arguments) == 2
    assert "a table of predictions has image" in capsys.readouterr().err
    assert labelled.test_uses() == () and not (tmp_path / "report").exists()
