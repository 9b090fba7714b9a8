"""A package is asked on the station's own path; mistakes are shown with what label and model say."""

from __future__ import annotations

import base64
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.lifecycle.data.sample import Sample
from models.lifecycle.validate.answers import answers_of
from models.lifecycle.validate.gallery import LABEL, MODEL, Mistake, drawn, missed, rejected
from models.lifecycle.validate.predictions import Place, Prediction
from models.package import open_package
from tests.unit.models.lifecycle.data.made import bare_sample, flat, write_picture
from tests.unit.models.lifecycle.validate.validated import answers, catalogue, tiles

PACKAGES = Path(__file__).resolve().parents[5] / "models" / "packages"


def test_every_graph_answers_for_every_picture_in_the_pictures_own_pixels(tmp_path: Path) -> None:
    package = open_package(PACKAGES, "sim-washer", "1.0.0")
    samples: list[Sample] = []
    for number, size in enumerate(((960, 600), (1920, 1200))):
        picture = flat(120, *size)
        cv2.line(picture, (size[0] // 4, size[1] // 4), (size[0] // 3, size[1] // 3), 20, size[0] // 200)
        write_picture(tmp_path / f"{number:04}.png", picture)
        known = bare_sample(number)
        samples.append(
            Sample(known.image, known.sha256, *size, known.batch, known.is_good),
        )
    found = answers_of(package, tmp_path, samples)
    assert [(said.graph, said.image) for said in found] == [
        (graph, sample.image) for graph in package.manifest.graphs for sample in samples
    ]
    for said in found:
        assert set(said.scores) == set(package.manifest.defect_classes) and said.latency_ms > 0
        assert all(0 <= score <= 1 for score in said.scores.values())
        width, height = (960, 600) if said.image == samples[0].image else (1920, 1200)
        for place in said.places:
            assert said.scores[place.defect] == pytest.approx(place.confidence, abs=1e-6) or (
                said.scores[place.defect] > place.confidence
            )
            assert 0 <= place.x < width and 0 <= place.y < height


def shown(address: str) -> np.ndarray[tuple[int, ...], np.dtype[np.int16]]:
    """Pixels of an image within the page, red first."""
    content = np.frombuffer(base64.b64decode(address.partition(",")[2]), np.uint8)
    picture = cv2.imdecode(content, cv2.IMREAD_COLOR)
    assert picture is not None
    return np.asarray(picture[..., ::-1], np.int16)


def near(pixels: np.ndarray[tuple[int, ...], np.dtype[np.int16]], colour: tuple[int, int, int]) -> int:
    return int((np.abs(pixels - np.array(colour, np.int16)).max(axis=-1) < 60).sum())


def test_mistakes_are_ordered_and_drawn_with_label_and_marks(tmp_path: Path) -> None:
    labelled = tiles(tmp_path)
    samples = labelled.samples
    given = {said.image: said for said in answers(samples, "int8", off=0.6)}
    misses, alarms = missed(given, samples, catalogue()), rejected(given, samples, catalogue())
    assert misses and all(not m.sample.is_good and m.score < 0.3 for m in misses)
    assert alarms and all(m.sample.is_good and m.score >= 0.3 for m in alarms)
    assert [m.score for m in misses] == sorted(m.score for m in misses)
    assert [m.score for m in alarms] == sorted((m.score for m in alarms), reverse=True)
    bad = next(sample for sample in samples if not sample.is_good)
    mark = Place(bad.classes[0], 0.4, 40, 20, 12, 10, 12, 10)
    both = shown(drawn(labelled.root, Mistake(bad, Prediction(bad.image, "int8", 1, {"crack": 0.2}, (mark,)), 0.2)))
    plain = shown(
        drawn(labelled.root, Mistake(samples[0], Prediction(samples[0].image, "int8", 1, {"crack": 0.2}), 0.2))
    )
    assert both.shape == (165, 220, 3)
    assert near(both, LABEL) > near(plain, LABEL) + 100
    assert near(both, MODEL) > near(plain, MODEL) + 100
