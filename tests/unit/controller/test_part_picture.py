"""The frames of one part beside each other."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from controller.part_picture import side_by_side


def image(folder: Path, view: str, grey: int, size: tuple[int, int] = (300, 400)) -> dict[str, object]:
    path = folder / f"{view}.png"
    _, encoded = cv2.imencode(".png", np.full(size, grey, np.uint8))
    path.write_bytes(encoded.tobytes())
    return {"view": view, "path": str(path)}


FRAMES = [{"view": "top", "counter": 7, "begin_us": 1500, "end_us": 1700}]
FINDING = {"view": "side", "x": 100, "y": 100, "width": 50, "height": 50}


def test_all_views_stand_in_a_row_with_their_findings(tmp_path: Path) -> None:
    images = [image(tmp_path, "top", 50), image(tmp_path, "side", 200, (600, 600))]
    picture = side_by_side(images, FRAMES, [FINDING])
    assert picture is not None
    assert picture.shape == (628, 800 + 8 + 600, 3)
    assert picture[400, 400].tolist() == [50, 50, 50]
    assert picture[400, 1300].tolist() == [200, 200, 200]
    assert picture[:28, :800].any(), "a caption says which view it is"
    red = np.argwhere((picture[..., 2] > 200) & (picture[..., 0] < 100))
    assert red[:, 1].min() > 808, "the finding is drawn into its own view"


def test_images_that_are_gone_are_left_out(tmp_path: Path) -> None:
    gone = {"view": "side", "path": str(tmp_path / "none.png")}
    assert side_by_side([gone], FRAMES, []) is None
    picture = side_by_side([gone, image(tmp_path, "top", 50)], [], [])
    assert picture is not None
    assert picture.shape[1] == 800
