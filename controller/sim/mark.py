"""The mark: a part's id as a small grid of cells in the corner of a frame.

A verdict made from another part's frame looks like any other. So the simulated line stamps each frame with the id of
its part, and the tally reads the id back from the image that the station kept. The grid holds a frame of finder cells,
the id and a check; it survives JPEG and a decoder that halves or quarters the picture. A damaged mark reads as None,
never as another id.
"""

from __future__ import annotations

import binascii

import cv2
import numpy as np
from numpy.typing import NDArray

ID_BITS = 32
CHECK_BITS = 16
COLUMNS = 8
ROWS = (ID_BITS + CHECK_BITS) // COLUMNS
QUIET = 1
"""Cells of white left free around the grid."""

DARK, LIGHT = 25, 230
LEAST_CONTRAST = 60
"""Below this difference between light and dark finder cells there is no mark to read."""

_GRID = (ROWS + 2, COLUMNS + 2)
_OUTER = (_GRID[0] + 2 * QUIET, _GRID[1] + 2 * QUIET)
SCALES = (1.0, 0.5, 0.25)


def strip_height(height: int) -> int:
    """Rows at the top of a frame of this height that the mark takes up."""
    return _cell(height) * (_OUTER[0] + 1)


def strip_width(height: int) -> int:
    """Columns at the left of a frame of this height that the mark takes up."""
    return _cell(height) * (_OUTER[1] + 1)


def stamp(pixels: NDArray[np.uint8], part_id: int) -> None:
    """Draw the id into the frame's top left corner.

    pixels: (H, W) grey, changed in place. Raises ValueError for an id that does not fit into 32 bits or a frame too
    small for the mark.
    """
    if not 0 <= part_id < 1 << ID_BITS:
        raise ValueError(f"part id {part_id} does not fit into the mark's {ID_BITS} bits")
    cell = _cell(pixels.shape[0])
    rows, columns = _OUTER[0] * cell, _OUTER[1] * cell
    corner = cell // 2
    if corner + rows > pixels.shape[0] or corner + columns > pixels.shape[1]:
        raise ValueError(f"a frame of {pixels.shape[1]}x{pixels.shape[0]} is too small for the mark")
    cells = np.full(_OUTER, LIGHT, np.uint8)
    cells[QUIET:-QUIET, QUIET:-QUIET] = np.where(_grid(part_id), LIGHT, DARK)
    pixels[corner : corner + rows, corner : corner + columns] = np.repeat(np.repeat(cells, cell, 0), cell, 1)


def read(pixels: NDArray[np.uint8], scale: float | None = None) -> int | None:
    """The id that a frame carries, or None where there is no mark or it is damaged.

    pixels: (H, W) or (H, W, 3). scale: size of this picture over that of the stamped frame; None tries each of SCALES.
    """
    grey = pixels if pixels.ndim == 2 else pixels[..., 1]
    for candidate in SCALES if scale is None else (scale,):
        found = _read_at(grey, candidate)
        if found is not None:
            return found
    return None


def _read_at(grey: NDArray[np.uint8], scale: float) -> int | None:
    cell = _cell(round(grey.shape[0] / scale))
    corner = cell // 2 + QUIET * cell
    height, width = _GRID[0] * cell, _GRID[1] * cell
    if corner + height > grey.shape[0] / scale or corner + width > grey.shape[1] / scale:
        return None
    # The mean over the inner part of each cell: neighbours and JPEG ringing stay out of it.
    middles = _inner_means(grey, corner * scale, cell * scale)
    finder = _finder()
    known = finder >= 0
    light, dark = middles[known & (finder == 1)], middles[known & (finder == 0)]
    if not float(light.min()) - float(dark.max()) >= LEAST_CONTRAST:
        return None
    bits = middles > (float(light.mean()) + float(dark.mean())) / 2
    inner = bits[1:-1, 1:-1].reshape(-1)
    value = int("".join("1" if bit else "0" for bit in inner), 2)
    part_id, check = value >> CHECK_BITS, value & ((1 << CHECK_BITS) - 1)
    return part_id if check == _check(part_id) else None


def _inner_means(grey: NDArray[np.uint8], corner: float, cell: float) -> NDArray[np.float32]:
    """Mean grey of the middle of each cell, (rows, columns), found by resampling the grid to a few points per cell."""
    points = 4
    step = cell / points
    start = corner + step / 2
    matrix = np.array([[step, 0, start - 0.5], [0, step, start - 0.5]], np.float32)
    size = (_GRID[1] * points, _GRID[0] * points)
    sampled = cv2.warpAffine(grey, matrix, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    cells = sampled.reshape(_GRID[0], points, _GRID[1], points)[:, 1:-1, :, 1:-1]
    return cells.mean(axis=(1, 3), dtype=np.float32)


def _cell(height: int) -> int:
    """Edge of one cell in pixels for a frame of this height; a quarter of it is still three pixels."""
    return max(12, round(height / 100))


def _check(part_id: int) -> int:
    return binascii.crc_hqx(part_id.to_bytes(ID_BITS // 8, "big"), 0xA55A)


def _finder() -> NDArray[np.int8]:
    """The known cells: 1 light, 0 dark, -1 those that carry bits. Dark left and bottom, alternating top and right."""
    cells = np.full(_GRID, -1, np.int8)
    cells[0, :] = np.arange(_GRID[1]) % 2
    cells[:, -1] = (np.arange(_GRID[0]) + 1) % 2
    cells[:, 0] = 0
    cells[-1, :] = 0
    return cells


def _grid(part_id: int) -> NDArray[np.bool_]:
    """Every cell of the grid, light or dark."""
    value = part_id << CHECK_BITS | _check(part_id)
    bits = [(value >> shift) & 1 for shift in range(ID_BITS + CHECK_BITS - 1, -1, -1)]
    cells = _finder()
    cells[1:-1, 1:-1] = np.array(bits, np.int8).reshape(ROWS, COLUMNS)
    return cells == 1
