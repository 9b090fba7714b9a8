"""What is refused before the first part, and what ends an inspection that runs."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from openvino import opset13 as ops

from models.catalogue import Catalogue
from models.errors import ImageUnfit, InferenceFailed, ModelRejected
from models.frame import Frame
from models.inspector import Inspector, Region
from models.optics.scale import PlaneScale
from models.package import open_package, write_package
from models.runner import Runner
from statemachines.vocabulary import Verdict
from tests.unit.models.graphs import constant, package

WAIT = 30.0
CATALOGUE = Catalogue.model_validate(
    {
        "schema": 1,
        "product": "p",
        "defects": [
            {"name": "scratch", "code": 7, "measure": "length", "severities": [{"severity": "major", "above": 2.0}]}
        ],
    }
)


def frame(*shape: int) -> Frame:
    return Frame("top", np.zeros(shape, np.uint8), 0, 1, "cam")


@pytest.mark.parametrize(
    "shape", [(1, 5, 4, 4), (1, 2), (2, 2, 4, 4)], ids=["another class", "no map", "a batch of two"]
)
def test_a_graph_whose_output_the_decoder_cannot_read_never_becomes_ready(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    inspector = Inspector(Runner(package(tmp_path, constant(np.zeros(shape, np.float32)))), CATALOGUE, 0.05)
    with pytest.raises(ModelRejected, match="wanted") as caught:
        inspector.warm_up()
    assert caught.value.file.endswith("manifest.json")


def test_a_graph_that_answers_zeros_never_becomes_ready(tmp_path: Path) -> None:
    inspector = Inspector(Runner(package(tmp_path, constant(np.zeros((1, 2, 4, 4), np.float32)))), CATALOGUE, 0.05)
    with pytest.raises(ModelRejected, match="add up to 0"):
        inspector.warm_up()


def test_warm_up_makes_an_inspector_ready(tmp_path: Path) -> None:
    inspector = Inspector(Runner(package(tmp_path)), CATALOGUE, 0.05)
    with pytest.raises(InferenceFailed, match="not loaded"):
        inspector.inspect(frame(32, 64))
    inspector.warm_up()
    assert inspector.inspect(frame(32, 64)).verdict is Verdict.OK
    inspector.runner.close()
    with pytest.raises(InferenceFailed, match="not loaded"):
        inspector.inspect(frame(32, 64))


@pytest.mark.parametrize(
    "roi", [(-20, 0, 16, 16), (0, -1, 16, 16), (0, 0, 0, 16), (0, 0, 16, -4), (240, 0, 17, 16), (0, 113, 16, 16)]
)
def test_a_region_of_interest_outside_of_the_frame_is_a_failed_inference(tmp_path: Path, roi: Region) -> None:
    inspector = Inspector(Runner(package(tmp_path)), CATALOGUE, 0.05, roi=roi)
    inspector.warm_up()
    with pytest.raises(InferenceFailed, match="leaves the frame"):
        inspector.inspect(frame(128, 256))


def test_a_row_of_numbers_is_no_frame(tmp_path: Path) -> None:
    inspector = Inspector(Runner(package(tmp_path)), CATALOGUE, 0.05, roi=(0, 0, 16, 16))
    inspector.warm_up()
    with pytest.raises(InferenceFailed, match="frame of shape"):
        inspector.inspect(frame(128))


def test_a_finding_is_as_large_as_the_plane_is_where_it_lies(tmp_path: Path) -> None:
    """A plane that leans away to the right: 0.1 mm per pixel at the left edge of the frame, more at the right."""
    leaning = PlaneScale(np.eye(3), np.zeros(5), np.array([[0.1, 0, 0], [0, 0.1, 0], [-0.5 / 256, 0, 1]]))
    inspector = Inspector(Runner(package(tmp_path)), CATALOGUE, leaning, roi=(128, 0, 128, 64))
    inspector.warm_up()
    pixels = np.zeros((128, 256), np.uint8)
    pixels[20:24, 192:232] = 255
    (finding,) = inspector.inspect(Frame("top", pixels, 0, 1, "cam")).findings

    def mm(x: float) -> float:
        return 0.1 * (x - 0.5) / (1 - (x - 0.5) * 0.5 / 256)

    assert finding.length_mm == pytest.approx(mm(232) - mm(192), rel=0.01)
    assert finding.width_mm == pytest.approx(4 * 0.1 / (1 - 212 * 0.5 / 256), rel=0.02)
    assert finding.area_mm2 == pytest.approx(finding.length_mm * finding.width_mm, rel=0.02)
    assert finding.region == (192, 20, 40, 4)


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="OpenVINO hears a cancellation from two threads on")
def test_a_running_inference_gives_up_when_cancelled_and_the_next_one_runs(tmp_path: Path) -> None:
    def slow_where_bright(pixels: Any) -> Any:
        product = pixels
        for _ in range(60):
            product = ops.clamp(ops.matmul(product, pixels, False, False), 0.0, 1.0)
        return product

    runner = Runner(package(tmp_path, slow_where_bright, width=512, height=512), threads=2)
    runner.load()
    ended: list[InferenceFailed | None] = []
    over = threading.Event()

    def infer() -> None:
        try:
            runner.infer(np.ones((512, 512), np.uint8))
            ended.append(None)
        except InferenceFailed as error:
            ended.append(error)
        over.set()

    thread = threading.Thread(target=infer)
    thread.start()
    given_up_at = time.monotonic() + WAIT
    # A cancellation that comes before the inference has begun is harmless and lost, so it is asked for again.
    while not over.wait(0.002) and time.monotonic() < given_up_at:
        runner.cancel()
    thread.join(WAIT)
    assert isinstance(ended[0], InferenceFailed)
    assert runner.infer(np.ones((512, 512), np.uint8))["probabilities"].shape == (1, 1, 512, 512)


def test_a_cache_that_cannot_be_made_names_its_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelRejected, match="cache_dir") as caught:
        Runner(package(tmp_path), cache_dir=tmp_path / "file" / "cache").load()
    assert caught.value.value == str(tmp_path / "file" / "cache")


def test_a_torn_cache_is_made_anew(tmp_path: Path) -> None:
    bought, cache = package(tmp_path), tmp_path / "cache"
    first = Runner(bought, cache_dir=cache)
    first.load()
    first.close()
    blobs = list(cache.rglob("*.blob"))
    assert blobs
    for blob in blobs:
        blob.write_bytes(blob.read_bytes()[: blob.stat().st_size // 2])
    again = Inspector(Runner(bought, cache_dir=cache), CATALOGUE, 0.05)
    again.warm_up()
    assert again.inspect(frame(32, 64)).verdict is Verdict.OK


@pytest.mark.parametrize("escape", ["../evil.bin", "/etc/evil.bin", "sub/../../evil.bin", "..\\evil.bin", ""])
def test_no_file_of_a_package_lies_outside_of_it(tmp_path: Path, escape: str) -> None:
    path = package(tmp_path).folder / "manifest.json"
    content = json.loads(path.read_text())
    content["files"][escape] = "0" * 64
    path.write_text(json.dumps(content))
    with pytest.raises(ModelRejected, match="leads out of the package"):
        open_package(tmp_path, "tiny", "1.0.0")


def test_repacking_drops_the_old_signature(tmp_path: Path) -> None:
    folder = package(tmp_path).folder
    fields = {k: v for k, v in json.loads((folder / "manifest.json").read_text()).items() if k != "files"}
    write_package(folder, fields, Ed25519PrivateKey.generate())
    assert (folder / "manifest.sig").is_file()
    assert not write_package(folder, {**fields, "notes": "repacked"}).signed
    assert not (folder / "manifest.sig").exists()


def test_a_frame_of_another_size_is_no_usable_image(tmp_path: Path) -> None:
    inspector = Inspector(Runner(package(tmp_path)), CATALOGUE, 0.05, size=(64, 32))
    inspector.warm_up()
    assert inspector.inspect(frame(32, 64)).verdict is Verdict.OK
    for shape in ((16, 32), (64, 32), (32, 65)):
        with pytest.raises(ImageUnfit, match="the recipe is made for 64x32"):
            inspector.inspect(frame(*shape))
