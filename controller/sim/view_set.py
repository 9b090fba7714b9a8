"""How many cameras look at the simulated part, and the recipe that goes with them."""

from __future__ import annotations

from dataclasses import dataclass

NAMES = ("top", "side", "front", "back")
SPARE = "spare"
"""The redundant camera: it looks where the first view looks."""

_VIEW = "[[views]]"
_SIZE, _SCALE = 1920, 0.05


@dataclass(frozen=True, slots=True)
class ViewSet:
    """views: 1 to 4 of them, all required. redundant: one more camera stands in for the first. width: of a frame."""

    views: int = 1
    redundant: bool = False
    width: int = _SIZE

    @property
    def cameras(self) -> tuple[str, ...]:
        """One camera a view, each called as its view; the redundant one last."""
        return (*NAMES[: self.views], *((SPARE,) if self.redundant else ()))

    def recipe(self, text: str) -> str:
        """The recipe of one view, as its file has it, written for all of them."""
        head, _, view = text.partition(_VIEW)
        height = self.width * 1200 // _SIZE
        view = view.replace("frame_px = [1920, 1200]", f"frame_px = [{self.width}, {height}]")
        view = view.replace(f"mm_per_px = {_SCALE}", f"mm_per_px = {_SCALE * _SIZE / self.width:g}")
        return head.replace(": one view from above", "") + "\n".join(
            f"{_VIEW}{_of(view, name)}" for name in self.cameras
        )


def _of(view: str, name: str) -> str:
    """The section of one view for another camera."""
    lines = view.replace('name = "top"', f'name = "{name}"').replace('camera = "top"', f'camera = "{name}"')
    if name != SPARE:
        return lines
    return lines.replace(f'name = "{name}"', f'name = "{name}"\npolicy = "redundant"\nstands_in_for = "{NAMES[0]}"', 1)
