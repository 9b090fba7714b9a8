"""The supervisor with real child processes."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from controller.supervisor import (
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    SETTLED_S,
    UNDELIVERED,
    SupervisedChild,
    next_pause,
)
from statemachines.vocabulary import Health

ROOT = Path(__file__).parents[3]
TIMEOUT_S = 20.0
both_ways = pytest.mark.parametrize("direct", [False, True])
posix = pytest.mark.skipif(os.name != "posix", reason="signals that stop or kill another process are POSIX")


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A spawned child imports its entry point by name."""
    monkeypatch.syspath_prepend(str(ROOT))  # pyright: ignore[reportUnknownMemberType]


class Watched:
    """A supervised child and all that was heard of it."""

    def __init__(self, entry: str, settings: str = "hello", **options: Any) -> None:
        from tests.unit.controller import children

        function: Callable[[str, Connection], None] = getattr(children, entry)
        self.said_kind = children.Said
        self.heard: list[str] = []
        self.health: list[tuple[str, Health, str]] = []
        self.news = asyncio.Event()
        self.child = SupervisedChild(
            "echo", function, settings, self._message, self._told, protocol=children.PROTOCOL, **options
        )

    def say(self, text: str) -> bool:
        return self.child.offer(self.said_kind(text))

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            while not condition():
                self.news.clear()
                await self.news.wait()

    @property
    def states(self) -> list[Health]:
        return [health for _, health, _ in self.health]

    def _message(self, message: Any) -> None:
        self.heard.append(message.text)
        self.news.set()

    def _told(self, source: str, health: Health, why: str) -> None:
        self.health.append((source, health, why))
        self.news.set()


@asynccontextmanager
async def running(watched: Watched) -> AsyncGenerator[Watched]:
    task = asyncio.create_task(watched.child.run())
    try:
        yield watched
    finally:
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()


def gone(pid: int) -> bool:
    """No such process; one that waits for its parent to notice counts as gone, too."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    state = Path(f"/proc/{pid}/stat")
    return state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z"


@both_ways
async def test_a_child_gets_its_settings_talks_and_ends_with_the_run(direct: bool) -> None:
    async with running(Watched("echo", direct=direct)) as watched:
        await watched.until(lambda: watched.heard == ["hello"])
        pid = watched.child.pid
        assert pid is not None
        assert pid != os.getpid()
        assert watched.say("are you")
        await watched.until(lambda: watched.heard == ["hello", f"are you {pid}"])
        assert watched.health == [("echo", Health.NORMAL, "")]
    assert watched.child.pid is None
    assert watched.child.restarts == 0
    assert not watched.say("anybody there")
    assert watched.child.dropped == 1
    if os.name == "posix":
        assert gone(pid)


@both_ways
@posix
async def test_a_killed_child_is_replaced(direct: bool) -> None:
    async with running(Watched("echo", direct=direct)) as watched:
        await watched.until(lambda: len(watched.heard) == 1)
        first = watched.child.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await watched.until(lambda: watched.states == [Health.NORMAL, Health.MAINTENANCE, Health.NORMAL])
        assert watched.child.pid not in (None, first)
        assert watched.child.restarts == 1
        assert "exit code -9" in watched.health[1][2]
        assert watched.say("again")
        await watched.until(lambda: watched.heard[-1] == f"again {watched.child.pid}")


async def test_a_child_that_never_works_is_never_called_healthy() -> None:
    async with running(Watched("exits")) as watched:
        await watched.until(lambda: len(watched.health) == 2)
        assert watched.states == [Health.MAINTENANCE] * 2
        assert "exit code 3" in watched.health[0][2]
        assert watched.child.restarts >= 1


@both_ways
async def test_a_childs_last_words_are_the_reason(direct: bool) -> None:
    async with running(Watched("explains", "the port is taken", direct=direct)) as watched:
        await watched.until(lambda: bool(watched.health))
        assert watched.health[0] == ("echo", Health.MAINTENANCE, "the port is taken (exit code 0)")


@both_ways
async def test_a_silent_child_counts_as_hung(direct: bool) -> None:
    async with running(Watched("mute", silence_s=0.1, direct=direct)) as watched:
        await watched.until(lambda: bool(watched.health))
        assert watched.states[0] is Health.MAINTENANCE
        assert "silent for" in watched.health[0][2]


@posix
async def test_a_child_that_does_not_end_is_killed() -> None:
    async with running(Watched("stubborn")) as watched:
        await watched.until(lambda: len(watched.heard) == 1)
        pid = watched.child.pid
        assert pid is not None
    assert gone(pid)


@posix
async def test_a_stopped_child_is_killed() -> None:
    async with running(Watched("echo")) as watched:
        await watched.until(lambda: len(watched.heard) == 1)
        pid = watched.child.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
    assert gone(pid)


@both_ways
async def test_a_child_that_says_too_much_waits_for_the_loop(direct: bool) -> None:
    async with running(Watched("floods", direct=direct)) as watched:
        await watched.until(lambda: len(watched.heard) >= 1)
        before = len(watched.heard)
        # The loop stands still, and the child does not: only so much may have piled up.
        time.sleep(0.3)
        await asyncio.sleep(0)
        assert len(watched.heard) - before <= UNDELIVERED
        await watched.until(lambda: len(watched.heard) == 2000)
        assert watched.heard == [str(number) for number in range(2000)]


async def test_a_child_is_not_hung_because_the_loop_was_held_up() -> None:
    async with running(Watched("echo", silence_s=1.0, starting_s=TIMEOUT_S, direct=True)) as watched:
        await watched.until(lambda: len(watched.heard) == 1)
        assert watched.say("are you there")
        # It answers meanwhile, and the loop cannot hear it.
        time.sleep(2.2)
        await watched.until(lambda: len(watched.heard) == 2)
        assert watched.states == [Health.NORMAL]


@posix
async def test_a_child_does_not_outlive_a_killed_parent() -> None:
    script = (
        "import asyncio, sys\n"
        "from controller.supervisor import SupervisedChild\n"
        "from tests.unit.controller.children import PROTOCOL, echo\n"
        "if __name__ == '__main__':\n"
        "    tell = lambda message: print(child.pid, flush=True)\n"
        "    child = SupervisedChild('echo', echo, 'hello', tell, lambda *_: None, protocol=PROTOCOL)\n"
        "    asyncio.run(child.run())\n"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, cwd=ROOT, stdout=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONPATH": "."}
    )
    assert parent.stdout is not None
    async with asyncio.timeout(TIMEOUT_S):
        pid = int(await parent.stdout.readline())
        assert not gone(pid)
        parent.kill()
        await parent.wait()
        while not gone(pid):
            await asyncio.sleep(0.02)


def test_pauses_double_up_to_a_limit_and_start_anew_after_a_settled_life() -> None:
    pauses = [next_pause(0.0, 0.0)]
    while pauses[-1] < LONGEST_PAUSE_S:
        pauses.append(next_pause(pauses[-1], SETTLED_S - 1))
    assert pauses == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0])
    assert next_pause(LONGEST_PAUSE_S, 0.0) == LONGEST_PAUSE_S
    assert next_pause(LONGEST_PAUSE_S, SETTLED_S) == FIRST_PAUSE_S
