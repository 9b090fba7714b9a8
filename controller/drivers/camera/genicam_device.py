"""One GenTL camera through harvesters, in its own process: open, set up, trigger, fetch, notice when it is gone.

harvesters and genicam are imported here and by the survey only, never in the deciding process: they cannot be in one
process with another maker's GenApi. Everything in here blocks, and `fetch` holds the interpreter
while it waits: never use it in the deciding process.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import numpy as np
from genicam import genapi, gentl
from harvesters.core import Callback, Harvester, ImageAcquirer, ParameterKey, ParameterSet
from numpy.typing import NDArray

from controller.drivers.camera.device import DeviceGone, RawFrame, Refused
from controller.drivers.camera.genicam_messages import GenicamSettings
from controller.drivers.camera.pixels import bytes_of_pixels

_SDK = (gentl.GenericException, genapi.GenericException)
"""Both may come out of any access to a node: GenApi's own, and those of the port below it."""

_GONE = frozenset({gentl.DEVICE_ACCESS_STATUS_LIST.DEVICE_ACCESS_STATUS_NOACCESS})
_EVENT_MS = 5
"""How long one look for a new buffer may hold the interpreter of this process."""


class GenTLCamera:
    """An open device. Raises DeviceGone or Refused when made; close it."""

    def __init__(self, settings: GenicamSettings) -> None:
        self._settings = settings
        self._harvester: Any = Harvester()
        self._acquirer: Any = None
        self.incomplete = 0
        self._has_clock = False
        try:
            self._open()
        except (*_SDK, OSError) as error:
            self.close()
            raise DeviceGone(str(error)) from error
        except (DeviceGone, Refused):
            self.close()
            raise

    def _open(self) -> None:
        settings, harvester = self._settings, self._harvester
        try:
            harvester.add_file(settings.producer, check_existence=True, check_validity=True)
        except OSError as error:
            raise Refused("producer", settings.producer, f"cannot be loaded as a GenTL producer: {error}") from error
        harvester.update()
        wanted = ParameterSet({ParameterKey.TIMEOUT_PERIOD_ON_UPDATE_EVENT_DATA_CALL: _EVENT_MS})
        self._acquirer = harvester.create(self._choose(harvester.device_info_list), config=wanted)
        acquirer = self._acquirer
        acquirer.add_callback(ImageAcquirer.Events.INCOMPLETE_BUFFER, _Counter(self))
        self.nodes: Any = acquirer.remote_device.node_map
        self._arm_trigger()
        for feature, value in settings.features.items():
            set_feature(self.nodes, feature, value)
        acquirer.num_buffers = max(settings.buffers, acquirer.min_num_buffers)
        acquirer.start()

    def _choose(self, devices: list[Any]) -> int:
        wanted = self._settings.device
        if not wanted and len(devices) == 1:
            return 0
        facts = ("serial_number", "user_defined_name", "id_")
        names = [tuple(_fact(device, fact) for fact in facts) for device in devices]
        for index, name in enumerate(names):
            if wanted and wanted in name:
                return index
        there = ", ".join(next(filter(None, name), "?") for name in names) or "none"
        raise DeviceGone(f"no camera {wanted or '(unnamed)'} at this producer; there are: {there}")

    def _arm_trigger(self) -> None:
        """Continuous, frame start, source, mode on: in this order, and then start once and stay armed."""
        nodes, acquisition = self.nodes, self._settings.acquisition
        if nodes.has_node("AcquisitionMode"):
            set_feature(nodes, "AcquisitionMode", "Continuous")
        if not nodes.has_node("TriggerMode"):
            if acquisition != "free_running":
                cure = "this device has no TriggerMode: set acquisition to free_running"
                raise Refused("acquisition", acquisition, cure)
            return
        if nodes.has_node("TriggerSelector"):
            set_feature(nodes, "TriggerSelector", "FrameStart")
        if acquisition == "free_running":
            set_feature(nodes, "TriggerMode", "Off")
            return
        source = "Software" if acquisition == "software" else self._settings.trigger_source
        set_feature(nodes, "TriggerSource", source)
        set_feature(nodes, "TriggerMode", "On")

    @property
    def serial(self) -> str:
        return self._text("DeviceSerialNumber") or self._settings.device or self._settings.name

    @property
    def model(self) -> str:
        return self._text("DeviceModelName")

    def _text(self, feature: str) -> str:
        with suppress(*_SDK, AttributeError):
            return str(getattr(self.nodes, feature).value)
        return ""

    def exposure_ns(self) -> int:
        """ExposureTime as it is set, ns; 0 where the device does not say."""
        with suppress(*_SDK, AttributeError, ValueError):
            return round(float(self.nodes.ExposureTime.value) * 1000)
        return 0

    def frame_bytes(self) -> int:
        """Bytes of one frame's pixels as the device is set; 0 where it does not say."""
        nodes = self.nodes
        with suppress(*_SDK, AttributeError, ValueError):
            return bytes_of_pixels(str(nodes.PixelFormat.value), int(nodes.Width.value), int(nodes.Height.value))
        return 0

    def latch(self) -> tuple[int, int, int] | None:
        """Our clock, the device's, ours again, ns; None where the device has none that can be latched.

        Raises DeviceGone where it had one before: no other access is sure to reach the device and not a cache.
        """
        nodes = self.nodes
        try:
            before = time.monotonic_ns()
            nodes.TimestampLatch.execute()
            device = int(nodes.TimestampLatchValue.value)
            after = time.monotonic_ns()
        except (*_SDK, AttributeError) as error:
            if self._has_clock:
                raise DeviceGone(f"does not tell its time any more: {error}") from error
            return None
        self._has_clock = True
        return before, device, after

    def trigger(self) -> int:
        """One exposure by software; when it was told to. Raises DeviceGone."""
        at = time.monotonic_ns()
        try:
            self.nodes.TriggerSoftware.execute()
        except _SDK as error:
            raise DeviceGone(f"does not take a trigger: {error}") from error
        return at

    def fetch(self, seconds: float) -> RawFrame | None:
        """The next complete frame, or None; `incomplete` counts those that were not. Raises DeviceGone."""
        try:
            buffer = self._acquirer.try_fetch(timeout=seconds, is_raw=True)
            if buffer is None:
                return None
            return RawFrame(
                buffer,
                _image(buffer),
                int(buffer.pixel_format),
                int(buffer.width),
                int(buffer.height),
                _maybe(buffer, "x_padding") or 0,
                _maybe(buffer, "frame_id"),
                _maybe(buffer, "timestamp_ns"),
            )
        except _SDK as error:
            raise DeviceGone(f"gives no frames: {error}") from error

    def is_empty(self) -> bool:
        """Whether the producer says that no frame waits here; False also where it does not say."""
        with suppress(*_SDK, AttributeError):
            return not any(stream.num_awaiting_delivery for stream in self._acquirer.data_streams)
        return False

    def drain(self) -> None:
        """Give back what came unasked: an earlier trigger's frame that was late is never the next part's."""
        try:
            while any(stream.num_awaiting_delivery for stream in self._acquirer.data_streams):
                frame = self.fetch(0.05)
                if frame is not None:
                    self.give_back(frame)
        except _SDK as error:
            raise DeviceGone(f"does not say what it holds: {error}") from error

    def give_back(self, frame: RawFrame) -> None:
        """Let the producer fill the buffer again. Raises DeviceGone."""
        try:
            frame.buffer.parent.queue_buffer(frame.buffer)
        except _SDK as error:
            raise DeviceGone(f"takes no buffer back: {error}") from error

    def check(self) -> None:
        """Raises DeviceGone where the producer says that the device is gone; there is no event for it."""
        try:
            status = self._acquirer.device.access_status
        except gentl.NotAvailableException:
            return
        except _SDK as error:
            raise DeviceGone(f"does not say whether it is there: {error}") from error
        if status in _GONE:
            raise DeviceGone("the producer has no access to it any more")

    def close(self) -> None:
        """Let go of device and producer; a device that is gone may refuse even that."""
        acquirer, self._acquirer = self._acquirer, None
        for step in (*((acquirer.stop, acquirer.destroy) if acquirer else ()), self._harvester.reset):
            with suppress(*_SDK):
                step()


def _image(buffer: Any) -> NDArray[np.uint8]:
    """What was delivered of the image: behind it a buffer may hold an earlier one's pixels."""
    filled, offset = _maybe(buffer, "size_filled"), _maybe(buffer, "image_offset")
    return np.frombuffer(buffer.raw_buffer, np.uint8)[offset or 0 : filled or None]


class _Counter(Callback):
    """harvesters' callback for a buffer that is not complete."""

    def __init__(self, camera: GenTLCamera) -> None:
        super().__init__()
        self._camera = camera

    def emit(self, context: object | None = None) -> None:
        self._camera.incomplete += 1


def set_feature(nodes: Any, feature: str, value: bool | int | float | str) -> None:
    """Set one feature and read it back. Raises Refused with the range or the choices."""
    if not nodes.has_node(feature):
        raise Refused(feature, value, "the device has no such feature: see `linegate camera features`")
    node = getattr(nodes, feature)
    if isinstance(node, genapi.ICommand):
        node.execute()
        return
    try:
        if _readable(node) and _same(node.value, value):
            return
        node.value = value
        held = node.value
    except (*_SDK, TypeError, NotImplementedError) as error:
        raise Refused(feature, value, f"{_allowed(node)} ({_first_sentence(error)})") from error
    if not _same(held, value):
        raise Refused(feature, value, f"the device holds {held!r} instead; {_allowed(node)}")


def _readable(node: Any) -> bool:
    return bool(genapi.is_readable(node.get_access_mode()))


def _same(held: Any, value: bool | int | float | str) -> bool:
    if isinstance(value, float) or isinstance(held, float):
        # Cameras quantise times and gains to their own steps: one in a hundred is a step, more is a refusal.
        return abs(float(held) - float(value)) <= max(abs(float(value)) * 0.01, 1e-9)
    return bool(held == value)


def _allowed(node: Any) -> str:
    with suppress(*_SDK, AttributeError):
        return f"give one of {', '.join(node.symbolics)}"
    with suppress(*_SDK, AttributeError):
        step = f" in steps of {node.inc}" if isinstance(node, genapi.IInteger) else ""
        return f"give {node.min:g} to {node.max:g}{step}"
    return "the device does not take it now"


def _first_sentence(error: BaseException) -> str:
    return str(error).split(" : ", 1)[0].strip().rstrip(".")


def _fact(device: Any, name: str) -> str:
    with suppress(*_SDK, AttributeError):
        return str(getattr(device, name) or "")
    return ""


def _maybe(buffer: Any, name: str) -> int | None:
    with suppress(*_SDK, AttributeError):
        value = getattr(buffer, name)
        return None if value is None else int(value)
    return None
