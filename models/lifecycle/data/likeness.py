"""How alike two pictures are, whatever turned, mirrored, brightened or compressed one of them.

Two looks, because parts of one type look alike from afar: a coarse one around the picture's middle, whose rotation is a
shift along the angle (so that all angles are tried at once, by Fourier transform), then a fine one, which holds the
details of the surface against each other after turning one picture back.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from models.lifecycle.data.pictures import Grey

ANGLES, RADII, HOLE = 128, 40, 4
"""Samples around and along the radius of the coarse look; the innermost few say little about angles."""

COARSE_SIDE, FINE_SIDE, SEEN, SLIP = 96, 160, 112, 4
"""Pixels: shorter side in each look; square in the middle that stays within the picture when turned; how far apart."""

COMMON, ASKED = 12, 150
"""Main components that count as common to a set, and pictures that they are taken from."""

SPREAD = 0.1
"""Share of the pictures that must have a component, for it to be common (inverse participation of its loadings)."""

FINE_ANGLES = (-0.7, 0.0, 0.7)
"""Degrees around the angle that the coarse look found, which it knows to about one."""

Spectrum = NDArray[np.complex64]
Details = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Look:
    """What is kept of one picture. spectrum: (ANGLES / 2 + 1, RADII - HOLE). details: FINE_SIDE square, band-passed."""

    spectrum: Spectrum
    details: Details


def look_at(picture: Grey) -> Look:
    """Both looks at a grey picture."""
    # Blurred as much as the angles are apart: what lies between two of them would be lost at one and seen at another.
    small = cv2.GaussianBlur(_shrunk(picture, COARSE_SIDE), (0, 0), 2.0)
    return Look(_spectrum(cast(NDArray[np.float32], small)), _details(picture))


def coarse(one: Look, others: NDArray[np.complex64]) -> NDArray[np.float64]:
    """Likeness from -1 to 1 of one picture to many spectra (n, …), at the best angle, mirrored or not."""
    straight = np.fft.irfft((np.conj(one.spectrum)[None] * others).sum(2), n=ANGLES, axis=1).max(1)
    mirrored = np.fft.irfft((one.spectrum[None] * others).sum(2), n=ANGLES, axis=1).max(1)
    return np.maximum(straight, mirrored)


def common(looks: Sequence[Look]) -> NDArray[np.float32]:
    """What the pictures of a set have in common, as main components (n, FINE_SIDE, FINE_SIDE): fixture, print, pattern.

    Parts in one fixture look alike by these; one part seen twice looks alike beyond them. A component counts that many
    pictures have: one of two copies is not common.
    """
    chosen = looks[:: max(1, len(looks) // ASKED)]
    rows = np.stack([look.details.ravel() for look in chosen])
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
    loadings, _, parts = np.linalg.svd(rows, full_matrices=False)
    having = 1 / (loadings**4).sum(axis=0)
    kept = np.flatnonzero(having[: 2 * COMMON] >= SPREAD * len(chosen))[:COMMON]
    return parts[kept].reshape(-1, FINE_SIDE, FINE_SIDE).astype(np.float32)


def fine(one: Look, other: Look, shared: NDArray[np.float32]) -> float:
    """Likeness of the details from -1 to 1, after turning the one as the coarse look says and without what is common.

    The common components are taken out of both pictures as they lie in either of them (partial correlation).
    """
    degrees, mirrored = _turn(one.spectrum, other.spectrum)
    edge = (FINE_SIDE - SEEN) // 2
    wanted = other.details[edge:-edge, edge:-edge]
    best, turn, place, shown = -1.0, degrees, (0, 0), wanted
    for more in FINE_ANGLES:
        square = _turned(one.details, degrees + more, mirrored)
        found = np.nan_to_num(
            cv2.matchTemplate(wanted, square, cv2.TM_CCOEFF_NORMED), nan=-1.0, posinf=-1.0, neginf=-1.0
        )
        row, column = divmod(int(found.argmax()), found.shape[1])
        if found[row, column] > best:
            best, turn, place, shown = float(found[row, column]), degrees + more, (edge + row, edge + column), square
    if best <= 0:
        return best
    cut = np.s_[place[0] : place[0] + shown.shape[0], place[1] : place[1] + shown.shape[1]]
    known = [part[cut].ravel() for part in shared] + [_turned(part, turn, mirrored).ravel() for part in shared]
    base, _ = np.linalg.qr(np.stack([np.ones(shown.size, np.float32), *known], axis=1))
    mine, theirs = shown.ravel(), other.details[cut].ravel()
    mine, theirs = mine - base @ (base.T @ mine), theirs - base @ (base.T @ theirs)
    size = float(np.linalg.norm(mine) * np.linalg.norm(theirs))
    return float(mine @ theirs) / size if size > 1e-6 else -1.0


def _turned(details: Details, degrees: float, mirrored: bool) -> Details:
    """The middle of a square, turned about its centre; smaller by SLIP all round than what it is compared with."""
    middle = ((FINE_SIDE - 1) / 2, (FINE_SIDE - 1) / 2)
    matrix = cv2.getRotationMatrix2D(middle, -degrees, 1)
    picture = np.ascontiguousarray(details[::-1]) if mirrored else details
    turned = cv2.warpAffine(picture, matrix, (FINE_SIDE, FINE_SIDE), borderMode=cv2.BORDER_REFLECT)
    edge = (FINE_SIDE - SEEN) // 2 + SLIP
    return cast(Details, turned[edge:-edge, edge:-edge])


def _shrunk(picture: Grey, side: int) -> NDArray[np.float32]:
    height, width = picture.shape
    scale = side / min(height, width)
    size = (max(side, round(width * scale)), max(side, round(height * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return cast(NDArray[np.float32], cv2.resize(picture, size, interpolation=how).astype(np.float32))


def _spectrum(small: NDArray[np.float32]) -> Spectrum:
    height, width = small.shape
    middle = ((width - 1) / 2, (height - 1) / 2)
    around = cv2.warpPolar(small, (RADII, ANGLES), middle, COARSE_SIDE / 2, cv2.WARP_POLAR_LINEAR)[:, HOLE:]
    # What is the same all round (a hole, a rim, the lighting) is common to all parts of a type.
    around = (around - around.mean(axis=0)) * np.sqrt(np.arange(HOLE, RADII))
    length = float(np.linalg.norm(around))
    return np.fft.rfft(around / (length if length > 1e-6 else math.inf), axis=0).astype(np.complex64)


def _details(picture: Grey) -> Details:
    small = _shrunk(picture, FINE_SIDE)
    top, left = (small.shape[0] - FINE_SIDE) // 2, (small.shape[1] - FINE_SIDE) // 2
    square = small[top : top + FINE_SIDE, left : left + FINE_SIDE]
    return cast(Details, cv2.GaussianBlur(square, (0, 0), 1.0) - cv2.GaussianBlur(square, (0, 0), 5.0))


def _turn(one: Spectrum, other: Spectrum) -> tuple[float, bool]:
    """Degrees by which the first must be turned to lie like the second, after mirroring it or not."""
    best, degrees, mirrored = -math.inf, 0.0, False
    for flip in (False, True):
        along = np.fft.irfft(((one if flip else np.conj(one)) * other).sum(1), n=ANGLES)
        peak = int(along.argmax())
        before, at, after = float(along[peak - 1]), float(along[peak]), float(along[(peak + 1) % ANGLES])
        bend = before + after - 2 * at
        if at > best:
            shift = peak + (0.5 * (before - after) / bend if bend else 0.0)
            best, degrees, mirrored = at, shift * 360 / ANGLES, flip
    return degrees, mirrored
