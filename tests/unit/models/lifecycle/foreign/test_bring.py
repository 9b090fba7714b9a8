"""Exports in the shape of other tools become packages that the station reads; what is not understood does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="needs the train extra")
pytest.importorskip("torch", reason="needs the train extra")

from openvino import opset13 as ops

from controller.cli import main
from models.decode import DECODERS, Decoded
from models.errors import ModelRejected
from models.lifecycle.foreign.bring import Brought, bring
from models.lifecycle.foreign.exported import names_in
from models.lifecycle.foreign.recognise import Given
from models.lifecycle.pack import Naming
from models.package import ModelPackage, open_package
from models.runner import Runner
from tests.unit.models.lifecycle.data.made import write_picture
from tests.unit.models.lifecycle.foreign import exports
from tests.unit.models.lifecycle.foreign.exports import SIDE

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(300)]

BRIGHT, DARK = np.full((SIDE, SIDE, 3), 230, np.uint8), np.full((SIDE, SIDE, 3), 10, np.uint8)
NAMING = Naming("brought", "1.0.0", "theirs")


def brought(path: Path, given: Given = Given()) -> Brought:
    pictures = [path.parent / "dark.png", path.parent / "bright.png"]
    for file, pixels in zip(pictures, (DARK, BRIGHT), strict=True):
        write_picture(file, pixels)
    return bring(path, pictures, path.parent / "packages", NAMING, given)


def said_about(package: ModelPackage, pixels: np.ndarray) -> Decoded:
    runner = Runner(package)
    runner.load()
    try:
        return DECODERS[package.manifest.task](runner.infer(pixels), package.manifest, SIDE, SIDE)
    finally:
        runner.close()


@pytest.mark.parametrize(
    ("make", "family", "defect"),
    [(exports.detector, "Ultralytics detect 8.3.0", "crack"), (exports.end_to_end, "Ultralytics detect 8.3.0", "hole")],
)
def test_ultralytics_detector(tmp_path: Path, make: Callable[[Path], Path], family: str, defect: str) -> None:
    made = brought(make(tmp_path / "best.onnx"))
    assert made.recognised.family == family and made.package.manifest.classes == ("crack", "hole")
    (finding,) = said_about(made.package, BRIGHT).findings
    assert finding.defect == defect and finding.confidence == pytest.approx(230 / 255, abs=0.01)
    assert finding.region == (12, 13, 8, 6)
    assert said_about(made.package, DARK).findings == ()
    assert [found for _, _, found in made.answers] == [0, 1]


def test_ultralytics_masks_become_maps(tmp_path: Path) -> None:
    made = brought(exports.masks(tmp_path / "best.onnx"))
    (finding,) = said_about(made.package, BRIGHT).findings
    assert finding.defect == "hole" and finding.confidence == pytest.approx(230 / 255, abs=0.01)
    assert finding.region == (12, 12, 8, 8), "cells of four pixels whose middle lies in the box"
    assert said_about(made.package, DARK).findings == ()


def test_ultralytics_classifier_needs_to_know_the_good_class(tmp_path: Path) -> None:
    path = exports.classifier(tmp_path / "best.onnx", exports.ultralytics("classify"))
    with pytest.raises(ModelRejected, match="which class is a good part"):
        brought(path)


def test_vision_transformer(tmp_path: Path) -> None:
    path = exports.classifier(tmp_path / "vit.onnx", entry="pixel_values")
    with pytest.raises(ModelRejected, match="name its 2 classes"):
        brought(path)
    made = brought(path, Given(classes=("ok", "hole")))
    assert made.recognised.family == "Vision Transformer"
    assert (made.package.manifest.good_class, made.package.manifest.input.mean[0]) == ("ok", 127.5)
    assert [f.defect for f in said_about(made.package, BRIGHT).findings] == ["hole"]
    assert said_about(made.package, DARK).findings == ()


def test_faster_rcnn(tmp_path: Path) -> None:
    path = exports.faster_rcnn(tmp_path / "rcnn.onnx")
    with pytest.raises(ModelRejected, match="without the background"):
        brought(path)
    made = brought(path, Given(classes=("crack", "hole")))
    (finding,) = said_about(made.package, BRIGHT).findings
    assert (finding.defect, finding.region) == ("hole", (12, 13, 8, 6)), "labels count from 1"
    assert said_about(made.package, DARK).findings == ()


def test_anomalib(tmp_path: Path) -> None:
    made = brought(exports.anomalib(tmp_path / "model.onnx"))
    assert made.package.manifest.task == "anomaly"
    assert said_about(made.package, BRIGHT).score == pytest.approx(230 / 255, abs=0.01)
    assert said_about(made.package, DARK).findings == ()


def test_model_api_by_its_rt_info(tmp_path: Path) -> None:
    import openvino as ov

    pixels = ops.parameter([1, 3, SIDE, SIDE], np.float32, name="image")
    mean = ops.reduce_mean(pixels, ops.constant(np.array([1, 2, 3])), False)
    logits = ops.multiply(
        ops.unsqueeze(mean, ops.constant(np.array([1]))), ops.constant(np.array([[-4.0, 4.0]], np.float32))
    )
    graph = ov.Model([logits], [pixels], "geti")  # type: ignore[call-overload]
    about = {"model_type": "Classification", "labels": "No_defect hole", "reverse_input_channels": "YES",
             "mean_values": "127.5 127.5 127.5", "scale_values": "127.5 127.5 127.5"}  # fmt: skip
    for key, value in about.items():
        graph.set_rt_info(value, ["model_info", key])
    ov.save_model(graph, str(tmp_path / "model.xml"), compress_to_fp16=False)
    made = brought(tmp_path / "model.xml")
    manifest = made.package.manifest
    assert (manifest.classes, manifest.good_class, manifest.input.colour) == (("No defect", "hole"), "No defect", "rgb")
    assert said_about(made.package, BRIGHT).score == pytest.approx(
        1 / (1 + np.exp(-8 * (230 - 127.5) / 127.5)), abs=1e-3
    )


@pytest.mark.parametrize(
    ("name", "said"),
    [("best.pt", "export the model as ONNX"), ("odd.onnx", "cannot read it"), ("none.xml", "cannot read")],
)
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, name: str, said: str) -> None:
    if name != "none.xml":
        (tmp_path / name).write_bytes(b"not a model")
    with pytest.raises(ModelRejected, match=said):
        brought(tmp_path / name)


def test_an_unknown_task_and_unknown_outputs_are_refused(tmp_path: Path) -> None:
    pose = exports.classifier(tmp_path / "pose.onnx", exports.ultralytics("pose"))
    with pytest.raises(ModelRejected, match="only detect, classify and segment"):
        brought(pose)
    from onnx import helper

    odd = exports.write(tmp_path / "odd.onnx", [helper.make_node("Identity", ["bright"], ["depth"])], {"depth": (1, 1)})
    with pytest.raises(ModelRejected, match="of no family that is understood"):
        brought(odd)


def test_a_model_that_says_the_same_about_everything_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    path = exports.detector(tmp_path / "best.onnx")
    write_picture(tmp_path / "one.png", DARK)
    write_picture(tmp_path / "two.png", DARK)
    with pytest.raises(ModelRejected, match="says the same about every picture"):
        bring(path, [tmp_path / "one.png", tmp_path / "two.png"], tmp_path / "packages", NAMING)
    assert not (tmp_path / "packages" / "brought" / "1.0.0").exists()


def test_a_version_is_never_overwritten(tmp_path: Path) -> None:
    path = exports.detector(tmp_path / "best.onnx")
    first = brought(path)
    with pytest.raises(ModelRejected, match="choose another version"):
        brought(path)
    assert open_package(tmp_path / "packages", "brought", "1.0.0").hash == first.package.hash


def test_class_names_as_exporters_write_them() -> None:
    assert names_in("{1: 'b', 0: 'a'}") == ("a", "b")
    assert names_in("['a', 'b c']") == ("a", "b c")
    assert names_in("a b_c") == ("a", "b_c")
    assert names_in("{broken") == ()


def test_the_command_says_what_it_recognised(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exports.detector(tmp_path / "best.onnx")
    for name, pixels in (("dark", DARK), ("bright", BRIGHT)):
        write_picture(tmp_path / "samples" / f"{name}.png", pixels)
    words = [
        "model",
        "import",
        tmp_path / "best.onnx",
        "--images",
        tmp_path / "samples",
        "--out",
        tmp_path / "packages",
    ]
    assert main([*map(str, words), "--name", "tile"]) == 0
    said = capsys.readouterr()
    assert "recognised: Ultralytics detect 8.3.0, detect: crack, hole" in said.err
    assert "bright.png: score 0.9" in said.err
    assert open_package(tmp_path / "packages", "tile", "1.0.0").hash in said.out
    assert main([*map(str, words), "--name", "tile"]) == 1, "the version exists"
