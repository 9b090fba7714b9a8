"""What a build starts from: a set of our own as it is, or a folder in another tool's format, imported and checked."""

from __future__ import annotations

from pathlib import Path

from models.catalogue import Catalogue
from models.lifecycle.data import labelled_set, manifest
from models.lifecycle.data.checks import check_counts, check_labels
from models.lifecycle.data.complaint import raise_grave
from models.lifecycle.data.importing import import_into
from models.lifecycle.data.labelled_set import LabelledSet
from models.lifecycle.data.sample import Split
from models.lifecycle.data.settle import Rules
from models.lifecycle.data.sources.formats import FORMATS, recognise
from models.lifecycle.data.sources.table import GOOD_NAMES
from models.lifecycle.data.splits import divide
from models.lifecycle.job import Say


def opened(source: Path, copy: Path, catalogue: Catalogue, seed: int, say: Say) -> LabelledSet:
    """The set in `source`; or, where another tool's labels lie there, the set in `copy` that they were imported into.

    It is checked, warnings are said, and it has splits afterwards: an earlier import's, the tool's, or 70/15/15 by
    batch. Raises DatasetError.
    """
    root = source if is_ours(source) else copy
    if root == copy and not is_ours(copy):
        kind = recognise(source)
        say(f"{source}: {kind}, imported into {copy}")
        rules = Rules(good_names=GOOD_NAMES, known=_known(catalogue))
        import_into(copy, source, FORMATS[kind](source), rules, keep_splits=True, why=f"{kind} imported for a build")
    data = labelled_set.open_set(root)
    raise_grave(check_labels(root, data.samples, None))
    for warning in check_counts(str(root / manifest.NAME), data.samples, None):
        say(f"warning: {warning}")
    if any(sample.split is not Split.NONE for sample in data.samples):
        return data
    say("no sample has a split: 70/15/15 by batch")
    return labelled_set.save_set(root, divide(data.samples, seed), "split for a build")


def is_ours(folder: Path) -> bool:
    """Whether a set of our own lies there: other tools have a manifest.csv too."""
    try:
        with (folder / manifest.NAME).open(encoding="utf-8") as file:
            return tuple(file.readline().strip().split(",")) == manifest.COLUMNS
    except (OSError, UnicodeDecodeError):
        return False


def _known(catalogue: Catalogue) -> list[str] | None:
    """The catalogue's defect types; none where it is made for an anomaly model, which tells no types apart."""
    names = [kind.name for kind in catalogue.defects]
    return None if names == ["anomaly"] else names
