"""Pascal VOC as LabelImg and others write it: one XML file for each picture, boxes by their corners."""

from __future__ import annotations

import os
from pathlib import Path
from xml.etree.ElementTree import Element

from models.lifecycle.data.complaint import Complaint, DatasetError
from models.lifecycle.data.sample import Box, Split
from models.lifecycle.data.sources.labelled import Labelled, Reading, split_named
from models.lifecycle.data.sources.pictures_below import PicturesBelow
from models.lifecycle.data.sources.xml_file import number_in, read_xml, text_in

CORNERS = ("xmin", "ymin", "xmax", "ymax")


def read_voc(root: Path) -> Reading:
    """Every annotation below the folder. A file without objects is a part that was looked at and is good."""
    pictures = PicturesBelow(root)
    splits = _lists(root)
    labelled: set[Path] = set()
    for path in sorted(Path(folder) / n for folder, _, names in os.walk(root) for n in names if n.endswith(".xml")):
        try:
            found = _annotation(path, pictures, splits.get(path.stem, Split.NONE))
        except DatasetError as error:
            yield from error.complaints
            continue
        if found.picture in labelled:
            cure = f"{found.picture} has two annotations: keep the one that is right"
            yield Complaint(str(path), "filename", found.picture.name, cure)
            continue
        labelled.add(found.picture)
        yield found
    for picture in pictures.files:
        if picture not in labelled:
            yield Labelled(picture, str(picture), "annotation")


def _annotation(path: Path, pictures: PicturesBelow, split: Split) -> Labelled:
    tree = read_xml(path)
    if tree.tag != "annotation":
        cure = "the first tag must be <annotation>: this is not Pascal VOC. Export it as Pascal VOC, or name its format"
        raise DatasetError(Complaint(str(path), "tag", tree.tag, cure))
    name = (tree.findtext("filename") or "").strip()
    # LabelImg keeps the old name after a picture was renamed: the file's own name decides where the two part.
    picture = pictures.find(name, str(path), "filename") if name else pictures.beside(path, "filename")
    boxes: list[Box] = []
    complaints: list[Complaint] = []
    for number, element in enumerate(tree.iterfind("object"), 1):
        try:
            boxes.append(_box(path, f"object {number}", element))
        except DatasetError as error:
            complaints += error.complaints
    if complaints:
        raise DatasetError(*complaints)
    return Labelled(
        picture, str(path), "object", boxes=tuple(boxes), looked_at=True, stated=_size(path, tree), split=split
    )


def _box(path: Path, where: str, element: Element) -> Box:
    name = text_in(path, element, "name", where, "name the defect type")
    bounds = element.find("bndbox")
    if bounds is None:
        turned = " (a turned box, robndbox, is not read)" if element.find("robndbox") is not None else ""
        cure = f"has no <bndbox>{turned}: draw an upright box around the defect and save again"
        raise DatasetError(Complaint(str(path), f"{where}, bndbox", name, cure))
    left, top, right, bottom = (number_in(path, bounds, corner, f"{where}, bndbox") for corner in CORNERS)
    if not (left < right and top < bottom):
        cure = "xmin must be below xmax and ymin below ymax: draw the box again, or remove it"
        raise DatasetError(Complaint(str(path), f"{where}, bndbox", (left, top, right, bottom), cure))
    return Box(name, left, top, right - left, bottom - top)


def _size(path: Path, tree: Element) -> tuple[int, int] | None:
    size = tree.find("size")
    if size is None:
        return None
    width, height = (int(number_in(path, size, key, "size")) for key in ("width", "height"))
    # Some tools write 0 where they never opened the picture.
    return (width, height) if width and height else None


def _lists(root: Path) -> dict[str, Split]:
    """Splits from ImageSets/Main/train.txt and its like, by the name of the picture."""
    found: dict[str, Split] = {}
    for path in sorted(root.glob("ImageSets/*/*.txt")):
        split = split_named(path.stem)
        if split is not Split.NONE and path.stem != "trainval":
            for line in path.read_text(encoding="utf-8").split("\n"):
                if line.strip():
                    found[line.split()[0]] = split
    return found
