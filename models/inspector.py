"""From a frame to its assessment: crop, infer, decode, grade. One view's model and catalogue, joined."""

from __future__ import annotations

import numpy as np

from models.catalogue import Catalogue
from models.decode import DECODERS
from models.errors import ImageUnfit, InferenceFailed, ModelRejected
from models.frame import Frame, ImageBand
from models.golden import check_golden
from models.optics.scale import Scale
from models.optics.watch import ImageWatch
from models.package import MANIFEST
from models.runner import Runner
from statemachines.vocabulary import Assessment

Region = tuple[int, int, int, int]


class Inspector:
    """Judges one view. roi: x, y, width, height in frame pixels, None for the whole frame. size: width and height that
    a frame must have, None for any. mm_per_px: a number, or the scale of a calibrated plane. watch: what good frames of
    this view are like; None where that was not learned.

    Raises ModelRejected where model and catalogue do not fit each other.
    """

    def __init__(
        self,
        runner: Runner,
        catalogue: Catalogue,
        mm_per_px: float | Scale,
        roi: Region | None = None,
        band: ImageBand = ImageBand(),
        size: tuple[int, int] | None = None,
        watch: ImageWatch | None = None,
    ) -> None:
        manifest = runner.package.manifest
        if manifest.task not in DECODERS:
            raise ModelRejected(str(runner.package.folder), "task", manifest.task, f"known are {', '.join(DECODERS)}")
        catalogue.check_classes(manifest.defect_classes, str(runner.package.folder / MANIFEST))
        self.runner = runner
        self._manifest = manifest
        self._decode = DECODERS[manifest.task]
        self._catalogue = catalogue
        self._scale = mm_per_px
        self._roi = roi
        self._band = band
        self._size = size
        self._watch = watch

    def warm_up(self) -> None:
        """Load and prove the model: its outputs are numbers, such as its decoder reads, and on the package's golden
        images those that it gave when it was packed. Raises ModelRejected."""
        self.runner.load()
        self.runner.warm_up()
        spec = self._manifest.input
        try:
            outputs = self.runner.infer(np.full((spec.height, spec.width), 128, np.uint8))
            self._decode(outputs, self._manifest, spec.width, spec.height)
        except InferenceFailed as error:
            cure = f"{error}: correct the manifest or export the graph again"
            raise ModelRejected(
                str(self.runner.package.folder / MANIFEST), "task", self._manifest.task, cure
            ) from error
        check_golden(self.runner, self._decode)

    def cancel(self) -> None:
        """Ask a running inspection to give up; from any thread."""
        self.runner.cancel()

    def inspect(self, frame: Frame) -> Assessment:
        """Judge a frame. Blocks for the inference. Raises InferenceFailed or ImageUnfit.

        A model finds nothing on an empty belt and nothing on a black frame: without a look at the image itself both
        would be good parts.
        """
        pixels, left, top = frame.pixels, 0, 0
        if self._size is not None and pixels.shape[1::-1] != self._size:
            # A camera that bins or crops after losing its settings: every defect would be measured at a wrong scale.
            found, wanted = ("x".join(map(str, size)) for size in (pixels.shape[1::-1], self._size))
            raise ImageUnfit(f"the frame has {found} pixels, the recipe is made for {wanted}")
        if self._roi is not None:
            left, top, width, height = self._roi
            if pixels.ndim not in (2, 3):
                raise InferenceFailed(f"a frame of shape {pixels.shape}: an image is wanted")
            rows, columns = pixels.shape[:2]
            if not (0 <= left < left + width <= columns and 0 <= top < top + height <= rows):
                raise InferenceFailed(f"the region of interest {self._roi} leaves the frame {pixels.shape[:2]}")
            pixels = pixels[top : top + height, left : left + width]
        if self._watch is not None and (complaint := self._watch.complaint(frame)) is not None:
            raise ImageUnfit(complaint)
        complaint = self._band.complaint(self.runner.take(pixels))
        if complaint is not None:
            raise ImageUnfit(complaint)
        outputs = self.runner.run()
        decoded = self._decode(outputs, self._manifest, pixels.shape[1], pixels.shape[0])
        findings = decoded.findings
        if (left or top) and findings:
            findings = tuple(found.moved(left, top) for found in findings)
        return self._catalogue.assess(findings, self._scale, decoded.score)
