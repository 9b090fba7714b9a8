"""A line by chance: belt, photo eye, eject sensor, switches and buttons of one PLC."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from controller.sim.conveyor import to_dint
from controller.sim.plc_image import PartId


@dataclass(frozen=True, slots=True)
class Knobs:
    """What is set up once per trace."""

    clock_ms: int
    encoder: int
    trigger_seq: int
    plc_epoch: int
    required_mode: int
    locked: bool
    text_ids: bool
    distance: int = 4000
    window: int = 800
    verify_ms: int = 100
    resting: int = 3


def drawn_knobs(chance: Random, text_ids: bool = False) -> Knobs:
    """A set-up; half of them close to a wrap of clock, encoder or number."""
    return Knobs(
        clock_ms=chance.choice((0, 5, 2**31 - 900, 2**32 - 900, 7 * 2**32 + 2**31 - 50)),
        encoder=chance.choice((0, 12345, 2**31 - 6000, -3000, -(2**31))),
        trigger_seq=chance.choice((0, 41, 2**30 - 3, 2**30)),
        plc_epoch=chance.choice((0, 6, 2**30 - 2, 2**30)),
        required_mode=chance.choice((1, 1, 2, 3)),
        locked=chance.random() < 0.1,
        text_ids=text_ids,
    )


_MOST_ON_BELT = 40
"""The block's shift register holds 64 parts, the simulated PLC's any number."""


class RandomLine:
    """What the PLC's inputs show in the present scan. pressed: buttons and sensors that rose with this scan."""

    def __init__(self, chance: Random, knobs: Knobs) -> None:
        self._chance, self._text_ids = chance, knobs.text_ids
        self.now_ms, self.position = knobs.clock_ms, knobs.encoder
        self.eye = self.sensor = self.reset = self.wish = self.acknowledge = False
        self.enable, self.ceiling, self.product = True, 3, 7
        self.numbers = 0
        """Parts that came into view so far."""
        self.part_id: PartId = self.name(0)
        self.pressed: frozenset[str] = frozenset()
        self._before: frozenset[str] = frozenset()

    def step(self, line_stopped: bool, on_belt: int, leaving: int, starting: bool) -> None:
        """Move on by one scan. starting: it is the PLC's first one, in which a button that is held is not pressed."""
        chance = self._chance
        self.now_ms += chance.choice((1, 5, 10, 10, 20, 50)) if chance.random() < 0.99 else chance.choice((600, 4000))
        if not line_stopped or chance.random() < 0.2:
            leap = chance.random() < 0.005
            self.position = to_dint(self.position + (5000 if leap else chance.choice((-60, 0, 100, 200, 300, 700))))
        self.eye = on_belt < _MOST_ON_BELT and not self.eye and chance.random() < 0.5
        self.sensor = chance.random() < (0.6 if leaving else 0.02)
        self.enable = self.enable != (chance.random() < (0.004 if self.enable else 0.2))
        if chance.random() < 0.01:
            self.ceiling = chance.choice((0, 1, 2, 3, 3, 3))
        self.reset = chance.random() < (0.7 if self.reset else 0.02)
        if not self.wish and chance.random() < 0.02:
            self.product, self.wish = chance.randrange(1, 9), True
        else:
            self.wish = self.wish and chance.random() < 0.7
        self.acknowledge = chance.random() < (0.3 if line_stopped else 0.01)
        self._rise(starting)

    def _rise(self, starting: bool) -> None:
        held = frozenset(n for n in ("eye", "sensor", "reset", "wish", "acknowledge") if getattr(self, n))
        sensors = frozenset({"eye", "sensor"})
        self.pressed = held & sensors if starting else held - self._before
        self._before = held
        if "eye" in self.pressed:
            self.numbers += 1
            self.part_id = self.name(self.numbers)

    def name(self, number: int) -> PartId:
        """The PLC's name for a part: numbers small, large and negative, or texts."""
        if self._text_ids:
            return f"A-{number}" * (1 + number % 3)
        return number * (-77_777_777 if number % 5 == 0 else 1) % 2**31 if number % 7 else -number
