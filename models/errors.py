"""Errors of models and catalogues. They name file, key, value and cure, or the output that is wrong."""

from __future__ import annotations


class ModelError(Exception):
    """Root of what goes wrong with a model."""


class ModelRejected(ModelError):
    """A package, catalogue or graph is not fit for use: refuse to load."""

    def __init__(self, file: str, key: str, value: object, cure: str) -> None:
        super().__init__(f"{file}: {key} = {value!r}: {cure}")
        self.file, self.key, self.value, self.cure = file, key, value, cure


class InferenceFailed(ModelError):
    """One inference gave nothing usable; its part is NO_DECISION."""


class ImageUnfit(ModelError):
    """The frame is too dark, too bright or too flat to be judged; its part is NO_DECISION, image quality."""


class CalibrationRefused(ModelError):
    """The pictures of a target do not make a calibration that may be trusted."""


class ImagesRefused(ModelError):
    """The images do not show what a view's good images are like."""
