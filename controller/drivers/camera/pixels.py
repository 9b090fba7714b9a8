"""From what a camera sends to 8-bit grey or RGB. Names, layouts: GenICam Pixel Format Naming Convention (PFNC) 2.4."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Raw = NDArray[np.uint8]

_Unpack = Callable[[Raw, int, int], Pixels]


class UnknownFormat(ValueError):
    """A pixel format that this table does not have, or a buffer that is too short for its format."""


def to_pixels(raw: Raw, pixel_format: int, width: int, height: int, padding: int = 0) -> Pixels:
    """The image in a buffer as (height, width) grey or (height, width, 3) RGB, uint8.

    raw: the buffer's bytes, at least as many as the format needs. pixel_format: PFNC number. padding: bytes behind each
    line. The result is a view of `raw` where the format allows it. 10, 12 and 16 bits are cut to their highest 8.
    Raises UnknownFormat.
    """
    known = _FORMATS.get(pixel_format)
    if known is None:
        names = ", ".join(name for name, _ in _FORMATS.values())
        raise UnknownFormat(f"pixel format 0x{pixel_format:08X} is not known; set PixelFormat to one of {names}")
    name, unpack = known
    needed = width * height * (pixel_format >> 16 & 0xFF) // 8
    if raw.size < needed + padding * (height - 1):
        raise UnknownFormat(f"{name} of {width}x{height} needs {needed} bytes, the buffer holds {raw.size}")
    return unpack(_closed_up(raw, needed // height, height, padding) if padding else raw[:needed], width, height)


def bytes_of_pixels(pixel_format: str, width: int, height: int) -> int:
    """What `to_pixels` makes of a frame, bytes: one for each pixel of a grey one, three of a coloured one.

    pixel_format: the PFNC name.
    """
    return width * height * (1 if pixel_format.startswith("Mono") else 3)


def _closed_up(raw: Raw, line: int, height: int, padding: int) -> Raw:
    """The lines without what lies between them; the last one may have nothing behind it."""
    lines = np.lib.stride_tricks.as_strided(raw, (height, line), (line + padding, 1), writeable=False)
    return np.ascontiguousarray(lines).ravel()


def _grey(raw: Raw, width: int, height: int) -> Pixels:
    return raw.reshape(height, width)


def _words(bits: int) -> _Unpack:
    def unpack(raw: Raw, width: int, height: int) -> Pixels:
        words = raw.view("<u2").reshape(height, width)
        return (words >> (bits - 8)).astype(np.uint8)

    return unpack


def _mono12p(raw: Raw, width: int, height: int) -> Pixels:
    """Two pixels in three bytes, lowest bits first (PFNC "p"): the high 8 bits of both."""
    triples = raw.reshape(-1, 3).astype(np.uint16)
    first = (triples[:, 0] >> 4) | ((triples[:, 1] & 0x0F) << 4)
    return np.stack([first, triples[:, 2]], axis=1).astype(np.uint8).reshape(height, width)


def _mono12packed(raw: Raw, width: int, height: int) -> Pixels:
    """GigE Vision's packing: the high 8 bits of both pixels around a byte of low bits."""
    return np.ascontiguousarray(raw.reshape(-1, 3)[:, ::2]).reshape(height, width)


def _mono10p(raw: Raw, width: int, height: int) -> Pixels:
    """Four pixels in five bytes, lowest bits first."""
    fives = raw.reshape(-1, 5).astype(np.uint16)
    pixels = [((fives[:, i] | fives[:, i + 1] << 8) >> (2 * i + 2)) & 0xFF for i in range(4)]
    return np.stack(pixels, axis=1).astype(np.uint8).reshape(height, width)


def _bayer(code: int) -> _Unpack:
    return lambda raw, width, height: np.asarray(cv2.cvtColor(raw.reshape(height, width), code), np.uint8)


def _rgb(raw: Raw, width: int, height: int) -> Pixels:
    return raw.reshape(height, width, 3)


def _colour(code: int, channels: int) -> _Unpack:
    return lambda raw, width, height: np.asarray(cv2.cvtColor(raw.reshape(height, width, channels), code), np.uint8)


# OpenCV names a Bayer pattern by the second row's second and third pixel, PFNC by the first row's first two.
_FORMATS: dict[int, tuple[str, _Unpack]] = {
    0x01080001: ("Mono8", _grey),
    0x01100003: ("Mono10", _words(10)),
    0x01100005: ("Mono12", _words(12)),
    0x01100007: ("Mono16", _words(16)),
    0x010A0046: ("Mono10p", _mono10p),
    0x010C0047: ("Mono12p", _mono12p),
    0x010C0006: ("Mono12Packed", _mono12packed),
    0x01080008: ("BayerGR8", _bayer(cv2.COLOR_BayerGB2RGB)),
    0x01080009: ("BayerRG8", _bayer(cv2.COLOR_BayerBG2RGB)),
    0x0108000A: ("BayerGB8", _bayer(cv2.COLOR_BayerGR2RGB)),
    0x0108000B: ("BayerBG8", _bayer(cv2.COLOR_BayerRG2RGB)),
    0x02180014: ("RGB8", _rgb),
    0x02180015: ("BGR8", _colour(cv2.COLOR_BGR2RGB, 3)),
    0x02200016: ("RGBa8", _colour(cv2.COLOR_RGBA2RGB, 4)),
    0x02200017: ("BGRa8", _colour(cv2.COLOR_BGRA2RGB, 4)),
}
