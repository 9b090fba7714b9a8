"""Every format that is read, and which of them a folder holds."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

from models.lifecycle.data.complaint import Complaint, DatasetError
from models.lifecycle.data.sources import sagemaker, yolo
from models.lifecycle.data.sources.coco import read_coco
from models.lifecycle.data.sources.cvat import read_cvat
from models.lifecycle.data.sources.folders import read_folders
from models.lifecycle.data.sources.labelled import Source
from models.lifecycle.data.sources.masks import is_mask, read_masks
from models.lifecycle.data.sources.pictures_below import PicturesBelow
from models.lifecycle.data.sources.table import read_table_folder, tables
from models.lifecycle.data.sources.voc import read_voc

FORMATS: Mapping[str, Source] = {
    "voc": read_voc,
    "yolo": yolo.read_yolo,
    "coco": read_coco,
    "cvat": read_cvat,
    "masks": read_masks,
    "folders": read_folders,
    "sagemaker": sagemaker.read_sagemaker,
    "table": read_table_folder,
}

NOTES = (*yolo.NAMES, *yolo.LISTS, "labelmap.txt")


def recognise(root: Path) -> str:
    """The format of a folder, by its files. Raises DatasetError where none or several fit."""
    if not root.is_dir():
        cure = "no such folder: name the folder that the labelling tool exported"
        raise DatasetError(Complaint(str(root), "folder", root.name, cure))
    names = [Path(folder) / name for folder, _, files in os.walk(root) for name in files]
    fit: set[str] = set()
    for path in names:
        if path.suffix == ".xml":
            fit.add({"annotation": "voc", "annotations": "cvat"}.get(_first_tag(path), ""))
        elif path.suffix == ".json" and _is_coco(path):
            fit.add("coco")
        elif path.suffix in sagemaker.SUFFIXES:
            fit.add("sagemaker")
        elif path.suffix == ".txt" and path.name not in NOTES and path.parent != root:
            fit.add("yolo")
    fit.discard("")
    if tables(root):
        fit.add("table")
    if not fit:
        pictures = PicturesBelow(root).files
        return "masks" if any(is_mask(picture, root) for picture in pictures) else "folders"
    if len(fit) > 1:
        cure = f"holds labels of several formats: choose one with --format {' | '.join(sorted(fit))}"
        raise DatasetError(Complaint(str(root), "format", sorted(fit), cure))
    return fit.pop()


def _first_tag(path: Path) -> str:
    try:
        with path.open("rb") as file:
            for _, element in ElementTree.iterparse(file, events=("start",)):
                return element.tag
    except (OSError, ElementTree.ParseError):
        return "annotation"  # whoever reads it says what is wrong
    return ""


def _is_coco(path: Path) -> bool:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        return True  # whoever reads it says what is wrong
    return isinstance(content, dict) and "images" in content
