"""Which graph ships: INT8 behind the gate, else made anew, else BF16 or FP32, and always saying why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("nncf", reason="needs the train extra")

import openvino as ov
from openvino import opset13 as ops

from models.catalogue import Catalogue
from models.lifecycle.candidates import Candidates, judge_candidates
from models.lifecycle.data.sample import Sample
from models.lifecycle.material import Format, Material
from models.lifecycle.tasks import Made
from models.lifecycle.thresholds import Aim

SIDE = 32
FORM = Format(SIDE, SIDE, 1)
CATALOGUE = Catalogue.model_validate(
    {
        "schema": 1,
        "product": "p",
        "defects": [
            {"name": "hole", "code": 7, "measure": "area", "severities": [{"severity": "major", "above": 0.0}]}
        ],
    }
)
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(300)]


def graph(gain: float) -> ov.Model:
    """A hole is where it is bright: from `gain` times brightness (1: all of it, 0: it sees nothing)."""
    pixels = ops.parameter([1, 1, SIDE, SIDE], np.float32, name="pixels")
    bright = ops.divide(ops.add(ops.multiply(pixels, _number(128)), _number(127)), _number(255))
    chance = ops.add(ops.multiply(bright, _number(0.9 * gain)), _number(0.05))
    node: Any = ops.concat([ops.subtract(_number(1), chance), chance], 1)
    node.output(0).get_tensor().set_names({"probabilities"})
    make: Any = ov.Model
    return make([node], [pixels], "bright")


def _number(value: float) -> Any:
    return ops.constant(np.float32(value))


def kept() -> Material:
    """Ten pictures; the last five have a bright square."""
    rng = np.random.default_rng(1)
    samples: list[Sample] = []
    pixels: list[np.ndarray[Any, np.dtype[np.uint8]]] = []
    for number in range(10):
        picture = rng.integers(20, 60, (SIDE, SIDE), np.uint8)
        if number >= 5:
            picture[8:16, 8:16] = 200 + number
        classes = ("hole",) if number >= 5 else ()
        samples.append(Sample(f"{number}.png", "0" * 64, SIDE, SIDE, f"b{number}", not classes, classes))
        pixels.append(picture)
    return Material(Path(), tuple(samples), tuple(pixels), ("hole",), FORM)


def judged(work: Path, int8: float, careful: float) -> tuple[dict[str, Any], list[str]]:
    said: list[str] = []
    made = Made(graph(1), graph(int8), lambda: graph(careful))
    candidates = Candidates("segment", ("hole",), FORM, work)
    return judge_candidates(candidates, made, kept(), CATALOGUE, Aim(), said.append), said


def test_int8_that_loses_nothing_ships(tmp_path: Path) -> None:
    choice, said = judged(tmp_path, 0.99, 0)
    assert choice["preferred"] == "int8" and choice["gate"][0]["passed"] and len(choice["gate"]) == 1
    assert not said
    line = Candidates.line(choice, "hole")
    assert 0.05 + 0.9 * 60 / 255 < line.unsure <= line.ng < 0.05 + 0.9 * 205 / 255
    assert (tmp_path / "int8.xml").is_file() and (tmp_path / "fp32.bin").is_file()


def test_int8_that_sees_nothing_is_made_anew(tmp_path: Path) -> None:
    choice, said = judged(tmp_path, 0, 1)
    assert choice["preferred"] == "int8"
    assert [found["passed"] for found in choice["gate"]] == [False, True]
    assert "the metric falls from 1.0000 to 0.5000" in said[0]


def test_int8_that_stays_bad_is_refused_and_says_so(tmp_path: Path) -> None:
    choice, said = judged(tmp_path, 0, 0)
    assert choice["preferred"] == "bf16"
    assert [found["graph"] for found in choice["gate"]] == ["int8", "int8, careful", "bf16"]
    assert choice["metrics"] == {"fp32": 1.0, "bf16": 1.0}
    assert len(said) == 2 and all("refused" in line for line in said)
