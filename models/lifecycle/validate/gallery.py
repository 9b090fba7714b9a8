"""Parts that the model judged wrongly, with what the label and what the model say drawn over them."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from models.catalogue import Catalogue
from models.lifecycle.data.pictures import defect_mask, read_colour
from models.lifecycle.data.sample import Sample
from models.lifecycle.validate.figures import Answers, found_defects
from models.lifecycle.validate.predictions import Prediction

SIDE = 220
"""Pixels of the longer side in the page."""

LABEL, MODEL = (47, 125, 79), (194, 87, 26)
"""Red, green, blue of what the label and what the model say."""

MOST = 60
"""Pictures in one gallery; the page names how many there are."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """A part that was judged wrongly: what it has, what the model said, how sure."""

    sample: Sample
    said: Prediction
    score: float


def missed(answers: Answers, samples: Sequence[Sample], catalogue: Catalogue) -> list[Mistake]:
    """Defective parts that the model passes, the least suspected first."""
    return _mistakes(answers, [s for s in samples if not s.is_good], catalogue, rejects=False)


def rejected(answers: Answers, samples: Sequence[Sample], catalogue: Catalogue) -> list[Mistake]:
    """Good parts that the model does not pass, the most suspected first."""
    return _mistakes(answers, [s for s in samples if s.is_good], catalogue, rejects=True)[::-1]


def _mistakes(answers: Answers, samples: Sequence[Sample], catalogue: Catalogue, rejects: bool) -> list[Mistake]:
    found = [
        Mistake(sample, answers[sample.image], max(answers[sample.image].scores.values()))
        for sample in samples
        if bool(found_defects(answers[sample.image], catalogue)) is rejects
    ]
    return sorted(found, key=lambda mistake: mistake.score)


def drawn(root: Path, mistake: Mistake) -> str:
    """The picture with overlays, as the address of an image within the page. Raises DatasetError."""
    sample = mistake.sample
    picture = read_colour(root / sample.image).copy()
    scale = SIDE / max(picture.shape[:2])
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST)
    if sample.shapes:
        mask = cv2.resize(defect_mask(root, sample), size, interpolation=cv2.INTER_NEAREST)
        outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(small, outlines, -1, LABEL, 2)
    for place in mistake.said.places:
        corner = (round(place.x * scale), round(place.y * scale))
        other = (round((place.x + place.width) * scale), round((place.y + place.height) * scale))
        cv2.rectangle(small, corner, other, MODEL, 2)
    content = cv2.imencode(".jpg", np.ascontiguousarray(small[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 85])[1]
    return "data:image/jpeg;base64," + base64.b64encode(content.tobytes()).decode()
