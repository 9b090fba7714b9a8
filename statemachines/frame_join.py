"""Which frame belongs to which part, where the camera is triggered by the line and not by Linegate. Pure, as a table.

A light barrier triggers the camera; the PLC announces the same part on its own way. The two arrive apart, in either
order, and either can go missing. They are joined by time: a frame exposed `offset_ns` after a part's trigger, give or
take `window_ns`, is that part's. Parts that follow each other closer than two windows get no frame: nothing is guessed.

    expected part   |----------x----------|            x: trigger + offset, the bar: the window
    frame                        ^ exposed: this part's

Times are monotonic ns. A frame's time is the camera's own (device clock or chunk, mapped), or, where the camera has
none, that of its arrival less exposure; a camera without a clock whose counter runs backwards is not believed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum

from statemachines.vocabulary import Ns, PartKey


@dataclass(frozen=True, slots=True)
class JoinRules:
    """How a camera's frames lie to the PLC's triggers.

    offset_ns: from a part's trigger to its exposure, negative where the camera is first. window_ns: how far a frame may
    be from there; less than half of the shortest time between two parts. has_clock: frames carry the camera's own time.
    kept: frames that wait for their part, and parts remembered as served.
    """

    offset_ns: int = 0
    window_ns: int = 10_000_000
    has_clock: bool = True
    kept: int = 16


@dataclass(frozen=True, slots=True)
class Exposed:
    """A frame as the camera tells of it. token: the driver's name for it."""

    token: int
    counter: int
    at: Ns


@dataclass(frozen=True, slots=True)
class Expected:
    """A part that waits for its frame, or did. around: when its exposure should be."""

    part: PartKey
    around: Ns
    given_up: bool = False


@dataclass(frozen=True, slots=True)
class FrameJoin:
    """What waits for what. served: where parts that wait no more were expected: what fits them is nobody else's."""

    rules: JoinRules = JoinRules()
    expected: tuple[Expected, ...] = ()
    frames: tuple[Exposed, ...] = ()
    served: tuple[Expected, ...] = ()
    last_counter: int | None = None


# --- what happens ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PartExpected:
    """The PLC announced a part."""

    part: PartKey
    triggered_at: Ns


@dataclass(frozen=True, slots=True)
class FrameSeen:
    """The camera delivered a frame."""

    frame: Exposed


@dataclass(frozen=True, slots=True)
class PartGivenUp:
    """Nobody waits for this part's frame any more."""

    part: PartKey


JoinEvent = PartExpected | FrameSeen | PartGivenUp


# --- what follows ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Joined:
    """This frame is this part's."""

    part: PartKey
    frame: Exposed


@dataclass(frozen=True, slots=True)
class Surplus:
    """A frame that is nobody's."""

    frame: Exposed
    why: str


@dataclass(frozen=True, slots=True)
class Unjoined:
    """A part that gets no frame."""

    part: PartKey
    why: str


Notice = Joined | Surplus | Unjoined
Reply = tuple[FrameJoin, tuple[Notice, ...]]


class Sign(Enum):
    """What an event means; the first that holds, in this order, counts."""

    AGAIN = "the frame before, delivered once more"
    BACKWARDS = "an earlier frame, from a camera without a clock"
    CROWDED = "a part closer to another than two windows"
    FITS_SEVERAL = "fits several frames"
    FITS_ONE = "fits one"
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
        return Sign.FITS_SEVERAL if len(frames) > 1 else Sign.FITS_ONE if frames else Sign.FITS_NONE
    frame, last, window = event.frame, join.last_counter, join.rules.window_ns
    if last is not None and frame.counter == last:
        return Sign.AGAIN
    if last is not None and frame.counter < last and not join.rules.has_clock:
        return Sign.BACKWARDS
    if _near(join.expected, frame.at, window):
        return Sign.FITS_ONE
    return Sign.FITS_SERVED if _near(join.served, frame.at, window) else Sign.FITS_NONE


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
    kept = tuple(e for e in join.expected if e.part != part)
    return replace(join, expected=kept, served=(*join.served, *gone)[-join.rules.kept :])


# --- effects --------------------------------------------------------------------------------------------------


def _serve(join: FrameJoin, part: Expected, frame: Exposed, *more: Notice) -> Reply:
    fresh = replace(
        join,
        expected=tuple(e for e in join.expected if e.part != part.part),
        frames=tuple(f for f in join.frames if f.token != frame.token),
        served=(*join.served, part)[-join.rules.kept :],
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
    fresh = replace(
        join,
        expected=tuple(e for e in join.expected if e not in parts),
        served=(*join.served, *parts)[-join.rules.kept :],
    )
    return fresh, tuple(Unjoined(part.part, why) for part in parts)


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
    return replace(join, last_counter=frame.counter)


Effect = Callable[[FrameJoin, JoinEvent], Reply]

TABLE: dict[tuple[type[JoinEvent], Sign], Effect] = {
    (PartExpected, Sign.FITS_NONE): _wait_for_frame,
    (PartExpected, Sign.FITS_ONE): _join_part,
    (PartExpected, Sign.FITS_SEVERAL): _join_part,
    (PartExpected, Sign.CROWDED): _refuse_crowd,
    (FrameSeen, Sign.AGAIN): _drop("delivered twice"),
    (FrameSeen, Sign.BACKWARDS): _distrust,
    (FrameSeen, Sign.FITS_ONE): _join_frame,
    (FrameSeen, Sign.FITS_SERVED): _drop_served,
    (FrameSeen, Sign.FITS_NONE): _wait_for_part,
}
"""Every sign of each event and what it does. A part that waits in vain is given up at its deadline by who waits."""
