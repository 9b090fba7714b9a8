"""The station's handle on its status process: snapshots go down, people's wishes come up. Knows nothing of OPC UA."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from controller.status.messages import (
    PROTOCOL,
    Alive,
    ChangeRecipe,
    CommandResult,
    HoldStation,
    Noted,
    PartAcquired,
    PartBegan,
    PartEnded,
    ResetFailsafe,
    Serving,
    SetMode,
    Simulate,
    StartJob,
    StartSeries,
    StationSnapshot,
    StatusCommand,
    StopJobs,
)
from controller.status.process import StatusSettings, run_status
from controller.supervisor import SupervisedChild
from statemachines.vocabulary import Health

PACE_S = 0.002
"""How long a message to the status process may wait: a part's end is to reach clients within 20 ms."""
SILENCE_S = 20.0
"""A status process that says nothing for so long is killed and started anew."""
STARTING_S = 120.0
"""The same until its first word: its very first start imports the companion models, at a low priority beside a station
that compiles its own."""


MOST_EARLY = 64
"""Entries for the journal that are kept until there is a station to take them; the oldest are lost."""


@dataclass(frozen=True, slots=True)
class _Listeners:
    """The station, as far as it listens. Called on the event loop."""

    on_command: Callable[[StatusCommand], None]
    on_health: Callable[[str, Health, str], None]
    on_note: Callable[[Noted], None]


class StatusFeed:
    """Feeds the status process, whatever state that is in. All methods are for the event loop's thread.

    The process may run before the station listens: then wishes are refused, and what else it says is kept for later.
    """

    def __init__(self, settings: StatusSettings, *, silence_s: float = SILENCE_S) -> None:
        self._listeners: _Listeners | None = None
        self._health: tuple[str, Health, str] | None = None
        self._notes: deque[Noted] = deque(maxlen=MOST_EARLY)
        self._child = SupervisedChild(
            "status",
            run_status,
            settings,
            self._heard,
            self._changed,
            protocol=PROTOCOL,
            silence_s=silence_s,
            starting_s=max(silence_s, STARTING_S),
            pace_s=PACE_S,
        )

    def connect(
        self,
        on_command: Callable[[StatusCommand], None],
        on_health: Callable[[str, Health, str], None],
        on_note: Callable[[Noted], None] | None = None,
    ) -> None:
        """From now on the station listens, all on the event loop.

        on_command: each command is to be answered within 2 s with `answer`.   on_health: "status", its health and why.
        on_note: what belongs into the journal's audit trail.
        """
        self._listeners = _Listeners(on_command, on_health, on_note or (lambda _: None))
        if self._health is not None:
            on_health(*self._health)
        while self._notes:
            self._listeners.on_note(self._notes.popleft())

    @property
    def child(self) -> SupervisedChild[StatusSettings]:
        """The process, with its counts."""
        return self._child

    def offer(self, snapshot: StationSnapshot) -> bool:
        """Hand on the latest snapshot; one that still waits is replaced. False when it was dropped."""
        return self._child.offer(snapshot, key="snapshot")

    def tell(self, news: PartBegan | PartAcquired | PartEnded) -> bool:
        """Hand on what happened to a part. Never coalesced: False when the queue was full and it was dropped."""
        return self._child.offer(news)

    def answer(self, command_id: int, ok: bool, why: str, key: str = "") -> bool:
        """Say what became of a command. False when the answer was dropped; the person is told of a time-out then."""
        return self._child.offer(CommandResult(command_id, ok, why, key))

    async def run(self) -> None:
        """Keep the status process alive until cancelled."""
        await self._child.run()

    def _heard(self, message: Any) -> None:
        match message:
            case (
                SetMode()
                | ResetFailsafe()
                | ChangeRecipe()
                | StartJob()
                | StartSeries()
                | StopJobs()
                | HoldStation()
                | Simulate()
            ):
                if self._listeners is None:
                    self.answer(message.id, False, "the station is still starting")
                else:
                    self._listeners.on_command(message)
            case Noted():
                if self._listeners is None:
                    self._notes.append(message)
                else:
                    self._listeners.on_note(message)
            case Serving() | Alive():
                # Their arrival is what they say; the supervisor took note.
                pass
            case _:
                raise TypeError(f"{type(message).__name__} is no message to a station")

    def _changed(self, name: str, health: Health, why: str) -> None:
        self._health = name, health, why
        if self._listeners is not None:
            self._listeners.on_health(name, health, why)
