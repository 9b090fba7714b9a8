"""The part cycle's table: `(Stage, type of event) -> (stages it may lead to, effect)`.

An event without a row raises IllegalEvent and changes nothing.
"""

from __future__ import annotations

from statemachines.cycle.answer import (
    abandon,
    block_stands,
    confirm,
    distrust,
    distrust_in_queue,
    expire_in_queue,
    take_turn,
)
from statemachines.cycle.state import Abandoned, Context, Cycle, CycleEvent, Distrusted, Effect, Stage, Step, TurnCame
from statemachines.cycle.views import give_up_time, give_up_view, note_late, take_assessment, take_frame
from statemachines.errors import IllegalEvent
from statemachines.events import BlockWritten, DeadlinePassed, Failed, FrameCaptured, Inferred, Published


def step(cycle: Cycle, event: CycleEvent, context: Context = Context()) -> Step:
    """Perform the row for this event. Raises IllegalEvent where there is none."""
    row = TABLE.get((cycle.stage, type(event)))
    if row is None:
        raise IllegalEvent(f"part {cycle.part}: {type(event).__name__} while {cycle.stage.value}")
    targets, effect = row
    after, commands = effect(cycle, event, context)
    if after.stage not in targets:
        raise IllegalEvent(f"part {cycle.part}: {type(event).__name__} led from {cycle.stage} to {after.stage}")
    return after, commands


def _ignore(cycle: Cycle, _event: CycleEvent, _context: Context) -> Step:
    return cycle, ()


_S = Stage
_OUT = (_S.QUEUED, _S.PUBLISHING, _S.ABANDONED)

TABLE: dict[tuple[Stage, type[CycleEvent]], tuple[tuple[Stage, ...], Effect]] = {
    (_S.CAPTURING, FrameCaptured): ((_S.CAPTURING, _S.INFERRING, *_OUT), take_frame),
    (_S.CAPTURING, Inferred): ((_S.CAPTURING, *_OUT), take_assessment),
    (_S.CAPTURING, Failed): ((_S.CAPTURING, _S.INFERRING, *_OUT), give_up_view),
    (_S.CAPTURING, DeadlinePassed): (_OUT, give_up_time),
    (_S.CAPTURING, Distrusted): (_OUT, distrust),
    (_S.CAPTURING, Abandoned): ((_S.ABANDONED,), abandon),
    (_S.INFERRING, Inferred): ((_S.INFERRING, *_OUT), take_assessment),
    (_S.INFERRING, Failed): ((_S.INFERRING, *_OUT), give_up_view),
    (_S.INFERRING, DeadlinePassed): (_OUT, give_up_time),
    (_S.INFERRING, Distrusted): (_OUT, distrust),
    (_S.INFERRING, Abandoned): ((_S.ABANDONED,), abandon),
    (_S.QUEUED, TurnCame): ((_S.PUBLISHING,), take_turn),
    (_S.QUEUED, DeadlinePassed): ((_S.QUEUED,), expire_in_queue),
    (_S.QUEUED, Distrusted): ((_S.QUEUED,), distrust_in_queue),
    (_S.QUEUED, Abandoned): ((_S.ABANDONED,), abandon),
    (_S.QUEUED, FrameCaptured): ((_S.QUEUED,), note_late),
    (_S.QUEUED, Inferred): ((_S.QUEUED,), note_late),
    (_S.QUEUED, Failed): ((_S.QUEUED,), note_late),
    (_S.PUBLISHING, BlockWritten): ((_S.PUBLISHING, _S.QUEUED), block_stands),
    (_S.PUBLISHING, Published): ((_S.ANSWERED,), confirm),
    (_S.PUBLISHING, Abandoned): ((_S.ABANDONED,), abandon),
    (_S.PUBLISHING, FrameCaptured): ((_S.PUBLISHING,), note_late),
    (_S.PUBLISHING, Inferred): ((_S.PUBLISHING,), note_late),
    (_S.PUBLISHING, Failed): ((_S.PUBLISHING,), note_late),
    (_S.PUBLISHING, DeadlinePassed): ((_S.PUBLISHING,), _ignore),
    (_S.ANSWERED, FrameCaptured): ((_S.ANSWERED,), note_late),
    (_S.ANSWERED, Inferred): ((_S.ANSWERED,), note_late),
    (_S.ANSWERED, Failed): ((_S.ANSWERED,), note_late),
    (_S.ANSWERED, DeadlinePassed): ((_S.ANSWERED,), _ignore),
    (_S.ABANDONED, FrameCaptured): ((_S.ABANDONED,), note_late),
    (_S.ABANDONED, Inferred): ((_S.ABANDONED,), note_late),
    (_S.ABANDONED, Failed): ((_S.ABANDONED,), note_late),
    (_S.ABANDONED, DeadlinePassed): ((_S.ABANDONED,), _ignore),
    (_S.ABANDONED, Published): ((_S.ABANDONED,), note_late),
}
"""Every legal (stage, event), where it may lead, and what it does."""
