"""Errors, named for who must act. Failure to decide is not an error: it is the verdict NO_DECISION."""

from __future__ import annotations


class ControllerError(Exception):
    """Root of everything that Linegate raises on purpose."""


class ConfigError(ControllerError):
    """The integrator must mend a file; the program refuses to start. Names file, key, value and cure."""

    def __init__(self, file: str, key: str, value: object, cure: str) -> None:
        super().__init__(f"{file}: {key} = {value!r}: {cure}")
        self.file, self.key, self.value, self.cure = file, key, value, cure


class DeviceError(ControllerError):
    """A device let this part down; the part falls back, the link retries, maintenance looks."""

    def __init__(self, device: str, what: str) -> None:
        super().__init__(f"{device}: {what}")
        self.device, self.what = device, what


class DeviceUnavailable(DeviceError):
    """It cannot be reached at all."""


class DeviceTimeout(DeviceError):
    """It did not answer before the deadline."""


class DeviceRefused(DeviceError):
    """It answered, and said no."""


class RecordError(ControllerError):
    """The journal or the image store cannot be used."""
