"""What the PLC sees of a station: its single tags, derived from the value and never written by an effect."""

from __future__ import annotations

from statemachines.cycle.state import UNDECIDED
from statemachines.decision import rule
from statemachines.handshake import four_phase, sequence_profile
from statemachines.handshake.phases import ResultPhase, TriggerPhase
from statemachines.handshake.state import Link
from statemachines.station.state import NO_RECIPE, Station
from statemachines.vocabulary import Verdict


def outputs(station: Station) -> dict[str, bool | int]:
    """The station's single tags for the PLC, but for Heartbeat, which the deciding loop itself moves."""
    hs, recipe = station.handshake, station.recipe
    policy = (recipe or NO_RECIPE).policy
    on_no_answer = rule(station.mode, Verdict.NO_DECISION, policy, station.undecided_in_row).action
    return {
        **(_four_phase_outputs(station) if station.rules.contract.four_phase else _sequence_outputs(station)),
        "Online": hs.link in (Link.OPENING, Link.IN_SESSION),
        "Ready": station.ready,
        "Fallback": int(on_no_answer),
        "SessionId": hs.session_id,
        "ContractVersion": station.rules.contract.version,
        "CaptureDoneSeq": station.capture_done,
        "LineStopRequest": station.line_stop,
        "AlertRequest": station.alert,
        "InFlight": station.in_flight,
        "Mode": int(station.mode),
        "Health": int(station.health[0]),
        "Failsafe": station.latch.latched,
        "FaultCode": int(station.latch.code),
        "RecipeActive": recipe.id if recipe else 0,
        "RecipeHash": recipe.hash_word if recipe else 0,
        "RecipeAckSeq": station.recipe_ack,
        "RecipeStatus": station.recipe_status,
        "MissedTriggers": station.counters.missed & 0x3FFFFFFF,
        "LateResults": station.counters.late & 0x3FFFFFFF,
        "Overruns": station.counters.overruns & 0x3FFFFFFF,
    }


def _sequence_outputs(station: Station) -> dict[str, bool | int]:
    return {"Depth": station.rules.contract.depth, "TriggerAckSeq": station.trigger_ack}


def _four_phase_outputs(station: Station) -> dict[str, bool | int]:
    phases = station.handshake.phases
    busy = any(cycle.stage in UNDECIDED for cycle in station.cycles.values())
    return {
        "TriggerIdAck": phases.durable,
        "TriggerAck": phases.trigger is TriggerPhase.ACKNOWLEDGED,
        "Busy": busy,
        "ResultValid": phases.result is ResultPhase.SHOWN,
        "ResultToggle": phases.toggle,
        "MissedTrigger": phases.missed,
    }


def wanted(station: Station) -> tuple[int, ...]:
    """Sequence numbers whose trigger slots the next read should bring along."""
    if station.rules.contract.four_phase:
        return four_phase.wanted(station.handshake)
    return sequence_profile.wanted(station.handshake, station.rules.contract)
