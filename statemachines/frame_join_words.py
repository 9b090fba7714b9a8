"""What `frame_join` works on: how frames lie to triggers, what waits, what happens and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass

from statemachines.vocabulary import Ns, PartKey


@dataclass(frozen=True, slots=True)
class JoinRules:
    """How a camera's frames lie to the PLC's triggers.

    offset_ns: from a part's trigger to its exposure, negative where the camera is first. window_ns: how far a frame may
    be from there; less than half of the shortest time between two parts. kept: frames that wait for their part, and
    parts remembered as served.
    """

    offset_ns: int = 0
    window_ns: int = 10_000_000
    kept: int = 16


@dataclass(frozen=True, slots=True)
class Exposed:
    """A frame as the camera tells of it. token: the driver's name for it. clocked: `at` is the camera's own time."""

    token: int
    counter: int
    at: Ns
    clocked: bool = True


@dataclass(frozen=True, slots=True)
class Expected:
    """A part that waits for its frame, or did. around: when its exposure should be."""

    part: PartKey
    around: Ns
    given_up: bool = False


@dataclass(frozen=True, slots=True)
class FrameJoin:
    """What waits for what. served: where parts that wait no more were expected: what fits them is nobody else's.

    last: the last part that got a frame, with the frame's number. missed: parts after it that got none. first_counter,
    last_counter: of the frames since the camera is up.
    """

    rules: JoinRules = JoinRules()
    expected: tuple[Expected, ...] = ()
    frames: tuple[Exposed, ...] = ()
    served: tuple[Expected, ...] = ()
    first_counter: int | None = None
    last_counter: int | None = None
    last: tuple[Ns, int] | None = None
    missed: int = 0


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


@dataclass(frozen=True, slots=True)
class OutOfStep:
    """Whose the next frames are cannot be known: the camera must begin anew, with nothing under way."""

    why: str


Notice = Joined | Surplus | Unjoined | OutOfStep
Reply = tuple[FrameJoin, tuple[Notice, ...]]
