"""One folder per class: good/1.png, crack/2.png; or train/good/1.png where the split is a folder too."""

from __future__ import annotations

import os
from pathlib import Path

from models.lifecycle.data.complaint import Complaint
from models.lifecycle.data.sample import Split
from models.lifecycle.data.sources.labelled import Labelled, Reading, split_named
from models.lifecycle.data.sources.pictures_below import SUFFIXES, PicturesBelow

NO_PICTURES = (".ds_store", "desktop.ini", "thumbs.db")
"""What operating systems leave in folders."""

TEXTS = (".csv", ".md", ".txt", ".json")
"""Notes in the outermost folder."""


def read_folders(root: Path) -> Reading:
    """Every picture below the folder, its class by the first folder that is not a split."""
    yield from _not_pictures(root)
    spelled: dict[str, str] = {}
    for name in sorted({name for name in map(_class_of, _below(root)) if name}):
        first = spelled.setdefault(name.strip().lower(), name)
        if first != name:
            cure = f"is {first!r} but for spaces and capitals: put both classes into one folder"
            yield Complaint(str(root), "class", name, cure)
    for folder in sorted(root.iterdir()) if root.is_dir() else ():
        if folder.is_dir() and not any(file.is_file() for file in folder.rglob("*")):
            cure = "the class folder is empty: put its pictures in, or remove it"
            yield Complaint(str(folder), "class", folder.name, cure)
    pictures = PicturesBelow(root)
    if not pictures.files:
        cure = f"no picture below it ({', '.join(SUFFIXES)}): one folder for each class, its pictures in it"
        yield Complaint(str(root), "pictures", "", cure)
    for picture in pictures.files:
        below = picture.relative_to(root)
        name = _class_of(below)
        if not name:
            cure = "lies in no class folder: move it into the folder of its class, good parts into `good`"
            yield Complaint(str(picture), "class", "", cure)
            continue
        yield Labelled(picture, str(picture), "folder", classes=(name,), looked_at=True, split=_split_of(below))


def _below(root: Path) -> list[Path]:
    return [file.relative_to(root) for file in PicturesBelow(root).files]


def _class_of(below: Path) -> str:
    folders = below.parts[:-1]
    if folders and split_named(folders[0]) is not Split.NONE:
        folders = folders[1:]
    return folders[0] if folders else ""


def _split_of(below: Path) -> Split:
    return split_named(below.parts[0]) if len(below.parts) > 1 else Split.NONE


def _not_pictures(root: Path) -> Reading:
    for folder, _, names in os.walk(root):
        for name in sorted(names):
            path = Path(folder) / name
            known = name.lower().endswith(SUFFIXES) or name.lower() in NO_PICTURES or name.startswith(".")
            if not known and not (path.parent == root and path.suffix.lower() in TEXTS):
                cure = f"is no picture that is read ({', '.join(SUFFIXES)}): convert it, or move it away"
                yield Complaint(str(path), "file", path.suffix, cure)
