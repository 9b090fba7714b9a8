"""Carries out `Capture` commands: waits for the part, takes its turn at the camera, always posts one event."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from controller.errors import DeviceError, DeviceTimeout
from controller.ports import Camera
from models.frame import Frame
from statemachines.commands import Capture
from statemachines.events import Event, Failed, FrameCaptured
from statemachines.views import ViewRule
from statemachines.vocabulary import MS, Ns, Reason

Took = Callable[[Capture, Frame, int], None]
"""Told of each frame before its event is posted; with how long the camera took for it, in ns."""

_GRACE_NS = 500 * MS
"""A camera says at its deadline why there is no frame. One that says nothing is given up so much later: the part is
answered by then, and its camera is free again."""


class _TooLate(Exception):
    """This computer came to it when the part had left already."""


class Captures:
    """The cameras of one station, on the deciding loop.

    Exposures that Linegate commands go through a camera one by one. Where the line triggers the camera, the captures of
    several parts wait side by side, each for the frame that is its own.
    """

    def __init__(
        self, cameras: Mapping[str, Camera], now: Callable[[], Ns], post: Callable[[Event], None], took: Took
    ) -> None:
        self._cameras, self._now, self._post, self._took = cameras, now, post, took
        self._turn = {name: asyncio.Lock() for name in cameras}

    async def perform(self, command: Capture, rule: ViewRule, name: str, replay: Camera | None) -> None:
        """Expose and fetch one view; whatever the camera does, exactly one event comes of it."""
        try:
            async with asyncio.timeout_at((command.deadline + _GRACE_NS) / 1e9):
                frame, took_ns = await self._frame(command, rule, name, replay)
        except _TooLate as late:
            self._post(Failed(command.part, command.view, self._now(), Reason.LATE_TRIGGER, str(late)))
            return
        except (DeviceError, TimeoutError) as error:
            why = str(error) or f"camera {name}: no frame before the deadline, and no word why"
            self._post(Failed(command.part, command.view, self._now(), Reason.CAMERA, why))
            return
        self._took(command, frame, took_ns)
        at, exposed_at = self._now(), Ns(frame.exposed_at)
        event = FrameCaptured(
            command.part, command.view, at, exposed_at, frame.counter, frame.camera, frame.exposure_ns
        )
        self._post(event)

    async def _frame(self, command: Capture, rule: ViewRule, name: str, replay: Camera | None) -> tuple[Frame, int]:
        camera = self._cameras[name] if replay is None else replay
        if rule.joined:
            return await self._shot(camera, command)
        while (ahead := command.expose_at - self._now()) > 0:  # noqa: ASYNC110 - the part comes by itself
            await asyncio.sleep(ahead / 1e9)
        if (late := self._now() - command.until) > 0:
            why = f"this computer was busy, the exposure would have come {late / 1e6:.1f} ms after the part had left"
            raise _TooLate(f"{command.view}: {why}")
        async with self._turn[name]:
            if self._now() > command.until:
                raise DeviceTimeout(name, "was still busy with another part when this one left")
            return await self._shot(camera, command)

    async def _shot(self, camera: Camera, command: Capture) -> tuple[Frame, int]:
        started = self._now()
        frame = await camera.capture(command.part, command.view, command.expose_at, command.until, command.deadline)
        return frame, self._now() - started
