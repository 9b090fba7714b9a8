"""Which frame belongs to which part, where the camera is triggered by the line and not by Linegate. Pure, as a table.

A light barrier triggers the camera; the PLC announces the same part on its own way. The two arrive apart, in either
order, and either can go missing. They are joined by time: a frame exposed `offset_ns` after a part's trigger, give or
take `window_ns`, is that part's. Parts that follow each other closer than two windows get no frame: nothing is guessed.

    expected part   |----------x----------|            x: trigger + offset, the bar: the window
    frame                        ^ exposed: this part's

Times are monotonic ns. A frame's time is the camera's own (device clock or chunk, mapped), or, where the camera has
none, that of its arrival less exposure. Such a frame may be an earlier part's that was held up on its way. It is
believed while the camera's frame numbers account for every part that went without a frame; where they do not, the
camera must begin anew, since frames and parts are out of step from then on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from enum import Enum

from statemachines.frame_join_words import (
    Expected,
    Exposed,
    FrameJoin,
    FrameSeen,
    Joined,
    JoinEvent,
    Notice,
    OutOfStep,
    PartExpected,
    PartGivenUp,
    Reply,
    Surplus,
    Unjoined,
)
from statemachines.vocabulary import Ns, PartKey


class Sign(Enum):
    """What an event means; the first that holds, in this order, counts."""

    AGAIN = "the frame before, delivered once more"
    BACKWARDS = "an earlier frame, from a camera without a clock"
    CROWDED = "a part closer to another than two windows"
    FITS_SEVERAL = "fits several frames"
    FITS_ONE = "fits one"
    OWED = "fits one, without a clock, and may be an earlier part's"
    FITS_SERVED = "fits a part that has its frame, or waits no more"
    FITS_NONE = "fits none yet"


def step(join: FrameJoin, event: JoinEvent) -> Reply:
    """Take one event."""
    if isinstance(event, PartGivenUp):
        return _give_up(join, event.part), ()
    return TABLE[type(event), classify(join, event)](join, event)


def classify(join: FrameJoin, event: PartExpected | FrameSeen) -> Sign:
    """What the event means to what waits."""
    if isinstance(event, PartExpected):
        around = _around(join, event)
        if _near((*join.expected, *join.served), around, 2 * join.rules.window_ns):
            return Sign.CROWDED
        frames = _frames_near(join, around)
        if not frames:
            return Sign.FITS_NONE
        if not _accounted(join, around, frames[0]):
            return Sign.OWED
        return Sign.FITS_SEVERAL if len(frames) > 1 else Sign.FITS_ONE
    frame, last, window = event.frame, join.last_counter, join.rules.window_ns
    if last is not None and frame.counter == last:
        return Sign.AGAIN
    if last is not None and frame.counter < last and not frame.clocked:
        return Sign.BACKWARDS
    if near := _near(join.expected, frame.at, window):
        return Sign.FITS_ONE if _accounted(join, near[0].around, frame) else Sign.OWED
    return Sign.FITS_SERVED if _near(join.served, frame.at, window) else Sign.FITS_NONE


def _accounted(join: FrameJoin, around: int, frame: Exposed) -> bool:
    """Whether each part between the last that got a frame and the one here has a frame number of its own."""
    if frame.clocked:
        return True
    first = frame.counter if join.first_counter is None else join.first_counter
    since, counter = join.last or (0, first - 1)
    waiting = sum(since < part.around < around for part in join.expected)
    return frame.counter - counter > join.missed + waiting


def _around(join: FrameJoin, event: PartExpected) -> Ns:
    return Ns(event.triggered_at + join.rules.offset_ns)


def _near(parts: tuple[Expected, ...], at: int, within: int) -> list[Expected]:
    return [part for part in parts if abs(part.around - at) <= within]


def _frames_near(join: FrameJoin, around: int) -> list[Exposed]:
    """Waiting frames that fit, the first exposed first."""
    near = [frame for frame in join.frames if abs(frame.at - around) <= join.rules.window_ns]
    return sorted(near, key=lambda frame: frame.at)


def _give_up(join: FrameJoin, part: PartKey) -> FrameJoin:
    """Its place is remembered: its frame may still come, and must not fit a neighbour then."""
    gone = tuple(replace(e, given_up=True) for e in join.expected if e.part == part)
    return _without_frame(join, gone)


def _without_frame(join: FrameJoin, parts: tuple[Expected, ...]) -> FrameJoin:
    """These parts wait no more, and got none. One before the last part that got a frame has its number behind it."""
    names = {part.part for part in parts}
    return replace(
        join,
        expected=tuple(e for e in join.expected if e.part not in names),
        served=(*join.served, *parts)[-join.rules.kept :],
        missed=join.missed + sum(join.last is None or part.around > join.last[0] for part in parts),
    )


def restarted(join: FrameJoin) -> FrameJoin:
    """The camera began anew: frames from before are nobody's, and what waited for one is not owed any."""
    fresh = _without_frame(join, join.expected)
    return replace(fresh, frames=(), first_counter=None, last_counter=None, last=None, missed=0)


# --- effects --------------------------------------------------------------------------------------------------


def _serve(join: FrameJoin, part: Expected, frame: Exposed, *more: Notice) -> Reply:
    fresh = replace(
        join,
        expected=tuple(e for e in join.expected if e.part != part.part),
        frames=tuple(f for f in join.frames if f.token != frame.token),
        served=(*join.served, part)[-join.rules.kept :],
        last=(part.around, frame.counter),
        missed=0,
    )
    return fresh, (Joined(part.part, frame), *more)


def _join_part(join: FrameJoin, event: JoinEvent) -> Reply:
    """The frame came first. Of several that fit, all show what was in view then: the first is taken."""
    assert isinstance(event, PartExpected)
    part = Expected(event.part, _around(join, event))
    first, *others = _frames_near(join, part.around)
    fresh = replace(join, frames=tuple(f for f in join.frames if f not in others))
    return _serve(fresh, part, first, *(Surplus(other, "double exposure") for other in others))


def _wait_for_frame(join: FrameJoin, event: JoinEvent) -> Reply:
    assert isinstance(event, PartExpected)
    return replace(join, expected=(*join.expected, Expected(event.part, _around(join, event)))), ()


def _refuse_crowd(join: FrameJoin, event: JoinEvent) -> Reply:
    """A frame could be this part's or its neighbour's: neither gets one. A neighbour that has its frame keeps it."""
    assert isinstance(event, PartExpected)
    part = Expected(event.part, _around(join, event))
    crowd = (*_near(join.expected, part.around, 2 * join.rules.window_ns), part)
    return _refuse(join, crowd, f"parts follow each other closer than twice the join window, {_ms(join)} ms")


def _ms(join: FrameJoin) -> str:
    return f"{join.rules.window_ns / 1e6:g}"


def _refuse(join: FrameJoin, parts: tuple[Expected, ...], why: str) -> Reply:
    return _without_frame(join, parts), tuple(Unjoined(part.part, why) for part in parts)


def _join_frame(join: FrameJoin, event: JoinEvent) -> Reply:
    assert isinstance(event, FrameSeen)
    part, *_ = _near(join.expected, event.frame.at, join.rules.window_ns)
    return _serve(_counted(join, event.frame), part, event.frame)


def _distrust(join: FrameJoin, event: JoinEvent) -> Reply:
    """Frames in the wrong order and no clock to put them right: neither is believed, nor is the part it would be."""
    assert isinstance(event, FrameSeen)
    why = "the camera's frame counter ran backwards"
    parts = tuple(_near(join.expected, event.frame.at, join.rules.window_ns))
    fresh, notices = _refuse(join, parts, why)
    return fresh, (*notices, Surplus(event.frame, why))


def _doubt(join: FrameJoin, event: JoinEvent) -> Reply:
    """A part before this one went without a frame, and no number is missing: this frame may be that part's."""
    if isinstance(event, FrameSeen):
        part, *_ = _near(join.expected, event.frame.at, join.rules.window_ns)
        join, frames = _counted(join, event.frame), [event.frame]
    else:
        assert isinstance(event, PartExpected)
        part = Expected(event.part, _around(join, event))
        frames = _frames_near(join, part.around)
    why = "a part before went without a frame, and this one may be its, come late: the camera has no clock"
    fresh, refused = _refuse(join, (part,), why)
    fresh = replace(fresh, frames=tuple(frame for frame in fresh.frames if frame not in frames))
    return fresh, (*refused, *(Surplus(frame, why) for frame in frames), OutOfStep(why))


def _drop(why: str) -> Effect:
    def effect(join: FrameJoin, event: JoinEvent) -> Reply:
        assert isinstance(event, FrameSeen)
        return _counted(join, event.frame), (Surplus(event.frame, why),)

    return effect


def _drop_served(join: FrameJoin, event: JoinEvent) -> Reply:
    assert isinstance(event, FrameSeen)
    part, *_ = _near(join.served, event.frame.at, join.rules.window_ns)
    return _drop("came after its part was given up" if part.given_up else "double exposure")(join, event)


def _wait_for_part(join: FrameJoin, event: JoinEvent) -> Reply:
    """The camera was faster than the PLC, or there is no part: it waits, and the oldest gives way."""
    assert isinstance(event, FrameSeen)
    join = _counted(join, event.frame)
    frames = (*join.frames, event.frame)
    too_many = frames[: max(len(frames) - join.rules.kept, 0)]
    gone = tuple(Surplus(frame, "no part was announced for it") for frame in too_many)
    return replace(join, frames=frames[len(too_many) :]), gone


def _counted(join: FrameJoin, frame: Exposed) -> FrameJoin:
    first = frame.counter if join.first_counter is None else join.first_counter
    return replace(join, last_counter=frame.counter, first_counter=first)


Effect = Callable[[FrameJoin, JoinEvent], Reply]

TABLE: dict[tuple[type[JoinEvent], Sign], Effect] = {
    (PartExpected, Sign.FITS_NONE): _wait_for_frame,
    (PartExpected, Sign.FITS_ONE): _join_part,
    (PartExpected, Sign.FITS_SEVERAL): _join_part,
    (PartExpected, Sign.OWED): _doubt,
    (PartExpected, Sign.CROWDED): _refuse_crowd,
    (FrameSeen, Sign.AGAIN): _drop("delivered twice"),
    (FrameSeen, Sign.BACKWARDS): _distrust,
    (FrameSeen, Sign.FITS_ONE): _join_frame,
    (FrameSeen, Sign.OWED): _doubt,
    (FrameSeen, Sign.FITS_SERVED): _drop_served,
    (FrameSeen, Sign.FITS_NONE): _wait_for_part,
}
"""Every sign of each event and what it does. A part that waits in vain is given up at its deadline by who waits."""
