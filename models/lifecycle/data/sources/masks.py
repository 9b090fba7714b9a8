"""Pictures with masks beside them, as CVAT ("Segmentation mask 1.1"), MVTec and many a script write them.

A mask is a picture in a folder named masks, mask-images, SegmentationClass or ground_truth, one whose name ends in
`_mask`, or a PNG beside a JPEG of the same name. What it shows: the colours of labelmap.txt (`name:r,g,b::`), or the
folder below ground_truth, or the defect that was given.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from functools import partial
from pathlib import Path

from models.lifecycle.data.complaint import Complaint, DatasetError
from models.lifecycle.data.sources.coloured import Colour, black_and_white, coloured
from models.lifecycle.data.sources.labelled import Drawing, Labelled, Reading, split_of_path
from models.lifecycle.data.sources.pictures_below import PicturesBelow

FOLDERS = ("gt", "ground_truth", "mask", "mask-images", "mask_images", "masks", "segmentationclass")
BY_CLASS = "ground_truth"
LOSSY = (".jpeg", ".jpg", ".webp")
_SUFFIX = re.compile(r"[_-](mask|gt|seg)$", re.IGNORECASE)
_LINE = re.compile(r"^([^:#]+):(\d+),(\d+),(\d+):")


def read_masks(root: Path, defect: str = "") -> Reading:
    """Every picture below the folder, with its mask. An empty mask says nothing: see --empty.

    defect: what masks show where nothing else says it.
    """
    masks = PicturesBelow(root, leave_out=lambda path: not is_mask(path, root))
    pictures = PicturesBelow(root, leave_out=partial(is_mask, root=root))
    try:
        colours = _colours(root)
    except DatasetError as error:
        yield from error.complaints
        return
    if not masks.files:
        cure = f"no mask below it: put masks into a folder named {FOLDERS[4]}, or end their names in _mask"
        yield Complaint(str(root), "masks", "", cure)
    found: dict[Path, Labelled] = {}
    for mask in masks.files:
        try:
            labelled = _labelled(mask, root, pictures, colours, defect)
        except DatasetError as error:
            yield from error.complaints
            continue
        if labelled.picture in found:
            labelled = replace(labelled, drawings=(*found[labelled.picture].drawings, *labelled.drawings))
        found[labelled.picture] = labelled
    by_class = any(BY_CLASS in mask.relative_to(root).parts for mask in masks.files)
    for picture in pictures.files:
        if picture in found:
            yield found[picture]
        else:
            classes = (picture.parent.name,) if by_class else ()
            split = split_of_path(picture.relative_to(root))
            yield Labelled(picture, str(picture), "mask", classes=classes, split=split)


def is_mask(path: Path, root: Path) -> bool:
    """Whether a picture file is a mask of another one."""
    folders = [part.lower() for part in path.relative_to(root).parts[:-1]]
    if any(folder in FOLDERS for folder in folders) or _SUFFIX.search(path.stem):
        return True
    return path.suffix.lower() not in LOSSY and any(path.with_suffix(suffix).exists() for suffix in LOSSY)


def _labelled(mask: Path, root: Path, pictures: PicturesBelow, colours: dict[Colour, str], defect: str) -> Labelled:
    below = mask.relative_to(root)
    # A mask in …/masks/a/1_mask.png belongs to …/images/a/1.*; the folder of masks itself says nothing of the picture.
    kept = [part for part in below.parts[:-1] if part.lower() not in FOLDERS]
    picture = pictures.with_stem(_SUFFIX.sub("", mask.stem), kept, str(mask), "picture")
    split = split_of_path(picture.relative_to(root))
    if colours:
        drawings = coloured(mask, colours)
        return Labelled(picture, str(mask), "mask", drawings=drawings, looked_at=bool(drawings), split=split)
    name = kept[-1] if BY_CLASS in below.parts and kept else defect
    if not name:
        cure = "shows what? Name the defect type with --mask-class, or put labelmap.txt beside the masks"
        raise DatasetError(Complaint(str(mask), "class", "", cure))
    pixels = black_and_white(mask)
    if not pixels.any() and BY_CLASS not in below.parts:
        return Labelled(picture, str(mask), "mask", split=split)
    return Labelled(picture, str(mask), "mask", drawings=(Drawing(name, pixels),), looked_at=True, split=split)


def _colours(root: Path) -> dict[Colour, str]:
    found: dict[Colour, str] = {}
    for path in sorted(Path(folder) / n for folder, _, names in os.walk(root) for n in names if n == "labelmap.txt"):
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            cure = f"cannot be read ({error}): save it as plain text in UTF-8"
            raise DatasetError(Complaint(str(path), "file", path.name, cure)) from error
        for number, line in enumerate(lines, 1):
            if not line.strip() or line.startswith("#"):
                continue
            match = _LINE.match(line)
            red, green, blue = (int(part) for part in match.groups()[1:]) if match else (256, 0, 0)
            if match is None or max(red, green, blue) > 255:
                cure = "a line is `name:red,green,blue::`, each from 0 to 255: correct it"
                raise DatasetError(Complaint(str(path), f"line {number}", line, cure))
            if (red, green, blue) in found:
                cure = f"has the colour of {found[red, green, blue]}: give each its own"
                raise DatasetError(Complaint(str(path), f"line {number}", line, cure))
            found[red, green, blue] = match[1].strip()
    return found
