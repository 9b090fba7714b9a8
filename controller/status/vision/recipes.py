"""The station's recipes folder as the status process sees it: which there are, adding one, removing one. No OPC UA."""

from __future__ import annotations

import hashlib
import re
import shutil
import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

_REMOVED = ".removed"
_NUMBER = re.compile(r"^id\s*=\s*\d+", re.MULTILINE)
MOST_RECIPES = 1000
"""All of them are read with each list that a client asks for."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True)
class RecipeEntry:
    """One recipe on disk. digest: SHA-256 of its two files; number: the PLC's."""

    product: str
    number: int
    digest: bytes
    modified: datetime


class RecipeFolder:
    """Reads and changes `<recipes>/<product>/{recipe,catalogue}.toml`. Blocking; for a thread."""

    def __init__(self, root: Path | None) -> None:
        self._root = root

    def entries(self) -> list[RecipeEntry]:
        """All recipes, by name; one that cannot be read is left out: `linegate check` says why."""
        if self._root is None:
            return []
        found = (self._entry(path.parent) for path in sorted(self._root.glob("*/recipe.toml")))
        return [entry for entry in found if entry is not None]

    def find(self, product: str) -> RecipeEntry | None:
        """The recipe of this name."""
        return next((entry for entry in self.entries() if entry.product == product), None)

    def add(self, product: str, like: str) -> RecipeEntry:
        """A new recipe that starts as a copy of another one, with the next free number.

        Raises ValueError for a name that cannot be a folder's, FileExistsError, FileNotFoundError, OSError.
        """
        if self._root is None or _NAME.fullmatch(product) is None:
            raise ValueError(f"{product!r} is no name of a recipe: letters, digits, _ and -, at most 64")
        known = self.entries()
        target = self._root / product
        if target.exists():
            raise FileExistsError(str(target))
        # A name that is listed, not one that leads to some other folder of the computer.
        if like not in {entry.product for entry in known}:
            raise FileNotFoundError(like)
        if len(known) >= MOST_RECIPES:
            raise ValueError(f"{MOST_RECIPES} recipes are enough: remove some first")
        source, number = self._root / like, max(entry.number for entry in known) + 1
        half = self._root / f".{product}.new"
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir()
        for name in ("recipe.toml", "catalogue.toml"):
            shutil.copyfile(source / name, half / name)
        recipe = half / "recipe.toml"
        recipe.write_text(_NUMBER.sub(f"id = {number}", recipe.read_text(encoding="utf-8"), count=1), encoding="utf-8")
        half.rename(target)
        entry = self._entry(target)
        if entry is None:
            raise FileNotFoundError(str(target))
        return entry

    def remove(self, product: str) -> None:
        """Take a recipe out of use; its files stay under ".removed". Raises FileNotFoundError, OSError."""
        if self._root is None or self.find(product) is None:
            raise FileNotFoundError(product)
        kept = self._root / _REMOVED
        kept.mkdir(exist_ok=True)
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
        (self._root / product).rename(kept / f"{product}-{stamp}")

    def _entry(self, folder: Path) -> RecipeEntry | None:
        try:
            content = [(folder / name).read_bytes() for name in ("recipe.toml", "catalogue.toml")]
            number = tomllib.loads(content[0].decode()).get("id", 0)
            modified = max((folder / name).stat().st_mtime for name in ("recipe.toml", "catalogue.toml"))
        except (OSError, ValueError):
            return None
        if folder.name.startswith(".") or not isinstance(number, int):
            return None
        digest = hashlib.sha256(b"\0".join(content)).digest()
        return RecipeEntry(folder.name, number, digest, datetime.fromtimestamp(modified, UTC))
