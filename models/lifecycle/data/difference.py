"""What changed between two versions of a data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.lifecycle.data.sample import Sample


@dataclass(frozen=True, slots=True)
class Difference:
    """Pictures by what happened to them; one may be in several lists. Moved: to another split."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    other_pixels: tuple[str, ...]
    relabelled: tuple[str, ...]
    moved: tuple[str, ...]
    other_part: tuple[str, ...]

    def __bool__(self) -> bool:
        return any((self.added, self.removed, self.other_pixels, self.relabelled, self.moved, self.other_part))


def difference(before: Sequence[Sample], after: Sequence[Sample]) -> Difference:
    """From one version to the other, in order of image."""
    old, new = ({sample.image: sample for sample in samples} for samples in (before, after))
    both = sorted(old.keys() & new.keys())
    return Difference(
        added=tuple(sorted(new.keys() - old.keys())),
        removed=tuple(sorted(old.keys() - new.keys())),
        other_pixels=tuple(image for image in both if old[image].sha256 != new[image].sha256),
        relabelled=tuple(image for image in both if _label(old[image]) != _label(new[image])),
        moved=tuple(image for image in both if old[image].split is not new[image].split),
        other_part=tuple(image for image in both if old[image].batch != new[image].batch),
    )


def _label(sample: Sample) -> tuple[object, ...]:
    masks = tuple((mask.defect, mask.sha256) for mask in sample.masks)
    return sample.is_good, sample.classes, sample.boxes, sample.polygons, masks, sample.certainty
