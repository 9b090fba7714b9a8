"""Exports as labelling tools write them, small; and what an import says of a broken one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from models.lifecycle.data.complaint import DatasetError
from models.lifecycle.data.importing import import_into
from models.lifecycle.data.labelled_set import LabelledSet, open_set
from models.lifecycle.data.settle import Empty, Rules
from models.lifecycle.data.sources.formats import FORMATS, recognise
from tests.unit.models.lifecycle.data.made import flat, write_picture

WIDTH, HEIGHT = 30, 20
Spoil = Callable[[Path], object]
Case = tuple[str, Spoil, str, str]
"""Name, what is done to the export, end of the file that is named, part of the cure."""


def shot(root: Path, name: str, level: int = 90) -> None:
    """A picture of WIDTH x HEIGHT pixels."""
    write_picture(root / name, flat(level, WIDTH, HEIGHT))


def replaced(name: str, old: str, new: str) -> Spoil:
    """Exchange a text within a file, which must be there."""

    def spoil(root: Path) -> None:
        content = (root / name).read_text(encoding="utf-8")
        assert old in content
        (root / name).write_text(content.replace(old, new, 1), encoding="utf-8")

    return spoil


def written(name: str, content: bytes | str) -> Spoil:
    """Put other content into a file."""

    def spoil(root: Path) -> None:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content.encode() if isinstance(content, str) else content)

    return spoil


def removed(name: str) -> Spoil:
    return lambda root: (root / name).unlink()


def imported(root: Path, out: Path, known: tuple[str, ...] = ("crack", "hole"), empty: Empty = "refuse") -> LabelledSet:
    """Recognise the format, import, and open what was made."""
    rules = Rules(known=known, empty=empty)
    import_into(out, root, FORMATS[recognise(root)](root), rules, keep_splits=True)
    return open_set(out)


def check_refused(root: Path, out: Path, format_name: str, case: Case) -> None:
    """The import of a spoilt export names file and cure, and leaves nothing behind."""
    _, spoil, file, cure = case
    spoil(root)
    with pytest.raises(DatasetError) as caught:
        import_into(out, root, FORMATS[format_name](root), Rules(known=("crack", "hole")))
    told = [(complaint.file, complaint.cure) for complaint in caught.value.complaints]
    assert any(found.endswith(file) and cure in said for found, said in told), told
    assert not out.exists() or not list(out.iterdir())
