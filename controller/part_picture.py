"""The kept frames of one part beside each other, each with its view, its exposure and what was found in it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]

_HEIGHT = 600
_CAPTION = 28
_GAP = 8
_WHITE, _RED = (255, 255, 255), (0, 0, 255)


def side_by_side(images: Sequence[Any], frames: Sequence[Any], findings: Sequence[Any]) -> Picture | None:
    """One BGR picture of all frames of a part that are still there; None where there is none.

    images, frames, findings: rows of the journal as `JournalReader.details` gives them.
    """
    tiles = [tile for image in images if (tile := _tile(image, frames, findings)) is not None]
    if not tiles:
        return None
    gap = np.zeros((_HEIGHT + _CAPTION, _GAP, 3), np.uint8)
    row = [part for tile in tiles for part in (tile, gap)]
    return np.hstack(row[:-1])


def _tile(image: Any, frames: Sequence[Any], findings: Sequence[Any]) -> Picture | None:
    path = Path(image["path"])
    raw = np.fromfile(path, np.uint8) if path.is_file() else np.zeros(0, np.uint8)
    read = cv2.imdecode(raw, cv2.IMREAD_COLOR) if raw.size else None
    if read is None:
        return None
    picture = np.asarray(read, np.uint8)
    for finding in findings:
        # Journals of before views were told apart have findings without one.
        if finding.get("view", "") in ("", image["view"]):
            x, y, width, height = (finding[key] for key in ("x", "y", "width", "height"))
            cv2.rectangle(picture, (x, y), (x + width, y + height), _RED, max(2, picture.shape[0] // 300))
    scale = _HEIGHT / picture.shape[0]
    size = max(1, round(picture.shape[1] * scale)), _HEIGHT
    shown = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    caption = np.zeros((_CAPTION, size[0], 3), np.uint8)
    cv2.putText(
        caption, _caption(image["view"], frames), (6, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.5, _WHITE, 1, cv2.LINE_AA
    )
    return np.vstack([caption, np.asarray(shown, np.uint8)])


def _caption(view: str, frames: Sequence[Any]) -> str:
    frame = next((frame for frame in frames if frame["view"] == view), None)
    if frame is None or frame["begin_us"] is None:
        return view
    text = f"{view}  frame {frame['counter']}  exposed {frame['begin_us'] / 1000:+.2f} ms"
    if frame["end_us"] is not None:
        text += f" to {frame['end_us'] / 1000:+.2f} ms"
    return text
