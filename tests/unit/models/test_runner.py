"""Packages, runner, decoders and inspector on tiny graphs: sizes in mm, and every way to be unusable."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from numpy.typing import NDArray
from openvino import opset13 as ops

from models.catalogue import Catalogue
from models.decode import anomaly, classify, detect
from models.errors import ImageUnfit, InferenceFailed, ModelRejected
from models.frame import Frame, ImageBand
from models.inspector import Inspector
from models.package import Manifest, ModelPackage, open_package, write_package
from models.runner import Runner
from statemachines.vocabulary import Verdict
from tests.unit.models.graphs import constant, package


def catalogue(name: str = "scratch", measure: str = "length", above: float = 2.0) -> Catalogue:
    defect = {
        "name": name,
        "code": 7,
        "measure": measure,
        "severities": [{"severity": "major", "above": above}],
    }
    return Catalogue.model_validate({"schema": 1, "product": "p", "defects": [defect]})


def frame(pixels: NDArray[np.uint8]) -> Frame:
    return Frame("top", pixels, 0, 1, "cam")


def loaded(bought: ModelPackage) -> Runner:
    runner = Runner(bought)
    runner.load()
    runner.warm_up()
    return runner


@pytest.mark.parametrize(("length_px", "verdict"), [(0, Verdict.OK), (30, Verdict.OK), (60, Verdict.NG)])
def test_a_scratch_is_measured_in_mm_of_the_frame(tmp_path: Path, length_px: int, verdict: Verdict) -> None:
    """The frame is 4x the model's input: 60 px of the frame at 0.05 mm are 3 mm, against a limit of 2 mm."""
    inspector = Inspector(loaded(package(tmp_path)), catalogue(), mm_per_px=0.05)
    pixels = np.zeros((128, 256), np.uint8)
    pixels[40:48, 100 : 100 + length_px] = 255
    judged = inspector.inspect(frame(pixels))
    assert judged.verdict is verdict
    if verdict is Verdict.NG:
        (finding,) = judged.findings
        assert finding.length_mm == pytest.approx(3.0, abs=0.25)
        assert finding.width_mm == pytest.approx(0.4, abs=0.25)
        x, y, w, h = finding.region
        assert (x, y) == pytest.approx((100, 40), abs=4)
        assert (w, h) == pytest.approx((60, 8), abs=8)
        assert finding.why == f"scratch {finding.length_mm:.3g} mm > 2 mm: major"


def test_a_turned_scratch_has_its_true_length(tmp_path: Path) -> None:
    inspector = Inspector(loaded(package(tmp_path, width=256, height=256)), catalogue(), mm_per_px=0.05)
    pixels = np.zeros((256, 256), np.uint8)
    for step in range(100):
        pixels[50 + step : 54 + step, 50 + step : 54 + step] = 255
    (finding,) = inspector.inspect(frame(pixels)).findings
    assert finding.length_mm == pytest.approx(0.05 * 100 * 2**0.5, rel=0.06)


def test_a_region_of_interest_is_cut_out_and_its_findings_shifted_back(tmp_path: Path) -> None:
    inspector = Inspector(loaded(package(tmp_path)), catalogue(), 0.05, roi=(64, 32, 64, 32))
    pixels = np.zeros((128, 256), np.uint8)
    pixels[:, :60] = 255
    assert inspector.inspect(frame(pixels)).findings == ()
    pixels[40:44, 70:120] = 255
    (finding,) = inspector.inspect(frame(pixels)).findings
    assert finding.region == (70, 40, 50, 4)
    with pytest.raises(InferenceFailed, match="leaves the frame"):
        inspector.inspect(frame(np.zeros((40, 40), np.uint8)))


def test_colour_frames_reach_a_grey_model_and_grey_ones_a_colour_model(tmp_path: Path) -> None:
    def mean_of_channels(pixels: Any) -> Any:
        grey = ops.reduce_mean(pixels, ops.constant([1]), keep_dims=True)
        share = ops.divide(grey, ops.constant(np.float32(255)))
        return ops.concat([share, share], axis=1)

    grey = loaded(package(tmp_path, name="grey"))
    red = np.zeros((32, 64, 3), np.uint8)
    red[:, :, 0] = 255
    assert grey.infer(red)["probabilities"][0, 1].mean() == pytest.approx(0.299, abs=0.01)
    colour = loaded(package(tmp_path, mean_of_channels, name="colour", channels=3, colour="rgb"))
    level = colour.infer(np.full((32, 64), 51, np.uint8))["probabilities"]
    assert level.mean() == pytest.approx(0.2, abs=0.01)


def test_bgr_models_get_blue_first(tmp_path: Path) -> None:
    def first_channel(pixels: Any) -> Any:
        first = ops.gather(pixels, ops.constant([0]), ops.constant(1))
        share = ops.divide(first, ops.constant(np.float32(255)))
        return ops.concat([share, share], axis=1)

    runner = loaded(package(tmp_path, first_channel, channels=3, colour="bgr"))
    blue = np.zeros((32, 64, 3), np.uint8)
    blue[:, :, 2] = 255
    assert runner.infer(blue)["probabilities"].mean() == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_graph_that_gives_no_numbers_is_refused_at_warm_up(tmp_path: Path, bad: float) -> None:
    runner = Runner(package(tmp_path, constant(np.full((1, 2, 4, 4), bad, np.float32))))
    runner.load()
    with pytest.raises(ModelRejected, match="not finite"):
        runner.warm_up()


def test_not_a_number_on_one_frame_is_a_failed_inference(tmp_path: Path) -> None:
    def nan_where_black(pixels: Any) -> Any:
        ratio = ops.divide(pixels, pixels)
        return ops.concat([ops.subtract(ops.constant(np.float32(1)), ratio), ratio], axis=1)

    runner = Runner(package(tmp_path, nan_where_black))
    runner.load()
    inspector = Inspector(runner, catalogue(), 0.05)
    assert inspector.inspect(frame(np.full((32, 64), 9, np.uint8)))
    with pytest.raises(InferenceFailed, match="nan"):
        inspector.inspect(frame(np.zeros((32, 64), np.uint8)))


def test_an_output_of_the_wrong_shape_is_a_failed_inference(tmp_path: Path) -> None:
    inspector = Inspector(loaded(package(tmp_path, constant(np.zeros((1, 5, 4, 4), np.float32)))), catalogue(), 0.05)
    with pytest.raises(InferenceFailed, match=r"\(1, 5, 4, 4\)"):
        inspector.inspect(frame(np.zeros((32, 64), np.uint8)))


def test_a_graph_of_another_input_size_is_refused(tmp_path: Path) -> None:
    bought = package(tmp_path)
    path = bought.folder / "manifest.json"
    content = json.loads(path.read_text())
    content["input"]["width"] = 128
    path.write_text(json.dumps(content))
    with pytest.raises(ModelRejected, match="the graph's input is"):
        Runner(open_package(tmp_path, "tiny", "1.0.0")).load()


def test_a_graph_that_is_garbage_is_refused(tmp_path: Path) -> None:
    bought = package(tmp_path)
    (bought.folder / "int8.xml").write_text("<net></net>")
    fields = {k: v for k, v in json.loads((bought.folder / "manifest.json").read_text()).items() if k != "files"}
    write_package(bought.folder, fields)
    with pytest.raises(ModelRejected, match=r"int8\.xml"):
        Runner(open_package(tmp_path, "tiny", "1.0.0")).load()


@pytest.mark.parametrize(
    "pixels",
    [np.zeros((4, 4), np.uint16), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4), np.uint8)],
    ids=["16 bit", "four channels", "empty"],
)
def test_a_frame_of_the_wrong_kind_is_a_failed_inference(tmp_path: Path, pixels: Any) -> None:
    with pytest.raises(InferenceFailed, match="frame"):
        loaded(package(tmp_path)).infer(pixels)


def test_a_model_that_finds_what_the_catalogue_does_not_know_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelRejected, match="classes = 'scratch'"):
        Inspector(Runner(package(tmp_path)), catalogue("dent"), 0.05)


@pytest.mark.parametrize(
    ("level", "what"),
    [(0, "mean grey 0"), (250, "mean grey 250"), (100, "nothing in view")],
    ids=["dark", "bright", "flat"],
)
def test_a_frame_without_a_part_in_it_is_never_good(tmp_path: Path, level: int, what: str) -> None:
    band = ImageBand(darkest=40, brightest=200, flattest=5)
    inspector = Inspector(loaded(package(tmp_path)), catalogue(), 0.05, band=band)
    with pytest.raises(ImageUnfit, match=what):
        inspector.inspect(frame(np.full((128, 256), level, np.uint8)))
    halves = np.full((128, 256), 90, np.uint8)
    halves[:64] = 120
    assert inspector.inspect(frame(halves)).verdict is Verdict.OK


# --- packages -------------------------------------------------------------------------------------------------


def test_every_byte_of_a_package_is_checked(tmp_path: Path) -> None:
    bought = package(tmp_path)
    graph = bought.folder / "int8.bin"
    original = graph.read_bytes() if graph.stat().st_size else b""
    graph.write_bytes(original + b"x")
    with pytest.raises(ModelRejected, match=r"int8\.bin.*another content"):
        open_package(tmp_path, "tiny", "1.0.0")
    graph.unlink()
    with pytest.raises(ModelRejected, match=r"int8\.bin.*missing"):
        open_package(tmp_path, "tiny", "1.0.0")
    graph.write_bytes(original)
    (bought.folder / "extra.py").write_text("boo")
    with pytest.raises(ModelRejected, match=r"extra\.py.*not listed"):
        open_package(tmp_path, "tiny", "1.0.0")


def test_signatures(tmp_path: Path) -> None:
    key, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    public, stranger = key.public_key().public_bytes_raw(), other.public_key().public_bytes_raw()
    bought = package(tmp_path)
    with pytest.raises(ModelRejected, match="required and missing"):
        open_package(tmp_path, "tiny", "1.0.0", trusted_keys=[public], require_signature=True)
    fields = {k: v for k, v in json.loads((bought.folder / "manifest.json").read_text()).items() if k != "files"}
    write_package(bought.folder, fields, key)
    assert open_package(tmp_path, "tiny", "1.0.0", trusted_keys=[stranger, public], require_signature=True).signed
    with pytest.raises(ModelRejected, match="none of the trusted keys"):
        open_package(tmp_path, "tiny", "1.0.0", trusted_keys=[stranger])
    path = bought.folder / "manifest.json"
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(ModelRejected, match="none of the trusted keys"):
        open_package(tmp_path, "tiny", "1.0.0", trusted_keys=[public])


@pytest.mark.parametrize(
    ("key", "value", "part"),
    [
        ("task", "guess", "task"),
        ("classes", [], "classes"),
        ("classes", ["a", "a"], "twice"),
        ("preferred", "fp32", "preferred"),
        ("version", "../1", "version"),
        ("graphs", {"int8": "../../evil.xml"}, "not listed"),
        ("training_data_sha256", "nope", "training_data_sha256"),
        ("surprise", 1, "surprise"),
        ("schema", 2, "schema"),
    ],
)
def test_a_broken_manifest_names_key_and_file(tmp_path: Path, key: str, value: object, part: str) -> None:
    bought = package(tmp_path)
    path = bought.folder / "manifest.json"
    content = json.loads(path.read_text())
    content[key] = value
    path.write_text(json.dumps(content))
    with pytest.raises(ModelRejected, match=part) as caught:
        open_package(tmp_path, "tiny", "1.0.0")
    assert "manifest.json" in str(caught.value)


# --- the other decoders ---------------------------------------------------------------------------------------


def manifest(**changes: Any) -> Manifest:
    plain: dict[str, Any] = {
        "schema": 1,
        "name": "m",
        "version": "1",
        "task": "segment",
        "classes": ["scratch", "dent"],
        "input": {"width": 100, "height": 50, "channels": 1, "colour": "grey", "mean": [0], "std": [1]},
        "output": {},
        "graphs": {"int8": "int8.xml"},
        "training_data_sha256": "0" * 64,
        "metrics": {},
        "licence": "x",
        "created": "2026",
    }
    return Manifest.model_validate({**plain, **changes})


def boxes(*rows: tuple[float, ...]) -> dict[str, NDArray[np.float32]]:
    return {"output0": np.array(rows, np.float32).T[None]}


def test_yolo_boxes_are_scaled_and_suppressed_within_their_class() -> None:
    spec = manifest(task="detect", output={"box_format": "yolov8"})
    outputs = boxes(
        (50, 25, 20, 10, 0.9, 0.0),
        (51, 25, 20, 10, 0.8, 0.0),
        (50, 25, 20, 10, 0.0, 0.7),
        (10, 10, 4, 4, 0.2, 0.1),
    )
    decoded = detect.decode(outputs, spec, 200, 100)
    assert sorted((f.defect, f.region) for f in decoded.findings) == [
        ("dent", (80, 40, 40, 20)),
        ("scratch", (80, 40, 40, 20)),
    ]
    assert decoded.score == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("outputs", "what"),
    [
        (boxes((50, 25, 20, 10, np.nan, 0.0)), "NaN"),
        (boxes((50, 25, 20, 10, 0.9)), "wanted"),
        (boxes((50, 25, 20, 10, 7.0, 0.0)), "sigmoid"),
        (boxes((50, 25, -20, 10, 0.9, 0.0)), "negative"),
    ],
)
def test_unusable_boxes_are_a_failed_inference(outputs: dict[str, NDArray[np.float32]], what: str) -> None:
    with pytest.raises(InferenceFailed, match=what):
        detect.decode(outputs, manifest(task="detect", output={"box_format": "yolov8"}), 200, 100)


def test_classification_names_every_likely_defect() -> None:
    spec = manifest(task="classify", classes=["good", "scratch", "dent"], good_class="good")
    sure = classify.decode({"probabilities": np.array([[0.1, 0.8, 0.6]], np.float32)}, spec, 10, 10)
    assert [f.defect for f in sure.findings] == ["scratch", "dent"]
    fine = classify.decode({"probabilities": np.array([[0.9, 0.05, 0.05]], np.float32)}, spec, 10, 10)
    assert fine.findings == ()
    spread = classify.decode({"probabilities": np.array([[0.3, 0.4, 0.3]], np.float32)}, spec, 10, 10)
    assert [f.defect for f in spread.findings] == ["scratch"], "not good enough to be good"


def test_anomaly_maps_are_turned_so_that_high_is_bad() -> None:
    heat = np.full((1, 1, 10, 20), 5.0, np.float32)
    heat[0, 0, 4:6, 8:16] = -3.0
    output = {"score_orientation": "low_is_bad", "score_offset": 0.0, "score_scale": 0.25, "pixel_threshold": 0.5}
    spec = manifest(task="anomaly", classes=["anomaly"], output=output)
    decoded = anomaly.decode({"map": heat}, spec, 200, 100)
    (finding,) = decoded.findings
    assert finding.region == (80, 40, 80, 20)
    assert decoded.score == pytest.approx(0.75)


def test_an_anomaly_score_without_a_map_still_makes_a_finding() -> None:
    spec = manifest(task="anomaly", classes=["anomaly"])
    decoded = anomaly.decode({"score": np.array([0.8], np.float32)}, spec, 200, 100)
    assert [f.region for f in decoded.findings] == [(0, 0, 200, 100)]
    with pytest.raises(InferenceFailed, match="NaN"):
        anomaly.decode({"score": np.array([np.nan], np.float32)}, spec, 200, 100)
