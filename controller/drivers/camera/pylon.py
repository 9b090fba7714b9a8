"""One Basler camera through pypylon, in its own process, on the maker's own transport: no GenTL producer is needed."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import numpy as np
from pypylon import genicam, pylon  # pyright: ignore[reportMissingImports] - installed by who has such a camera

from controller.drivers.camera.device import DeviceGone, RawFrame, Refused
from controller.drivers.camera.genicam_messages import GenicamSettings
from controller.drivers.camera.pixels import bytes_of_pixels

_READY_MS = 500
_SDK = (genicam.GenericException, RuntimeError)

Value = bool | int | float | str


class PylonDevice:
    """An open camera. Raises DeviceGone or Refused when made; close it."""

    def __init__(self, settings: GenicamSettings) -> None:
        self._settings = settings
        self._camera: Any = None
        self.incomplete = 0
        self._has_clock = False
        try:
            self._open()
        except (DeviceGone, Refused):
            self.close()
            raise
        except _SDK as error:
            self.close()
            raise DeviceGone(str(error).strip()) from error

    def _open(self) -> None:
        factory, wanted = pylon.TlFactory.GetInstance(), self._settings.device
        there = list(factory.EnumerateDevices())
        names = [(device.GetSerialNumber(), device.GetUserDefinedName()) for device in there]
        chosen = [d for d, name in zip(there, names, strict=True) if wanted in name or (not wanted and len(there) == 1)]
        if not chosen:
            known = ", ".join(serial for serial, _ in names) or "none"
            raise DeviceGone(f"no camera {wanted or '(unnamed)'}; there are: {known}")
        camera: Any = pylon.InstantCamera(factory.CreateDevice(chosen[0]))
        self._camera = camera
        camera.Open()
        triggered = self._settings.acquisition != "free_running"
        source = "Software" if self._settings.acquisition == "software" else self._settings.trigger_source
        arm: dict[str, Value] = {"AcquisitionMode": "Continuous", "TriggerSelector": "FrameStart"}
        arm |= {"TriggerSource": source, "TriggerMode": "On"} if triggered else {"TriggerMode": "Off"}
        for feature, value in (arm | self._settings.features).items():
            self._set(feature, value)
        camera.MaxNumBuffer.Value = self._settings.buffers
        camera.StartGrabbing(pylon.GrabStrategy_OneByOne)

    def _set(self, feature: str, value: Value) -> None:
        try:
            node = getattr(self._camera, feature)
            node.Value = value
            held = node.Value
        except (*_SDK, AttributeError, TypeError) as error:
            raise Refused(feature, value, str(error).strip()) from error
        # Cameras quantise times and gains to their own steps: one in a hundred is a step, more is a refusal.
        near = isinstance(value, float) and abs(float(held) - value) <= abs(value) * 0.01
        if held != value and not near:
            raise Refused(feature, value, f"the device holds {held!r} instead")

    @property
    def serial(self) -> str:
        return str(self._camera.GetDeviceInfo().GetSerialNumber())

    @property
    def model(self) -> str:
        return str(self._camera.GetDeviceInfo().GetModelName())

    def exposure_ns(self) -> int:
        for feature in ("ExposureTime", "ExposureTimeAbs"):
            with suppress(*_SDK, AttributeError):
                return round(getattr(self._camera, feature).Value * 1000)
        return 0

    def frame_bytes(self) -> int:
        camera = self._camera
        with suppress(*_SDK, AttributeError):
            return bytes_of_pixels(str(camera.PixelFormat.Value), int(camera.Width.Value), int(camera.Height.Value))
        return 0

    def latch(self) -> tuple[int, int, int] | None:
        """Models that count in ticks (GevTimestampControlLatch) have no clock here."""
        try:
            before = time.monotonic_ns()
            self._camera.TimestampLatch.Execute()
            device = int(self._camera.TimestampLatchValue.Value)
            after = time.monotonic_ns()
        except (*_SDK, AttributeError) as error:
            if self._has_clock:
                raise DeviceGone(f"does not tell its time any more: {error}") from error
            return None
        self._has_clock = True
        return before, device, after

    def trigger(self) -> int:
        try:
            # One that comes while the camera is not ready is lost.
            if self._camera.CanWaitForFrameTriggerReady():
                self._camera.WaitForFrameTriggerReady(_READY_MS, pylon.TimeoutHandling_ThrowException)
            at = time.monotonic_ns()
            self._camera.ExecuteSoftwareTrigger()
        except _SDK as error:
            raise DeviceGone(f"does not take a trigger: {error}") from error
        return at

    def fetch(self, seconds: float) -> RawFrame | None:
        try:
            result = self._camera.RetrieveResult(max(1, round(seconds * 1000)), pylon.TimeoutHandling_Return)
            if not result or not result.IsValid():
                return None
            if not result.GrabSucceeded():
                self.incomplete += 1
                result.Release()
                return None
            return RawFrame(
                result,
                np.frombuffer(result.GetBuffer(), np.uint8),
                int(result.PixelType),
                int(result.Width),
                int(result.Height),
                int(result.PaddingX),
                int(result.ImageNumber),
                # 0: this model stamps no frames.
                int(result.TimeStamp) or None,
            )
        except _SDK as error:
            raise DeviceGone(f"gives no frames: {error}") from error

    def is_empty(self) -> bool:
        with suppress(*_SDK):
            return int(self._camera.NumReadyBuffers.Value) == 0
        return False

    def drain(self) -> None:
        while not self.is_empty():
            frame = self.fetch(0.001)
            if frame is not None:
                self.give_back(frame)

    def give_back(self, frame: RawFrame) -> None:
        frame.buffer.Release()

    def check(self) -> None:
        if self._camera.IsCameraDeviceRemoved():
            raise DeviceGone("was removed")

    def close(self) -> None:
        camera, self._camera = self._camera, None
        if camera is not None:
            with suppress(*_SDK):
                camera.Close()
