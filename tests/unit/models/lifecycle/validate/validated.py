"""A small set with answers of a model that is good but not perfect, and two inspectors."""

from __future__ import annotations

import random
from pathlib import Path

from models.catalogue import Catalogue, DefectType, SeverityLimit
from models.lifecycle.data.labelled_set import LabelledSet, save_set
from models.lifecycle.data.pictures import picture_facts
from models.lifecycle.data.sample import Polygon, Sample, Split
from models.lifecycle.validate.predictions import Place, Prediction
from tests.unit.models.lifecycle.data.made import textured, write_picture

WIDTH, HEIGHT = 64, 48
DEFECTS = ("crack", "hole")


def catalogue() -> Catalogue:
    """Lines at 0.3 and 0.6."""
    limits = (SeverityLimit(severity="major", above=0.0),)
    return Catalogue(
        schema=1,
        product="tile <A>",
        defects=tuple(
            DefectType(
                name=name, code=code, measure="length", min_confidence=0.3, sure_confidence=0.6, severities=limits
            )
            for code, name in enumerate(DEFECTS, 101)
        ),
    )


def tiles(root: Path, good: int = 20, each: int = 10) -> LabelledSet:
    """Good parts and parts with each defect, 20 pixels long, all in test but one good part."""
    samples: list[Sample] = []
    for number in range(good + each * len(DEFECTS)):
        name = f"images/{number:03}.png"
        write_picture(root / name, textured(number, WIDTH, HEIGHT))
        classes = () if number < good else (DEFECTS[(number - good) % len(DEFECTS)],)
        outline = tuple(Polygon(defect, ((10, 10), (30, 10), (30, 14), (10, 14))) for defect in classes)
        digest = picture_facts(root / name).sha256
        split = Split.TEST if number else Split.TRAIN
        samples.append(
            Sample(name, digest, WIDTH, HEIGHT, f"p{number}", not classes, classes, polygons=outline, split=split)
        )
    return save_set(root, samples, "made")


def answers(samples: tuple[Sample, ...], graph: str, off: float = 0.0, seed: int = 1) -> list[Prediction]:
    """Scores that err now and then; places one pixel too long. off: taken from the scores of defects."""
    rng = random.Random(seed)
    found: list[Prediction] = []
    for sample in samples:
        scores = {
            name: rng.betavariate(8, 2) - off if name in sample.classes else rng.betavariate(2, 10) for name in DEFECTS
        }
        scores = {name: min(max(score, 0.0), 1.0) for name, score in scores.items()}
        places = tuple(Place(name, scores[name], 10, 10, 21, 4, 21, 4) for name in sample.classes)
        found.append(Prediction(sample.image, graph, 2 + rng.random(), scores, places))
    return found
