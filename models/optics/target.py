"""The calibration target: a ChArUco board (a chessboard whose white squares carry markers), as geometry and as a PDF.

Every corner that is seen has a number, so a target that is cut off by the edge of the picture still counts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Rectangle = tuple[float, float, float, float]
"""x, y, width, height in mm; y down."""

_DICTIONARY = cv2.aruco.DICT_5X5_250
_MODULES = 7
"""A marker is 5 x 5 modules and a rim of one; each module is a tenth of the square, so that both are round numbers."""

_SPEC = re.compile(r"^(\d{1,2})x(\d{1,2})x(\d{1,3}(?:\.\d{1,3})?)$")
_PT_PER_MM = 72 / 25.4
PAPERS = {"A5": (210.0, 148.0), "A4": (297.0, 210.0), "A3": (420.0, 297.0)}
"""Width and height in mm, lying."""

_MARGIN_MM = 10.0
_FOOTER_MM = 12.0


@dataclass(frozen=True, slots=True)
class Target:
    """columns x rows squares of `square_mm`. Its coordinates begin at the board's upper left corner; x right, y down.

    Raises ValueError for a board that cannot be made.
    """

    columns: int
    rows: int
    square_mm: float

    def __post_init__(self) -> None:
        if min(self.columns, self.rows) < 4 or self.columns * self.rows > 500 or not self.square_mm > 0:
            raise ValueError(f"{self}: at least 4 squares each way, at most 500 in all, squares larger than 0 mm")

    def __str__(self) -> str:
        return f"{self.columns}x{self.rows}x{self.square_mm:g}"

    @classmethod
    def parse(cls, text: str) -> Target:
        """From "14x9x12.5": squares across, squares down, side of a square in mm. Raises ValueError."""
        found = _SPEC.match(text)
        if found is None:
            raise ValueError(f"{text!r} is no target: write COLUMNSxROWSxMM as it stands below the board, like 14x9x12")
        return cls(int(found[1]), int(found[2]), float(found[3]))

    @classmethod
    def for_view(cls, paper: str, view_mm: float | None = None) -> Target:
        """The board with 14 squares across that fits a paper, and fills a view of this width at most."""
        width, height = _room(paper)
        side = min(width, view_mm or width) / 14
        square = max(1.0, np.floor(side * 2) / 2)
        return cls(14, min(9, int(height // square)), float(square))

    @property
    def size_mm(self) -> tuple[float, float]:
        return self.columns * self.square_mm, self.rows * self.square_mm

    @property
    def corners(self) -> int:
        """How many inner corners it has."""
        return (self.columns - 1) * (self.rows - 1)

    def board(self) -> Any:
        """The board as OpenCV knows it, in mm."""
        size, marker = (self.columns, self.rows), self.square_mm * _MODULES / 10
        dictionary = cv2.aruco.getPredefinedDictionary(_DICTIONARY)
        return cv2.aruco.CharucoBoard(size, self.square_mm, marker, dictionary)

    def black(self) -> list[Rectangle]:
        """Everything that is black: squares, and the markers' modules joined to runs along their rows."""
        side, module = self.square_mm, self.square_mm / 10
        squares = [
            (column * side, row * side, side, side)
            for row in range(self.rows)
            for column in range(self.columns)
            if (column + row) % 2 == 0
        ]
        board = self.board()
        dictionary = board.getDictionary()
        runs: list[Rectangle] = []
        for number, corners in zip(board.getIds(), board.getObjPoints(), strict=True):
            bits = np.asarray(cv2.aruco.generateImageMarker(dictionary, int(number), _MODULES))
            left, top = float(corners[0][0]), float(corners[0][1])
            for row in range(_MODULES):
                for begin, end in _runs(bits[row] == 0):
                    runs.append((left + begin * module, top + row * module, (end - begin) * module, module))
        return squares + runs


def _runs(dark: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Begin and end of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], dark, [False]]).astype(np.int8)))
    return [(int(begin), int(end)) for begin, end in edges.reshape(-1, 2)]


def _room(paper: str) -> tuple[float, float]:
    width, height = PAPERS[paper]
    return width - 2 * _MARGIN_MM, height - 2 * _MARGIN_MM - _FOOTER_MM


def to_pdf(target: Target, paper: str) -> bytes:
    """One page with the target at true size, its name, and a line to measure the print by. Raises ValueError."""
    page, room, size = PAPERS[paper], _room(paper), target.size_mm
    if size[0] > room[0] or size[1] > room[1]:
        raise ValueError(
            f"the target {target} is {size[0]:g} x {size[1]:g} mm, {paper} has room for {room[0]:g} x {room[1]:g} mm: "
            "choose smaller squares or larger paper"
        )
    left, top = (page[0] - size[0]) / 2, _MARGIN_MM + (room[1] - size[1]) / 2
    drawn = [_rectangle(page[1], left + x, top + y, w, h) for x, y, w, h in target.black()]
    foot = page[1] - _MARGIN_MM
    ruler = ruler_mm(target)
    # Ticks of 0.2 mm whose outer edges are the ruler's length apart, as a caliper grips them.
    drawn += [
        _rectangle(page[1], left, foot - 3, 0.2, 4),
        _rectangle(page[1], left + ruler - 0.2, foot - 3, 0.2, 4),
        _rectangle(page[1], left, foot - 1.1, ruler, 0.2),
    ]
    said = f"Linegate target {target} (squares x squares x mm). Print at 100 %: the line above is {ruler:g} mm long."
    text = f"BT /F 8 Tf {_pt(left)} {_pt(page[1] - foot - 5)} Td ({said}) Tj ET"
    return _document("\n".join(["0 g", *drawn, text]), page)


def ruler_mm(target: Target) -> float:
    """Length of the line below the board: whole centimetres."""
    return max(10.0, float(np.floor(target.size_mm[0] / 10) * 10))


def _pt(millimetres: float) -> str:
    return f"{millimetres * _PT_PER_MM:.4f}"


def _rectangle(page_height: float, x: float, y: float, width: float, height: float) -> str:
    """PDF counts from the lower left corner."""
    return f"{_pt(x)} {_pt(page_height - y - height)} {_pt(width)} {_pt(height)} re f"


def _document(content: str, page: tuple[float, float]) -> bytes:
    """A PDF of one page (ISO 32000-1, 7.5). PrintScaling None: viewers then do not shrink it to the printable area."""
    stream = content.encode("ascii")
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R /ViewerPreferences << /PrintScaling /None >> >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {_pt(page[0])} {_pt(page[1])}] /Contents 4 0 R "
        "/Resources << /Font << /F << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>".encode(),
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
    ]
    document, offsets = b"%PDF-1.4\n", list[int]()
    for number, content_of in enumerate(objects, 1):
        offsets.append(len(document))
        document += b"%d 0 obj\n%s\nendobj\n" % (number, content_of)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(objects) + 1
    tail = b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (size, len(document))
    return document + b"xref\n0 %d\n0000000000 65535 f \n%s%s" % (size, table, tail)
