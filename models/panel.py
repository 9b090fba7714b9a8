"""Several models that judge the same frame: the worst of what they say counts."""

from __future__ import annotations

from collections.abc import Sequence

from models.errors import InferenceFailed
from models.frame import Frame
from models.lane import Judge
from statemachines.decision import combine
from statemachines.vocabulary import Assessment


class Panel:
    """Judges of one view, asked in turn. One that fails fails the view: no model's silence is a good part."""

    def __init__(self, judges: Sequence[Judge]) -> None:
        self._judges = tuple(judges)
        self._cancelled = False

    def cancel(self) -> None:
        """Ask whoever judges now to give up; from any thread."""
        self._cancelled = True
        for judge in self._judges:
            judge.cancel()

    def inspect(self, frame: Frame) -> Assessment:
        """Judge a frame. Raises InferenceFailed or ImageUnfit."""
        self._cancelled = False
        assessments: list[Assessment] = []
        for judge in self._judges:
            assessments.append(judge.inspect(frame))
            if self._cancelled:
                raise InferenceFailed("the inference was cancelled at its hard limit")
        judgement = combine(assessments)
        if judgement is None:
            raise InferenceFailed("a model gave a result that is none")
        return Assessment(judgement.verdict, judgement.findings, judgement.score, judgement.why)
