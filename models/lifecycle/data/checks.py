"""What is wrong with a set as a whole: labels, counts, splits, pictures. Each complaint names file and cure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from models.catalogue import Catalogue
from models.lifecycle.data.complaint import Complaint, DatasetError
from models.lifecycle.data.importing import contradictions
from models.lifecycle.data.leakage import shared_units
from models.lifecycle.data.pictures import picture_facts, read_grey
from models.lifecycle.data.sample import MASK_FROM, Sample, Split
from models.lifecycle.data.settle import Rules, settle
from models.lifecycle.data.sources.labelled import Drawing, Labelled

WANTED = 500
"""Pictures of each defect type from which on a model's recall can be shown; below, a warning."""


def check_counts(file: str, samples: Sequence[Sample], catalogue: Catalogue | None) -> list[Complaint]:
    """Warnings about too few pictures, of a class, of good parts, in a split; about parts that nobody named."""
    return [*_too_few(file, samples, catalogue), *_good(file, samples), *_splits(file, samples), *_parts(file, samples)]


def check_labels(root: Path, samples: Sequence[Sample], catalogue: Catalogue | None) -> list[Complaint]:
    """Hold every label against its picture and the catalogue, as an import does. Reads every picture."""
    known = None if catalogue is None else [defect.name for defect in catalogue.defects]
    # Names of good parts are an importer's affair: here a class is a defect type, whatever it is called.
    rules = Rules(good_names=(), known=known)
    complaints: list[Complaint] = [*shared_units(str(root), samples), *contradictions(samples)]
    for sample in samples:
        try:
            facts = picture_facts(root / sample.image)
            settle(_as_labelled(root, sample), facts.width, facts.height, rules)
        except DatasetError as error:
            complaints += error.complaints
    return complaints


def _as_labelled(root: Path, sample: Sample) -> Labelled:
    drawings = tuple(Drawing(mask.defect, read_grey(root / mask.file) >= MASK_FROM) for mask in sample.masks)
    return Labelled(
        root / sample.image, sample.image, "label", sample.classes, sample.boxes, sample.polygons, drawings,
        looked_at=True, stated=(sample.width, sample.height),
    )  # fmt: skip


def _too_few(file: str, samples: Sequence[Sample], catalogue: Catalogue | None) -> list[Complaint]:
    counts = Counter(name for sample in samples for name in sample.classes)
    for defect in catalogue.defects if catalogue else ():
        counts.setdefault(defect.name, 0)
    return [
        Complaint(
            file,
            f"pictures of {name}",
            count,
            f"collect {WANTED - count} more: below {WANTED} the recall of this defect cannot be shown to be high"
            if count
            else "the catalogue names this defect and no picture shows it: collect some, or a model cannot find it",
            grave=False,
        )
        for name, count in sorted(counts.items())
        if count < WANTED
    ]


def _good(file: str, samples: Sequence[Sample]) -> list[Complaint]:
    good = sum(sample.is_good for sample in samples)
    missing = max(WANTED, len(samples) - good) - good
    if missing <= 0:
        return []
    enough = f"with under {WANTED}, or fewer than defective ones, false rejects are a guess"
    cure = f"collect {missing} more, from several shifts: {enough}"
    return [Complaint(file, "good parts", good, cure, grave=False)]


def _splits(file: str, samples: Sequence[Sample]) -> list[Complaint]:
    counts = Counter(sample.split for sample in samples)
    if counts[Split.NONE]:
        cure = "are in no split: `linegate data split` deals them out (--keep leaves the others where they are)"
        return [Complaint(file, "pictures", counts[Split.NONE], cure, grave=False)]
    complaints: list[Complaint] = []
    names = sorted({name for sample in samples for name in sample.classes})
    for split in (Split.TRAIN, Split.VALIDATION, Split.TEST):
        inside = [sample for sample in samples if sample.split is split]
        shown = {name for sample in inside for name in sample.classes}
        missing = [name for name in names if name not in shown] + (
            [] if any(s.is_good for s in inside) else ["good parts"]
        )
        if missing:
            cure = f"shows no {', '.join(missing)}: collect more parts with it, or split anew"
            complaints.append(Complaint(file, f"split {split.value}", len(inside), cure, grave=False))
    return complaints


def _parts(file: str, samples: Sequence[Sample]) -> list[Complaint]:
    unknown = sum(not sample.batch for sample in samples)
    if not unknown:
        return []
    cure = (
        "belong to no part or batch, so nobody can prove that a part's pictures do not lie in two splits: import with "
        "--part-pattern, --part-folder or --parts"
    )
    return [Complaint(file, "pictures", unknown, cure, grave=False)]
