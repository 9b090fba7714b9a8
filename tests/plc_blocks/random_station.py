"""A station that does everything wrong now and then, by chance.

Silence, restarts, Ready and Online lost, torn slots that are mended later, answers for other parts, runs and sessions,
modes too low, actions that nobody knows, answers long after the gate.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from controller.sim.plc_image import PartId, ResultBlock, StationImage, next_seq, result_check, ring_slot

DEPTH = 8
_TORN = 0x555555
_REMEMBERED = 60
"""How many parts back an answer may speak of: the block remembers 64 parts, the simulated PLC 256."""

_FAULTS = ("torn", "part", "epoch", "session", "mode", "seq", "action")


@dataclass(slots=True)
class Told:
    """A part that was announced: what its answer has to echo."""

    seq: int
    part_id: PartId
    epoch: int
    session: int
    number: int
    """How many parts had come into view by then."""
    other_id: PartId
    """The id of another part."""


class RandomStation:
    """The tags that it writes are in `image`; the parts that it was told of in `told`."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._silent_scans = 0
        self.image = StationImage(results=(ResultBlock(),) * DEPTH, depth=DEPTH)
        self.told: deque[Told] = deque(maxlen=_REMEMBERED)
        self.history: deque[str] = deque(maxlen=30)
        """What happened last, for the message of a disagreement."""
        self.seen: Counter[str] = Counter()
        """How often each thing happened, so that a test can tell that it happened at all."""

    def step(self, tags: Any, numbers: int) -> None:
        """What the station does to its tags before a scan. numbers: parts that came into view by now."""
        chance, image = self._chance, self.image
        if self._silent_scans:
            self._silent_scans -= 1
        else:
            image = replace(image, heartbeat=next_seq(image.heartbeat))
            if chance.random() < 0.01:
                self._silent_scans = chance.choice((3, 30, 60))
                self.note("heartbeat stops")
        if chance.random() < (0.01 if image.session_id else 0.5) or (
            image.session_id != tags.SessionAck and chance.random() < 0.05
        ):
            self.note("new session")
            image = replace(image, session_id=chance.randrange(1, 2**30) if chance.random() < 0.95 else 0)
        image = replace(image, ready=chance.random() < (0.99 if image.ready else 0.3))
        image = replace(image, online=chance.random() < (0.995 if image.online else 0.3))
        if chance.random() < 0.03:
            image = replace(image, fallback=chance.choice((0, 1, 2, 3, 3, 4, 9, -1)))
        if chance.random() < 0.02 or image.depth not in (0, DEPTH):
            image = replace(image, depth=chance.choice((0, DEPTH, DEPTH, 16)))
        image = replace(image, line_stop_request=chance.random() < (0.7 if image.line_stop_request else 0.004))
        if chance.random() < 0.2:
            image = replace(image, recipe_ack_seq=tags.RecipeRequestSeq, recipe_status=chance.choice((0, 1, 1, 2)))
        self.image = image
        self._answers(numbers)

    def _answers(self, numbers: int) -> None:
        """Answer some of the last parts, most often a recent one, and mend torn slots."""
        chance = self._chance
        while self.told and numbers - self.told[0].number >= _REMEMBERED:
            self.told.popleft()
        for _ in range(chance.choice((0, 1, 1, 2)) if self.told else 0):
            recent = chance.randrange(14) if chance.random() < 0.8 else chance.randrange(_REMEMBERED)
            self._answer(self.told[-1 - recent % len(self.told)])
        for place, block in enumerate(self.image.results):
            if block.result_seq and not block.intact and chance.random() < 0.3:
                self._put(place, replace(block, check=result_check(block)))

    def clear_rings(self) -> None:
        """The PLC has emptied the result ring."""
        cleared = tuple(replace(block, result_seq=0, check=0) for block in self.image.results)
        self.image = replace(self.image, results=cleared)

    def _answer(self, told: Told) -> None:
        chance = self._chance
        block = ResultBlock(
            result_seq=told.seq,
            part_id_echo=told.part_id,
            epoch_echo=told.epoch,
            session_id=told.session,
            action=chance.choice((1, 1, 1, 2, 3, 3, 4, 0)) if chance.random() < 0.97 else 9,
            verdict=chance.choice((1, 2, 3, 4)),
            reason=chance.randrange(10),
            defect_code=chance.randrange(30_000),
            severity=chance.randrange(4),
            finding_count=chance.randrange(100),
            score=chance.random(),
            latency_us=chance.randrange(2**31),
            mode=chance.choice((3, 3, 3, 3, 2, 1)),
        )
        fault = chance.choice(_FAULTS) if chance.random() < 0.25 else ""
        match fault:
            case "part":
                block = replace(block, part_id_echo=told.other_id)
            case "epoch":
                block = replace(block, epoch_echo=told.epoch - 1)
            case "session":
                block = replace(block, session_id=told.session + 1)
            case "mode":
                block = replace(block, mode=chance.choice((0, 1)))
            case "seq":
                block = replace(block, result_seq=chance.choice((next_seq(told.seq), -told.seq, 2**30 + 7)))
            case "action":
                block = replace(block, action=chance.choice((-1, 5, 2**30)))
            case _:
                pass
        block = replace(block, check=result_check(block) ^ (_TORN if fault == "torn" else 0))
        self.seen[f"answer {fault or 'good'}"] += 1
        self.history.append(f"answer {told.seq} {fault} action {block.action} mode {block.mode}")
        self._put(ring_slot(told.seq, DEPTH), block)

    def _put(self, place: int, block: ResultBlock) -> None:
        results = list(self.image.results)
        results[place] = block
        self.image = replace(self.image, results=tuple(results))

    def note(self, what: str) -> None:
        """Remember that something happened."""
        self.seen[what] += 1
        self.history.append(what)
