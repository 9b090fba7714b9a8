"""Frames and parts find each other over losses, doubles, jitter and every order of arrival, and never wrongly."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statemachines.frame_join import TABLE, Sign, restarted, step
from statemachines.frame_join_words import (
    Exposed,
    FrameJoin,
    FrameSeen,
    Joined,
    JoinEvent,
    JoinRules,
    Notice,
    OutOfStep,
    PartExpected,
    PartGivenUp,
    Surplus,
    Unjoined,
)
from statemachines.vocabulary import MS, Ns, PartKey

RULES = JoinRules(offset_ns=2 * MS, window_ns=10 * MS)


def key(number: int) -> PartKey:
    return PartKey(1, "plc", number)


def part(number: int, at_ms: float) -> PartExpected:
    return PartExpected(key(number), Ns(int(at_ms * MS)))


def frame(number: int, at_ms: float, counter: int | None = None, *, clocked: bool = True) -> FrameSeen:
    return FrameSeen(Exposed(number, number if counter is None else counter, Ns(int(at_ms * MS)), clocked))


def arrived(number: int, at_ms: float) -> FrameSeen:
    """A frame of a camera without a clock."""
    return frame(number, at_ms, clocked=False)


def play(join: FrameJoin, *events: JoinEvent) -> tuple[FrameJoin, list[Notice]]:
    notices: list[Notice] = []
    for event in events:
        join, more = step(join, event)
        notices += more
    return join, notices


def joined(notices: list[Notice]) -> dict[int, int]:
    """Part number to frame token."""
    return {notice.part.seq: notice.frame.token for notice in notices if isinstance(notice, Joined)}


def test_they_meet_in_either_order() -> None:
    assert joined(play(FrameJoin(RULES), part(1, 100), frame(7, 103))[1]) == {1: 7}
    assert joined(play(FrameJoin(RULES), frame(7, 103), part(1, 100))[1]) == {1: 7}


def test_a_missing_frame_costs_its_own_part_only() -> None:
    join, notices = play(FrameJoin(RULES), part(1, 100), part(2, 200), frame(8, 203))
    assert joined(notices) == {2: 8}
    join, _ = play(join, PartGivenUp(key(1)))
    assert not join.expected


def test_a_frame_that_comes_after_its_part_was_given_up_is_never_a_neighbours() -> None:
    events = part(1, 100), PartGivenUp(key(1)), frame(7, 106), part(2, 115), frame(8, 117)
    _, notices = play(FrameJoin(RULES), *events)
    assert not joined(notices)
    first = next(n for n in notices if isinstance(n, Surplus))
    assert (first.frame.token, first.why) == (7, "came after its part was given up")


def test_a_surplus_frame_waits_and_gives_way() -> None:
    _, notices = play(FrameJoin(JoinRules(kept=2)), *(frame(n, 100 * n) for n in range(4)))
    assert [(n.frame.token, n.why) for n in notices if isinstance(n, Surplus)] == [
        (0, "no part was announced for it"),
        (1, "no part was announced for it"),
    ]


def test_a_swapped_pair_is_put_right_by_the_cameras_clock() -> None:
    _, notices = play(FrameJoin(RULES), part(1, 100), part(2, 200), frame(8, 203), frame(7, 103))
    assert joined(notices) == {1: 7, 2: 8}


def test_without_a_clock_a_counter_that_runs_backwards_is_not_believed() -> None:
    # Swapped on the way: frame 8, of part 2, arrives when part 1's is due.
    events = arrived(6, 50), part(1, 100), arrived(8, 101), part(2, 200), arrived(7, 201)
    _, notices = play(FrameJoin(RULES), *events)
    assert {n.part.seq: n.why for n in notices if isinstance(n, Unjoined)} == {
        2: "the camera's frame counter ran backwards"
    }


@pytest.mark.parametrize("announced_first", [True, False])
def test_without_a_clock_a_frame_that_may_be_the_part_befores_is_nobodys(announced_first: bool) -> None:
    """Part 2's frame is held up until part 3 passes: by its time of arrival it would be part 3's."""
    late: list[JoinEvent] = [arrived(8, 303)]
    late.insert(0 if announced_first else 1, part(3, 300))
    events = part(1, 100), arrived(7, 103), part(2, 200), PartGivenUp(key(2)), *late
    join, notices = play(FrameJoin(RULES), *events)
    assert joined(notices) == {1: 7}
    assert [notice.part.seq for notice in notices if isinstance(notice, Unjoined)] == [3]
    assert any(isinstance(notice, OutOfStep) for notice in notices)
    join, notices = play(join, part(4, 400), arrived(9, 403))
    assert not joined(notices), "the camera may lag by one part for good"
    _, notices = play(restarted(join), part(5, 500), arrived(11, 503))
    assert joined(notices) == {5: 11}


def test_without_a_clock_what_was_held_up_for_once_is_in_step_again_by_its_numbers() -> None:
    events = part(1, 100), arrived(7, 103), part(2, 200), PartGivenUp(key(2)), part(3, 300)
    _, notices = play(FrameJoin(RULES), *events, arrived(8, 303), arrived(9, 304), part(4, 400), arrived(10, 403))
    assert joined(notices) == {1: 7, 4: 10}


def test_without_a_clock_a_lost_frame_with_a_number_costs_its_own_part_only() -> None:
    events = part(1, 100), arrived(7, 103), part(2, 200), part(3, 300), arrived(9, 303), PartGivenUp(key(2))
    _, notices = play(FrameJoin(RULES), *events, part(4, 400), arrived(10, 403))
    assert joined(notices) == {1: 7, 3: 9, 4: 10}


def test_without_a_clock_frames_of_nobody_count_as_well_after_a_start() -> None:
    """A camera that runs freely: the first part's frame was lost, but others came."""
    events = arrived(1, 40), part(1, 100), arrived(3, 140), part(2, 200), PartGivenUp(key(1)), arrived(4, 203)
    assert joined(play(FrameJoin(RULES), *events)[1]) == {2: 4}


@pytest.mark.parametrize("part_first", [True, False])
def test_a_double_exposure_keeps_the_first(part_first: bool) -> None:
    events: list[JoinEvent] = [frame(7, 103), frame(8, 105)]
    events.insert(0 if part_first else 2, part(1, 100))
    _, notices = play(FrameJoin(RULES), *events)
    assert joined(notices) == {1: 7}
    assert [n for n in notices if isinstance(n, Surplus)] == [Surplus(frame(8, 105).frame, "double exposure")]


def test_a_frame_delivered_twice_serves_once() -> None:
    _, notices = play(FrameJoin(RULES), part(1, 100), frame(7, 103, 7), frame(9, 103, 7), part(2, 130))
    assert joined(notices) == {1: 7}
    assert any(isinstance(n, Surplus) and n.frame.token == 9 for n in notices)


def test_parts_too_close_for_the_window_get_no_frame() -> None:
    _, notices = play(FrameJoin(RULES), part(1, 100), part(2, 119), frame(7, 110), part(3, 200), frame(8, 201))
    assert joined(notices) == {3: 8}
    assert {n.part.seq for n in notices if isinstance(n, Unjoined)} == {1, 2}


def test_a_part_too_close_to_one_that_was_served_gets_none() -> None:
    _, notices = play(FrameJoin(RULES), part(1, 100), frame(7, 103), part(2, 115), frame(8, 117))
    assert joined(notices) == {1: 7}
    assert [n.part.seq for n in notices if isinstance(n, Unjoined)] == [2]


def test_the_table_has_every_sign() -> None:
    for_parts = {Sign.FITS_NONE, Sign.FITS_ONE, Sign.FITS_SEVERAL, Sign.OWED, Sign.CROWDED}
    assert {sign for kind, sign in TABLE if kind is PartExpected} == for_parts
    for_frames = set(Sign) - {Sign.FITS_SEVERAL, Sign.CROWDED}
    assert {sign for kind, sign in TABLE if kind is FrameSeen} == for_frames


# --- lines with faults ----------------------------------------------------------------------------------------


@dataclass
class World:
    """A line that runs: what happens in which order, and what is true."""

    spacing_ms: float
    jitter_ms: float
    seed: int
    parts: int = 60
    loss: float = 0.0
    twice: float = 0.0
    extra: float = 0.0
    truth: dict[int, int] = field(default_factory=dict[int, int])
    """Frame token to the part that it shows; 0 for a frame between two parts."""
    faulty: set[int] = field(default_factory=set[int])

    def events(self) -> list[JoinEvent]:
        """Parts and frames by their time of arrival; the PLC's way takes up to 12 ms, the camera's up to 40."""
        chance = random.Random(self.seed)
        arrivals: list[tuple[float, JoinEvent]] = []
        token = counter = 0
        for number in range(1, self.parts + 1):
            at = number * self.spacing_ms
            arrivals.append((at + chance.uniform(0, 12), part(number, at)))
            exposed = at + 2 + chance.uniform(-self.jitter_ms, self.jitter_ms)
            counter += 1
            if chance.random() < self.loss:
                self.faulty.add(number)
                continue
            token += 1
            self.truth[token] = number
            arrivals.append((exposed + chance.uniform(1, 40), frame(token, exposed, counter)))
            if chance.random() < self.twice:
                token += 1
                self.truth[token] = number
                arrivals.append((arrivals[-1][0] + 0.01, frame(token, exposed, counter)))
            if chance.random() < self.extra:
                counter += 1
                token += 1
                between = at + self.spacing_ms / 2
                arrivals.append((between + chance.uniform(1, 40), frame(token, between, counter)))
        return [event for _, event in sorted(arrivals, key=lambda arrival: arrival[0])]


@pytest.mark.parametrize("spacing_ms", [720, 100], ids=["5,000 an hour", "36,000 an hour"])
@given(
    seed=st.integers(0, 1 << 30),
    loss=st.sampled_from([0.0, 0.01, 0.3]),
    twice=st.sampled_from([0.0, 0.2]),
    extra=st.sampled_from([0.0, 0.2]),
    jitter_ms=st.sampled_from([0.0, 3.0, 9.9]),
)
@settings(max_examples=120, deadline=None)
def test_a_line_with_faults_joins_every_sound_part_and_never_wrongly(
    spacing_ms: float, seed: int, loss: float, twice: float, extra: float, jitter_ms: float
) -> None:
    world = World(spacing_ms, jitter_ms, seed, loss=loss, twice=twice, extra=extra)
    _, notices = play(FrameJoin(RULES), *world.events())
    found = joined(notices)
    assert {number: world.truth[token] for number, token in found.items()} == {number: number for number in found}
    assert set(found) == set(range(1, world.parts + 1)) - world.faulty


@given(seed=st.integers(0, 1 << 30), lost=st.sampled_from([0.0, 0.05, 0.3]), stall=st.sampled_from([0.02, 0.1]))
@settings(max_examples=200, deadline=None)
def test_frames_without_a_clock_that_queue_up_on_their_way_are_never_joined_wrongly(
    seed: int, lost: float, stall: float
) -> None:
    """Frames keep their order, as on a cable; now and then one is held up for up to four parts, and all behind it."""
    chance, arrivals, free_at = random.Random(seed), list[tuple[float, JoinEvent]](), 0.0
    for number in range(1, 61):
        at = number * 100.0
        arrivals += [(at + chance.uniform(0, 12), part(number, at)), (at + 90, PartGivenUp(key(number)))]
        held_up = chance.uniform(0, 400) if chance.random() < stall else 0.0
        free_at = max(free_at, at + 2 + chance.uniform(-5, 5)) + held_up
        if chance.random() >= lost:
            arrivals.append((free_at, arrived(number, free_at)))
    join, notices = FrameJoin(RULES), list[Notice]()
    for _, event in sorted(arrivals, key=lambda arrival: arrival[0]):
        join, more = step(join, event)
        notices += more
    found = joined(notices)
    assert found == {number: number for number in found}


@given(seed=st.integers(0, 1 << 30), jitter_ms=st.floats(10.0, 60.0), spacing_ms=st.floats(21.0, 100.0))
@settings(max_examples=120, deadline=None)
def test_jitter_beyond_the_window_costs_parts_but_never_joins_where_the_clock_says_no(
    seed: int, jitter_ms: float, spacing_ms: float
) -> None:
    """Whatever is joined lies within the window of exactly one part: beyond it nothing is guessed."""
    world = World(spacing_ms, jitter_ms, seed, loss=0.1)
    events = world.events()
    expected = {
        event.part.seq: event.triggered_at + RULES.offset_ns for event in events if isinstance(event, PartExpected)
    }
    _, notices = play(FrameJoin(RULES), *events)
    for notice in notices:
        if isinstance(notice, Joined):
            near = [n for n, around in expected.items() if abs(around - notice.frame.at) <= RULES.window_ns]
            assert near == [notice.part.seq]


@given(st.lists(st.integers(0, 1), max_size=80), st.integers(0, 1 << 30))
@settings(max_examples=60, deadline=None)
def test_memory_is_bounded(kinds: list[int], seed: int) -> None:
    chance, join = random.Random(seed), FrameJoin(JoinRules(kept=4))
    for number, kind in enumerate(kinds, start=1):
        at = chance.uniform(0, 10_000)
        join, _ = step(join, part(number, at) if kind else frame(number, at))
        if kind:
            join, _ = step(join, PartGivenUp(key(number)))
    assert len(join.frames) <= 4
    assert len(join.served) <= 4
