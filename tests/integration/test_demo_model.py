"""The demo's model package as it is shipped: whole, small, fitting its catalogue, right about parts it never saw."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from controller.sim.measure import measure
from controller.sim.product import LIMITS, Kind, SimPart, sim_part
from controller.sim.render import Renderer
from models.catalogue import Catalogue, load_catalogue
from models.frame import Frame
from models.inspector import Inspector
from models.package import ModelPackage, open_package
from models.runner import Runner
from statemachines.vocabulary import Assessment, Verdict

REPOSITORY = Path(__file__).parents[2]
PACKAGES = REPOSITORY / "models" / "packages"
CATALOGUE = REPOSITORY / "controller" / "sim" / "station" / "recipes" / "washer" / "catalogue.toml"
MOST_BYTES = 5_000_000


@pytest.fixture(scope="module")
def package() -> ModelPackage:
    return open_package(PACKAGES, "sim-washer", "1.0.0")


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue(CATALOGUE)


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer()


@pytest.fixture(scope="module", params=["int8", "fp32"])
def inspector(request: pytest.FixtureRequest, package: ModelPackage, catalogue: Catalogue) -> Iterator[Inspector]:
    runner = Runner(package, graph=request.param)
    inspector = Inspector(runner, catalogue, mm_per_px=0.05)
    inspector.warm_up()
    yield inspector
    runner.close()


def judged(inspector: Inspector, renderer: Renderer, part: SimPart) -> Assessment:
    return inspector.inspect(Frame("top", renderer.render(part), exposed_at=0, counter=1, camera="test"))


def with_single(kind: Kind, ratio: tuple[float, float], count: int) -> list[SimPart]:
    """Parts with exactly one defect, of this kind and size over limit."""
    parts: list[SimPart] = []
    for number in range(1, 5000):
        part = sim_part(31, number, defective_share=0.5, blemish_share=0.9)
        if len(part.defects) == 1 and part.defects[0].kind is kind and ratio[0] <= part.defects[0].ratio <= ratio[1]:
            parts.append(part)
        if len(parts) == count:
            break
    assert len(parts) == count
    return parts


def test_package_is_small_and_has_both_graphs(package: ModelPackage) -> None:
    files = [file for file in package.folder.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= MOST_BYTES
    assert set(package.manifest.graphs) == {"int8", "fp32"}
    assert package.manifest.preferred == "int8"


def test_stated_figures_meet_the_goal(package: ModelPackage) -> None:
    assert set(package.manifest.metrics) == {"int8", "fp32"}
    for figures in package.manifest.metrics.values():
        assert figures["parts"] >= 2000
        assert figures["defective_passed"] == 0
        assert figures["false_reject_rate"] <= 0.005
        assert all(figures[f"recall_{kind.value}"] >= 0.99 for kind in Kind)


def test_catalogue_has_the_limits_of_the_product(catalogue: Catalogue, package: ModelPackage) -> None:
    catalogue.check_classes(package.manifest.defect_classes, "manifest")
    for defect in catalogue.defects:
        kind = Kind(defect.name)
        assert defect.measure == ("area" if kind is Kind.STAIN else "length")
        assert next(limit.above for limit in defect.severities if limit.verdict == "NG") == LIMITS[kind]
        # The product's sizes stay clear of the doubtful band, so that the truth is never a matter of opinion.
        assert defect.unsure_margin < 0.5


def test_right_about_parts_of_another_line(inspector: Inspector, renderer: Renderer) -> None:
    figures = measure(inspector, renderer, (sim_part(777, number) for number in range(1, 201))).figures()
    assert figures["defective_parts"] >= 15
    assert figures["defective_passed"] == 0
    assert figures["good_rejected"] <= 1


@pytest.mark.parametrize("kind", list(Kind))
def test_finds_names_and_measures_each_defect(inspector: Inspector, renderer: Renderer, kind: Kind) -> None:
    for part in with_single(kind, (1.5, 4.0), 8):
        assessment = judged(inspector, renderer, part)
        assert assessment.verdict is Verdict.NG
        worst = max(assessment.findings, key=lambda finding: finding.area_mm2)
        truth = part.defects[0]
        assert worst.defect == kind.value
        size = worst.area_mm2 if kind is Kind.STAIN else worst.length_mm
        assert size == pytest.approx(truth.size, rel=0.15, abs=0.6)
        x, y = renderer.place_of(part, truth)
        left, top, width, height = worst.region
        assert left - 8 <= x <= left + width + 8
        assert top - 8 <= y <= top + height + 8


@pytest.mark.parametrize("kind", list(Kind))
def test_tolerates_small_blemishes(inspector: Inspector, renderer: Renderer, kind: Kind) -> None:
    verdicts = [judged(inspector, renderer, part).verdict for part in with_single(kind, (0.2, 0.5), 8)]
    assert verdicts == [Verdict.OK] * 8


def test_same_washer_without_its_defect_is_good(inspector: Inspector, renderer: Renderer) -> None:
    for kind in Kind:
        part = with_single(kind, (1.5, 4.0), 1)[0]
        assert judged(inspector, renderer, part).verdict is Verdict.NG
        clean = replace(part, defects=(), defective=False)
        assert judged(inspector, renderer, clean).verdict is Verdict.OK


@pytest.mark.timeout(300)
@pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("torch", "nncf")), reason="needs the train extra"
)
def test_script_makes_a_valid_package(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "controller.sim.demo_model",
        "--out",
        str(tmp_path),
        "--steps",
        "2",
        "--parts",
        "8",
    ]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    assert "2 steps" in done.stdout
    package = open_package(tmp_path, "sim-washer", "1.0.0")
    assert package.manifest.metrics["int8"]["parts"] == 8
    manifest = json.loads((package.folder / "manifest.json").read_text(encoding="utf-8"))
    assert set(manifest["files"]) == {"int8.xml", "int8.bin", "fp32.xml", "fp32.bin"}
