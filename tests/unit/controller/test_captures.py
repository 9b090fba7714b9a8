"""What a capture that gives nothing says, and whose fault it was."""

from __future__ import annotations

import asyncio
import time

import numpy as np

from controller.captures import Captures
from controller.errors import DeviceTimeout
from models.frame import Frame
from statemachines.commands import Capture
from statemachines.events import Event, Failed, FrameCaptured
from statemachines.views import ViewRule
from statemachines.vocabulary import MS, Ns, PartKey, Reason


class Lens:
    """A camera that answers at its deadline, as the port has it; gate: until when it keeps its turn."""

    def __init__(self) -> None:
        self.silent = self.deaf = False
        self.gate: asyncio.Event | None = None

    async def open(self, deadline: Ns) -> None: ...

    async def close(self) -> None: ...

    async def capture(self, part: PartKey, view: str, expose_at: Ns, until: Ns, deadline: Ns) -> Frame:
        if self.deaf:
            await asyncio.Event().wait()
        if self.silent:
            try:
                async with asyncio.timeout(max(deadline - time.monotonic_ns(), 0) / 1e9):
                    await asyncio.Event().wait()
            except TimeoutError as error:
                raise DeviceTimeout("lens", "no frame within 10 ms") from error
        if self.gate is not None:
            await self.gate.wait()
        return Frame(view, np.zeros((2, 2), np.uint8), time.monotonic_ns(), part.seq, "lens")


def _took(_command: Capture, _frame: Frame, _took_ns: int) -> None:
    """Nobody else wants to know."""


class Desk:
    """Captures of one camera and what came of them."""

    def __init__(self) -> None:
        self.lens, self.events = Lens(), list[Event]()
        self.late_ns = 0
        self._captures = Captures({"lens": self.lens}, self._now, self.events.append, _took)

    def _now(self) -> Ns:
        return Ns(time.monotonic_ns() + self.late_ns)

    async def capture(self, number: int = 1, deadline_ms: int = 60, *, joined: bool = False) -> None:
        """The part leaves after ten seconds."""
        now = time.monotonic_ns()
        part, deadline = PartKey(1, "plc", number), Ns(now + deadline_ms * MS)
        command = Capture(part, "top", Ns(now), Ns(now + 10_000 * MS), deadline)
        await self._captures.perform(command, ViewRule("top", joined=joined), "lens", None)

    @property
    def failed(self) -> list[tuple[Reason, str]]:
        return [(event.reason, event.why) for event in self.events if isinstance(event, Failed)]


async def test_a_camera_says_itself_why_it_gave_nothing() -> None:
    for joined in (False, True):
        desk = Desk()
        desk.lens.silent = True
        await desk.capture(joined=joined)
        assert desk.failed == [(Reason.CAMERA, "lens: no frame within 10 ms")]


async def test_a_camera_that_does_not_keep_its_deadline_is_given_up() -> None:
    desk = Desk()
    desk.lens.deaf = True
    async with asyncio.timeout(5):
        await desk.capture()
    ((reason, why),) = desk.failed
    assert (reason, why) == (Reason.CAMERA, "camera lens: no frame before the deadline, and no word why")


async def test_a_computer_that_comes_too_late_blames_itself_and_not_the_camera() -> None:
    desk = Desk()
    task = asyncio.get_running_loop().create_task(desk.capture())
    desk.late_ns = 11_000 * MS
    await task
    ((reason, why),) = desk.failed
    assert reason is Reason.LATE_TRIGGER
    assert why.startswith("top: this computer was busy")


async def test_a_camera_that_is_busy_with_the_part_before_is_the_cameras_fault() -> None:
    desk = Desk()
    desk.lens.gate = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for number in (1, 2):
            tasks.create_task(desk.capture(number, deadline_ms=9000))
        await asyncio.sleep(0)
        desk.late_ns = 11_000 * MS
        desk.lens.gate.set()
    assert [type(event) for event in desk.events] == [FrameCaptured, Failed]
    assert desk.failed == [(Reason.CAMERA, "lens: was still busy with another part when this one left")]
