"""XML as labelling tools write it, with complaints that name file, tag and cure."""

from __future__ import annotations

import math
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from models.lifecycle.data.complaint import Complaint, DatasetError


def read_xml(path: Path) -> Element:
    """The root of the file. Raises DatasetError. No labelling tool declares entities: a file that does is refused."""
    try:
        content = path.read_bytes()
        if b"<!ENTITY" in content:
            cure = "declares entities, which no labelling tool does: export the labels again"
            raise DatasetError(Complaint(str(path), "ENTITY", "<!ENTITY", cure))
        return ElementTree.fromstring(content)
    except OSError as error:
        cure = f"cannot be read ({error.strerror}): copy it again"
        raise DatasetError(Complaint(str(path), "file", path.name, cure)) from error
    except ElementTree.ParseError as error:
        line, column = error.position
        cure = f"is not whole XML ({error}): export it again, or mend this place"
        raise DatasetError(Complaint(str(path), f"line {line}", f"column {column}", cure)) from error


def text_in(path: Path, element: Element, tag: str, where: str, cure: str) -> str:
    """The text of a tag that must be there. Raises DatasetError."""
    text = (element.findtext(tag) or "").strip()
    if not text:
        raise DatasetError(Complaint(str(path), f"{where}, {tag}", "", f"is empty or missing: {cure}"))
    return text


def number_in(path: Path, element: Element, tag: str, where: str) -> float:
    """The number in a tag. Raises DatasetError."""
    return number(text_in(path, element, tag, where, "a number of pixels belongs here"), str(path), f"{where}, {tag}")


def number(text: str, file: str, where: str) -> float:
    """A finite number. Raises DatasetError."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DatasetError(Complaint(file, where, text, "must be a number of pixels: draw the shape again and save"))
    return value
