"""The printed target: what the PDF shows is what the solver believes, at true size."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pypdfium2
import pytest

from models.optics.solve import find_target
from models.optics.target import PAPERS, Target, ruler_mm, to_pdf

PER_MM = 16


def printed(target: Target, paper: str) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    """The page as an independent PDF reader draws it, `PER_MM` pixels for a mm."""
    page = pypdfium2.PdfDocument(to_pdf(target, paper))[0]
    per_point: Any = PER_MM / (72 / 25.4)  # declared as int, used as float
    image = page.render(scale=per_point, grayscale=True).to_numpy()
    return np.ascontiguousarray(image.reshape(image.shape[:2]))


@pytest.mark.parametrize("target", [Target.for_view("A4"), Target.for_view("A4", 70), Target(9, 6, 12.5)], ids=str)
def test_the_pdf_shows_every_corner_at_true_size(target: Target) -> None:
    page = printed(target, "A4")
    assert page.shape[1] == pytest.approx(297 * PER_MM, abs=1)
    seen = find_target(target, page)
    assert seen is not None
    assert len(seen.numbers) == target.corners
    grid = np.asarray(target.board().getChessboardCorners(), np.float32)[seen.numbers][:, :2]
    fitted, _ = cv2.estimateAffine2D(np.ascontiguousarray(grid), seen.corners)
    assert np.linalg.svd(fitted[:, :2])[1] / PER_MM == pytest.approx([1, 1], abs=0.001)


def test_the_ruler_below_is_as_long_as_it_says() -> None:
    target = Target(14, 9, 4.5)
    page = printed(target, "A4")
    foot = page[round((PAPERS["A4"][1] - 13) * PER_MM) : round((PAPERS["A4"][1] - 11.5) * PER_MM)]
    dark = np.flatnonzero(foot.min(axis=0) < 128)
    assert (dark[-1] - dark[0] + 1) / PER_MM == pytest.approx(ruler_mm(target), abs=0.15)


def test_its_name_says_everything() -> None:
    target = Target(12, 8, 6.25)
    assert Target.parse(str(target)) == target
    for wrong in ("12x8", "3x8x5", "12x8x0", "40x40x5", "12 x 8 x 5"):
        with pytest.raises(ValueError, match=r"target|squares"):
            Target.parse(wrong)


def test_what_does_not_fit_the_paper_is_refused() -> None:
    with pytest.raises(ValueError, match="room for"):
        to_pdf(Target(14, 9, 30), "A4")
