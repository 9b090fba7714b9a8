"""The inference thread: one answer per frame, whatever the model or the listener does."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from models.errors import InferenceFailed
from models.frame import Frame
from models.lane import InferenceLane
from statemachines.vocabulary import Assessment, Verdict

FRAME = Frame("top", np.zeros((4, 4), np.uint8), 0, 1, "cam")
FINE = Assessment(Verdict.OK, (), 0.1, "nothing found")
WAIT = 10.0


class Gated:
    """An inspector that begins, waits for the gate and then answers or raises."""

    def __init__(self, result: Assessment | Exception = FINE, *, opens_on_cancel: bool = False) -> None:
        self.began, self.gate = threading.Event(), threading.Event()
        self._result, self._opens = result, opens_on_cancel

    def inspect(self, frame: Frame) -> Assessment:
        self.began.set()
        assert self.gate.wait(WAIT)
        if isinstance(self._result, Exception):
            raise self._result
        return self._result

    def cancel(self) -> None:
        if self._opens:
            self.gate.set()


class Open(Gated):
    """One that does not wait."""

    def __init__(self, result: Assessment | Exception = FINE) -> None:
        super().__init__(result)
        self.gate.set()


class Answers:
    """Collects what the lane answers."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[tuple[Any, int, str]] = queue.SimpleQueue()

    def __call__(self, result: Assessment | Exception, duration_ns: int) -> None:
        self._queue.put((result, duration_ns, threading.current_thread().name))

    def next(self) -> tuple[Any, int, str]:
        return self._queue.get(timeout=WAIT)


@pytest.fixture
def lane() -> Iterator[InferenceLane]:
    made = InferenceLane(depth=2, name="lane under test")
    yield made
    assert made.close(WAIT), "the lane's thread is stuck"


def test_answers_come_in_order_on_the_lanes_thread(lane: InferenceLane) -> None:
    answers, other = Answers(), Assessment(Verdict.NG, (), 0.9, "scratch")
    slow, before = Gated(), time.monotonic_ns()
    assert lane.submit(slow, FRAME, answers)
    assert lane.submit(Open(other), FRAME, answers)
    assert slow.began.wait(WAIT)
    slow.gate.set()
    (first, took, thread), (second, _, _) = answers.next(), answers.next()
    assert (first, second, thread) == (FINE, other, "lane under test")
    assert 0 < took <= time.monotonic_ns() - before


def test_it_tells_since_when_it_is_busy(lane: InferenceLane) -> None:
    answers, slow = Answers(), Gated()
    assert lane.busy_since() is None
    before = time.monotonic_ns()
    lane.submit(slow, FRAME, answers)
    assert slow.began.wait(WAIT)
    since = lane.busy_since()
    assert since is not None
    assert before <= since <= time.monotonic_ns()
    slow.gate.set()
    answers.next()
    assert lane.busy_since() is None


def test_a_full_lane_refuses_and_never_calls_back(lane: InferenceLane) -> None:
    answers, refused, slow = Answers(), Answers(), Gated()
    assert lane.submit(slow, FRAME, answers)
    assert slow.began.wait(WAIT)
    assert [lane.submit(Open(), FRAME, answers) for _ in range(2)] == [True, True]
    assert not lane.submit(Open(), FRAME, refused)
    slow.gate.set()
    assert [answers.next()[0] for _ in range(3)] == [FINE] * 3
    with pytest.raises(queue.Empty):
        refused._queue.get_nowait()  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize("error", [InferenceFailed("NaN"), ZeroDivisionError("unforeseen")])
def test_every_exception_is_a_result_and_the_lane_goes_on(lane: InferenceLane, error: Exception) -> None:
    answers = Answers()
    lane.submit(Open(error), FRAME, answers)
    assert answers.next()[0] is error
    lane.submit(Open(), FRAME, answers)
    assert answers.next()[0] is FINE


def test_a_cancelled_inference_never_counts_even_if_it_answers(lane: InferenceLane) -> None:
    answers, slow = Answers(), Gated(opens_on_cancel=True)
    lane.submit(slow, FRAME, answers)
    lane.submit(Open(), FRAME, answers)
    assert slow.began.wait(WAIT)
    lane.cancel()
    assert isinstance(answers.next()[0], InferenceFailed)
    assert answers.next()[0] is FINE, "the next frame is not cancelled with it"


def test_cancelling_an_idle_lane_harms_nothing(lane: InferenceLane) -> None:
    answers = Answers()
    lane.cancel()
    lane.submit(Open(), FRAME, answers)
    assert answers.next()[0] is FINE


def test_a_listener_that_fails_is_reported_and_does_not_end_the_lane(
    lane: InferenceLane, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported: queue.SimpleQueue[Any] = queue.SimpleQueue()
    monkeypatch.setattr(threading, "excepthook", lambda args: reported.put(args.exc_value))  # pyright: ignore
    broken = RuntimeError("Event loop is closed")

    def fail(result: Assessment | Exception, duration_ns: int) -> None:
        raise broken

    answers = Answers()
    lane.submit(Open(), FRAME, fail)
    lane.submit(Open(), FRAME, answers)
    assert answers.next()[0] is FINE
    assert reported.get(timeout=WAIT) is broken


def test_closing_finishes_what_is_queued_and_takes_no_more() -> None:
    lane, answers = InferenceLane(), Answers()
    assert lane.submit(Open(), FRAME, answers)
    assert lane.close(WAIT)
    assert answers.next()[0] is FINE
    assert not lane.submit(Open(), FRAME, answers)


def test_closing_a_stuck_lane_says_so() -> None:
    lane, answers, stuck = InferenceLane(), Answers(), Gated()
    lane.submit(stuck, FRAME, answers)
    assert stuck.began.wait(WAIT)
    assert not lane.close(0.01)
    stuck.gate.set()
    assert answers.next()[0] is FINE
    assert lane.close(WAIT)
