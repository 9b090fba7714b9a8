"""Taking labels of another tool into a set of our own: whole, or not at all."""

from __future__ import annotations

import hashlib
import shutil
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np

from models.lifecycle.data import manifest
from models.lifecycle.data.complaint import Complaint, DatasetError, raise_grave
from models.lifecycle.data.labelled_set import LabelledSet, open_set, save_set
from models.lifecycle.data.leakage import shared_units
from models.lifecycle.data.parts import PartOf
from models.lifecycle.data.pictures import picture_facts
from models.lifecycle.data.sample import Mask, Sample, Split
from models.lifecycle.data.settle import Rules, settle
from models.lifecycle.data.sources.labelled import Drawing, Labelled, Reading


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did. left_out: pictures without a label that the rules leave out."""

    made: LabelledSet
    added: int
    relabelled: int
    left_out: int


def import_into(
    out: Path,
    source: Path,
    reading: Reading,
    rules: Rules,
    *,
    part_of: PartOf | None = None,
    keep_splits: bool = False,
    why: str = "",
) -> Imported:
    """Read labels and make, or add to, the set in `out`. Raises DatasetError with everything that is wrong; then
    nothing has changed.

    Pictures and masks are copied. A picture that is in the set already gets its new labels and keeps its split.
    keep_splits: take the tool's splits over; without it the set is to be split anew.
    """
    before = {sample.image: sample for sample in open_set(out).samples} if (out / manifest.NAME).exists() else {}
    out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".importing-", dir=out) as folder:
        stage = Path(folder)
        found, left_out = _staged(stage, source, reading, rules, part_of)
        if not found:
            cure = "no picture with a label was found: name the folder that holds pictures and labels"
            raise DatasetError(Complaint(str(source), "pictures", 0, cure))
        new = {sample.image: _merged(sample, before.get(sample.image), keep_splits) for sample in found}
        joined = tuple((before | new).values())
        raise_grave([*_clashes(new, before), *contradictions(joined), *shared_units(str(source), joined)])
        _moved(stage, out)
    made = save_set(out, joined, why or f"imported from {source.name}")
    return Imported(made, len(new.keys() - before.keys()), len(new.keys() & before.keys()), left_out)


def contradictions(samples: Sequence[Sample]) -> list[Complaint]:
    """A complaint for every picture whose bytes occur twice with different labels."""
    same: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        same[sample.sha256].append(sample)
    complaints: list[Complaint] = []
    for first, *others in same.values():
        for other in others:
            if other.classes != first.classes:
                labels = " and ".join(", ".join(sample.classes) or "good" for sample in (first, other))
                cure = f"the same picture is {first.image}: decide which label is right, and remove the other picture"
                complaints.append(Complaint(other.image, "classes", labels, cure))
    return complaints


def _staged(
    stage: Path, source: Path, reading: Reading, rules: Rules, part_of: PartOf | None
) -> tuple[list[Sample], int]:
    samples: list[Sample] = []
    complaints: list[Complaint] = []
    left_out = 0
    for item in reading:
        if isinstance(item, Complaint):
            complaints.append(item)
            continue
        try:
            facts = picture_facts(item.picture)
            settled = settle(item, facts.width, facts.height, rules)
            if settled is None:
                left_out += 1
                continue
            name = item.picture.relative_to(source).as_posix()
            batch = part_of(name) if part_of is not None else item.batch
        except DatasetError as error:
            complaints += error.complaints
            continue
        if not complaints:
            samples.append(_sample(stage, f"images/{name}", facts.sha256, (facts.width, facts.height), batch, settled))
    raise_grave(complaints)
    return samples, left_out


def _sample(stage: Path, image: str, digest: str, size: tuple[int, int], batch: str, settled: Labelled) -> Sample:
    target = stage / image
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(settled.picture, target)
    by_defect: dict[str, list[Drawing]] = defaultdict(list)
    for drawing in settled.drawings:
        by_defect[drawing.defect].append(drawing)
    masks = tuple(_mask(stage, image, defect, drawings) for defect, drawings in sorted(by_defect.items()))
    return Sample(
        image, digest, *size, batch, not settled.classes, settled.classes, settled.boxes, settled.polygons, masks,
        settled.split, settled.certainty,
    )  # fmt: skip


def _mask(stage: Path, image: str, defect: str, drawings: Sequence[Drawing]) -> Mask:
    """One PNG for all drawings of a defect, named by its content: masks of earlier versions stay what they were."""
    pixels = np.logical_or.reduce([drawing.pixels for drawing in drawings])
    content = cv2.imencode(".png", np.where(pixels, 255, 0).astype(np.uint8))[1].tobytes()
    digest = hashlib.sha256(content).hexdigest()
    file = f"masks/{image.removeprefix('images/')}.{digest[:12]}.png"
    (stage / file).parent.mkdir(parents=True, exist_ok=True)
    (stage / file).write_bytes(content)
    return Mask(defect, file, digest)


def _merged(sample: Sample, before: Sample | None, keep_splits: bool) -> Sample:
    if keep_splits and sample.split is not Split.NONE:
        return sample
    split, batch = (before.split, sample.batch or before.batch) if before else (Split.NONE, sample.batch)
    return replace(sample, split=split, batch=batch)


def _clashes(new: Mapping[str, Sample], before: Mapping[str, Sample]) -> list[Complaint]:
    cure = "another picture of this name is in the set already: rename the new one"
    return [
        Complaint(image, "sha256", sample.sha256, cure)
        for image, sample in new.items()
        if image in before and before[image].sha256 != sample.sha256
    ]


def _moved(stage: Path, out: Path) -> None:
    for path in sorted(stage.rglob("*")):
        if path.is_file():
            target = out / path.relative_to(stage)
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)
