"""The camera's own process, on a camera by script: which frames it hands over where the device has no clock."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterable
from errno import ENOSPC
from typing import Any, cast

import numpy as np
import pytest

from controller.channel import Channel
from controller.channel_words import Message
from controller.drivers.camera import genicam_messages as say
from controller.drivers.camera import genicam_process
from controller.drivers.camera.device import Device, DeviceGone, RawFrame, Refused
from controller.drivers.camera.genicam_messages import Acquisition, GenicamSettings
from controller.drivers.camera.genicam_process import Asked, CameraDuty, keep_open
from controller.frame_pool import FramePool
from statemachines.vocabulary import MS

S = 1000 * MS
MONO8 = 0x01080001


class Clock:
    """Time that only moves when the script says so."""

    def __init__(self) -> None:
        self.ns = 100 * S

    def monotonic_ns(self) -> int:
        return self.ns

    def monotonic(self) -> float:
        return self.ns / 1e9


def raw(frame_id: int | None, clock_ns: int | None = None) -> RawFrame:
    return RawFrame(None, np.zeros(16, np.uint8), MONO8, 4, 4, 0, frame_id, clock_ns)


Look = Callable[[], RawFrame | None]


class Filled(Message, frozen=True):
    """The frame was copied to the pool."""


class Settled(Message, frozen=True):
    """The memory for frames of this size was taken."""

    size: int


class PutBack(Message, frozen=True):
    """The slot was freed again."""


class Bench:
    """A camera whose looks for frames follow a script; it is both the camera and the talk that ends with the script."""

    serial = model = "script"
    incomplete = 0
    heard = True
    """Whether the other side is there."""

    def __init__(self, acquisition: Acquisition, monkeypatch: pytest.MonkeyPatch, *, clocked: bool = False) -> None:
        self.clock, self.clocked = Clock(), clocked
        monkeypatch.setattr(genicam_process, "time", self.clock)
        self.asked: queue.SimpleQueue[Asked] = queue.SimpleQueue()
        self.told: list[Message] = []
        self.first: int | None = None
        """What is asked for once the camera is up."""
        self._looks: list[Look] = []
        settings = GenicamSettings("script", "", acquisition=acquisition, window_ns=10 * MS)
        self._duty = CameraDuty(settings, cast(Channel, self), self.asked, cast(FramePool, self))

    def run(self, looks: Iterable[Look]) -> list[int | str]:
        """Numbers of the frames that were handed over, and what was said of those that were not."""
        self._looks = list(looks)
        self._duty.run(cast(Device, self))
        frames = [told for told in self.told if isinstance(told, (say.FrameTaken, say.FrameSpoilt))]
        return [told.counter if isinstance(told, say.FrameTaken) else told.why for told in frames]

    @property
    def came_up(self) -> bool:
        return self._duty.came_up

    def after(self, ms: float, frame: RawFrame | None) -> Look:
        def look() -> RawFrame | None:
            self.clock.ns += int(ms * MS)
            return frame

        return look

    # The camera.
    size = 16
    """Bytes of a frame as the device says it is set."""

    def frame_bytes(self) -> int:
        return self.size

    def exposure_ns(self) -> int:
        return 1 * MS

    def trigger(self) -> int:
        return self.clock.ns

    def latch(self) -> tuple[int, int, int] | None:
        return (self.clock.ns, self.clock.ns, self.clock.ns) if self.clocked else None

    def fetch(self, seconds: float) -> RawFrame | None:
        return self._looks.pop(0)()

    def is_empty(self) -> bool:
        return False

    def check(self) -> None: ...
    def drain(self) -> None: ...
    def close(self) -> None: ...
    def give_back(self, frame: RawFrame) -> None: ...

    # The talk, and the pool.
    slots, largest = 1, 64
    no_room = False

    def settle(self, size: int) -> None:
        if self.no_room:
            raise OSError(ENOSPC, "No space left on device")
        self.told.append(Settled(size))

    @property
    def closed(self) -> bool:
        return not self._looks

    def offer(self, message: Message, key: str | None = None) -> bool:
        self.told.append(message)
        if isinstance(message, say.CameraUp) and self.first is not None:
            self.asked.put(say.Expose(self.first))
        return True

    def send(self, message: Message) -> bool:
        on_the_way = isinstance(message, (say.FrameTaken, say.FrameWhole))
        assert on_the_way, "only what is on the way to an answer waits for the other side"
        self.told.append(message)
        return self.heard

    def reserve(self, size: int, stamp: int) -> int:
        return 0

    def fill(self, slot: int, pixels: Any) -> None:
        self.told.append(Filled())

    def put_back(self, slot: int) -> None:
        self.told.append(PutBack())


def test_the_memory_for_its_frames_is_taken_before_the_camera_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench("hardware", monkeypatch)
    bench.run([bench.after(4, raw(1))])
    assert bench.told[:2] == [Settled(16), say.CameraUp("script", "script")]


def test_a_device_whose_frames_are_too_large_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench("hardware", monkeypatch)
    bench.size = 3_100_000
    with pytest.raises(Refused, match="3100000 bytes: give at least 4") as refused:
        bench.run([bench.after(4, raw(1))])
    assert refused.value.feature == "largest_mb"
    assert not bench.came_up


def test_a_computer_without_room_for_the_pool_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench("hardware", monkeypatch)
    bench.no_room = True
    with pytest.raises(Refused, match=r"No space left on device.*make /dev/shm larger") as refused:
        bench.run([bench.after(4, raw(1))])
    assert refused.value.feature == "pool_frames"


def test_each_loss_of_a_camera_is_told_once_and_every_one_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the same words fit twice: the deciding process believed it up in between."""
    gone = "the producer has no access to it any more"
    script: list[bool | None] = [False, False, True, True, False, None]
    """For each opening whether the camera is up before it is gone; None: it refuses a feature."""
    told: list[Message] = []

    class Duty:
        came_up = False

        def run(self, up: bool) -> None:
            if up:
                self.came_up = True
                told.append(say.CameraUp("script", "script"))
            raise DeviceGone(gone)

    class Talk:
        closed = False

        def offer(self, message: Message, key: str | None = None) -> bool:
            if not isinstance(message, say.CameraAlive):
                told.append(message)
            return True

    talk = Talk()

    def opened(_settings: GenicamSettings) -> bool:
        if (up := script.pop(0)) is None:
            talk.closed = True
            raise Refused("Gain", 99, "give 0 to 12")
        return up

    def opener(_settings: GenicamSettings) -> Callable[[GenicamSettings], bool]:
        return opened

    monkeypatch.setattr(genicam_process, "_opener", opener)
    monkeypatch.setattr(genicam_process, "_REOPEN_S", 0.0)
    keep_open(cast(CameraDuty, Duty()), GenicamSettings("script", ""), cast(Channel, talk))
    lost, up = say.CameraLost(gone), say.CameraUp("script", "script")
    assert told == [lost, up, lost, up, lost, say.FeatureRefused("Gain", "99", "give 0 to 12")]


def test_a_frame_is_called_whole_after_it_was_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench("hardware", monkeypatch)
    assert bench.run([bench.after(4, raw(1))]) == [1]
    assert [type(told) for told in bench.told[-3:]] == [say.FrameTaken, Filled, say.FrameWhole]


def test_nothing_is_copied_where_nobody_hears_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench("hardware", monkeypatch)
    bench.heard = False
    bench.run([bench.after(4, raw(1))])
    assert [type(told) for told in bench.told[-2:]] == [say.FrameTaken, PutBack]


def test_a_frame_whose_arrival_nobody_saw_is_not_handed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """It came while this process was kept waiting: by its time of arrival it would be the next part's."""
    bench = Bench("hardware", monkeypatch)
    looks = [bench.after(4, None), bench.after(4, raw(1)), bench.after(4, None), bench.after(100, raw(2))]
    assert bench.run([*looks, bench.after(4, None), bench.after(4, raw(3))]) == [
        1,
        "nobody knows when a frame came: the computer was busy for 100 ms",
        3,
    ]


def test_with_a_clock_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench("hardware", monkeypatch, clocked=True)
    frame = raw(1, bench.clock.ns)
    assert bench.run([bench.after(4, None), bench.after(100, frame)]) == [1]
    (taken,) = [told for told in bench.told if isinstance(told, say.FrameTaken)]
    assert taken.clocked
    assert taken.exposed_at == 100 * S


def test_frames_that_carry_another_clock_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench("hardware", monkeypatch, clocked=True)
    assert bench.run([bench.after(4, raw(1, 3 * S))]) == [
        "a frame's time is -97 s off what TimestampLatch tells: they are two clocks"
    ]


def test_it_begins_anew_when_it_is_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench("hardware", monkeypatch)
    bench.asked.put(None)
    told_later = [lambda: bench.asked.put(say.BeginAnew("out of step")), bench.after(0, None)]
    with pytest.raises(DeviceGone, match="out of step"):
        bench.run(told_later)


@pytest.mark.parametrize(
    ("second", "handed_over"),
    [
        # Late by more than the process waits: it is the first trigger's, and the second one's comes behind it.
        ([1, 2], [2]),
        # Lost with its number: the next one is not it.
        ([2], [2]),
        # Never counted: that it is not the first trigger's cannot be known.
        ([1], []),
        # Without numbers, its own count goes on.
        ([None, None], [2]),
    ],
)
def test_the_frame_of_a_trigger_before_is_never_the_next_ones(
    monkeypatch: pytest.MonkeyPatch, second: list[int | None], handed_over: list[int]
) -> None:
    bench = Bench("software", monkeypatch)

    def expose(token: int) -> None:
        bench.asked.put(say.Expose(token))

    def first_frame() -> RawFrame:
        expose(2)
        return raw(0)

    def given_up() -> None:
        bench.clock.ns += 3 * S
        expose(3)

    in_vain = [given_up]
    third = [bench.after(5, raw(number)) for number in second]
    # What follows shows that nobody is distrusted for ever: the fourth trigger has its frame.
    fourth: list[Look] = []
    if not handed_over:

        def again() -> None:
            bench.clock.ns += 3 * S
            expose(4)

        fourth = [again, bench.after(5, raw(9))]
        handed_over = [9]
    bench.first = 1
    found = [entry for entry in bench.run([first_frame, *in_vain, *third, *fourth]) if isinstance(entry, int)]
    assert found == [0, *handed_over]
