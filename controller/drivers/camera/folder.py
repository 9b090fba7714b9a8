"""A camera that plays the images of a folder: for trying a station on kept images, without a camera."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from controller.errors import ConfigError, DeviceError, DeviceRefused, DeviceTimeout, DeviceUnavailable
from models.frame import Frame
from statemachines.vocabulary import Ns, PartKey

_AHEAD = 2
"""Images decoded before they are asked for."""

_Loaded = NDArray[np.uint8] | DeviceError


class FolderCamera:
    """Camera on the images of one folder, one image a capture. One event loop; files are read in a thread of its own.

    pattern: glob below the folder ("**/*.png" goes deeper). order: by path, or shuffled by `seed`, anew each round.
    loop: start again after the last image, else DeviceUnavailable. colour: what frames hold, whatever the file has.
    A file that is no 8-bit image is refused with its name: its part falls back and the next capture takes the next.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        pattern: str = "*.png",
        order: Literal["name", "shuffle"] = "name",
        *,
        loop: bool = True,
        seed: int = 0,
        colour: Literal["grey", "rgb"] = "grey",
    ) -> None:
        self._name, self._folder, self._pattern = name, Path(folder), pattern
        self._order, self._loop, self._seed = order, loop, seed
        self._colour: Literal["grey", "rgb"] = colour
        self._counter = 0
        self._thread: ThreadPoolExecutor | None = None
        self._paths: Iterator[Path] = iter(())
        self._ahead: list[asyncio.Future[_Loaded]] = []

    async def open(self, deadline: Ns) -> None:
        """Find the images and start to read ahead. Raises ConfigError where there are none, DeviceError."""
        await self.close()
        thread = ThreadPoolExecutor(1, thread_name_prefix=f"camera-{self._name}")
        self._thread = thread
        try:
            async with asyncio.timeout(max(deadline - time.monotonic_ns(), 0) / 1e9):
                files = await asyncio.get_running_loop().run_in_executor(thread, self._find)
        except TimeoutError as error:
            await self.close()
            raise DeviceTimeout(self._name, f"{self._folder} could not be listed in time") from error
        except (OSError, ValueError, NotImplementedError) as error:
            await self.close()
            raise ConfigError(str(self._folder), "pattern", self._pattern, f"cannot be searched: {error}") from error
        if not files:
            await self.close()
            raise ConfigError(str(self._folder), "pattern", self._pattern, "matches no file: name a folder of images")
        self._paths = self._play(files)
        self._fill(thread)

    async def capture(self, part: PartKey, view: str, expose_at: Ns, until: Ns, deadline: Ns) -> Frame:
        """The next image as a frame. Raises DeviceError."""
        thread = self._thread
        if thread is None:
            raise DeviceUnavailable(self._name, "not open")
        exposed_at = time.monotonic_ns()
        if exposed_at > until:
            raise DeviceTimeout(self._name, "asked to expose after the part had left")
        if not self._ahead:
            raise DeviceUnavailable(self._name, f"every image of {self._folder} was shown")
        self._counter += 1
        counter = self._counter
        # Taken out before waiting: an image that comes too late must not become the next part's.
        coming = self._ahead.pop(0)
        self._fill(thread)
        try:
            async with asyncio.timeout(max(deadline - exposed_at, 0) / 1e9):
                loaded = await coming
        except TimeoutError as error:
            raise DeviceTimeout(self._name, "the image was not read in time") from error
        if isinstance(loaded, DeviceError):
            raise loaded
        return Frame(view, loaded, exposed_at, counter, self._name)

    async def close(self) -> None:
        """Stop reading; never raises. A disk that hangs keeps its thread, not the caller."""
        thread, self._thread = self._thread, None
        waiting, self._ahead = self._ahead, []
        for future in waiting:
            future.cancel()
        if thread is not None:
            thread.shutdown(wait=False, cancel_futures=True)

    def _find(self) -> list[Path]:
        return sorted(path for path in self._folder.glob(self._pattern) if path.is_file())

    def _play(self, files: list[Path]) -> Iterator[Path]:
        shuffle = random.Random(self._seed)
        while True:
            if self._order == "shuffle":
                files = shuffle.sample(files, len(files))
            yield from files
            if not self._loop:
                return

    def _fill(self, thread: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        while len(self._ahead) < _AHEAD:
            path = next(self._paths, None)
            if path is None:
                return
            self._ahead.append(loop.run_in_executor(thread, _load, self._name, path, self._colour))


def _load(camera: str, path: Path, colour: Literal["grey", "rgb"]) -> _Loaded:
    """An image's pixels, or why there are none. Errors are returned, since nobody may ever ask for this image."""
    try:
        # imdecode, not imread: OpenCV cannot open every path on Windows.
        raw = np.fromfile(path, dtype=np.uint8)
        image = cv2.imdecode(raw, cv2.IMREAD_UNCHANGED) if raw.size else None
    except (OSError, ValueError, cv2.error) as error:
        return DeviceRefused(camera, f"{path} cannot be read: {error}")
    if image is None:
        return DeviceRefused(camera, f"{path} is no image, or a damaged one")
    if image.dtype != np.uint8:
        return DeviceRefused(camera, f"{path} has {image.dtype} pixels: convert it to 8 bits")
    pixels = _convert(np.asarray(image, dtype=np.uint8), colour)
    if pixels is None:
        return DeviceRefused(camera, f"{path} has {image.shape[2]} channels")
    pixels = np.ascontiguousarray(pixels, dtype=np.uint8)
    pixels.setflags(write=False)
    return pixels


def _convert(image: NDArray[np.uint8], colour: Literal["grey", "rgb"]) -> NDArray[np.uint8] | None:
    channels = 1 if image.ndim == 2 else image.shape[2]
    codes = {
        ("grey", 3): cv2.COLOR_BGR2GRAY,
        ("grey", 4): cv2.COLOR_BGRA2GRAY,
        ("rgb", 1): cv2.COLOR_GRAY2RGB,
        ("rgb", 3): cv2.COLOR_BGR2RGB,
        ("rgb", 4): cv2.COLOR_BGRA2RGB,
    }
    if (colour, channels) == ("grey", 1):
        return image.reshape(image.shape[:2])
    code = codes.get((colour, channels))
    return None if code is None else np.asarray(cv2.cvtColor(image, code), dtype=np.uint8)
