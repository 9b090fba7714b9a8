"""Four-phase profile: results are shown to the PLC one at a time, that of the oldest part first."""

from __future__ import annotations

from dataclasses import replace

from statemachines.cycle.state import FINAL, Stage, TurnCame
from statemachines.events import BlockWritten
from statemachines.handshake import results
from statemachines.station.parts import drive
from statemachines.station.state import PLC, Station, Step
from statemachines.vocabulary import Ns


def block_written(station: Station, event: BlockWritten) -> Step:
    """The block stands on the PLC: show it, unless its verdict came to stand there after the deadline."""
    if event.part.epoch != station.handshake.session_id:
        return station, ()
    cycle = station.cycles.get(event.part)
    if cycle is not None and cycle.stage is Stage.PUBLISHING:
        station, _ = drive(station, event)
        if station.cycles[event.part].stage is Stage.QUEUED:
            station = replace(station, undecided_in_row=cycle.undecided_before)
            return replace(station, handshake=results.taken_back(station.handshake)), ()
    return replace(station, handshake=results.shown(station.handshake, event.at)), ()


def next_result(station: Station, at: Ns) -> Step:
    """Hand over the oldest part's result, once it is decided and the PLC is done with the last."""
    hs = station.handshake
    for cycle in station.cycles.values():
        if cycle.part.source != PLC or cycle.stage in FINAL:
            continue
        if cycle.stage is not Stage.QUEUED or not hs.phases.may_show(cycle.part.seq):
            break
        return drive(replace(station, handshake=results.writing(hs)), TurnCame(cycle.part, at))
    return station, ()
