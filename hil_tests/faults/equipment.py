"""Faults of camera and model."""

from __future__ import annotations

from controller.sim.belt import ExposureFault
from controller.sim.plc_commands import RequestRecipe
from hil_tests.faults.bench import NEVER_EXPOSED, Bench, RigTooSlow
from hil_tests.faults.plc import use_recipe
from hil_tests.rig import RECIPE_IDS
from statemachines.vocabulary import Reason


def camera_silent(bench: Bench) -> None:
    """No frame comes."""
    _exposure(bench, ExposureFault.SILENT)


def camera_late(bench: Bench) -> None:
    """The frame comes after the deadline."""
    _exposure(bench, ExposureFault.SLOW, 200)


def camera_duplicate(bench: Bench) -> None:
    """The frame of the part before comes again."""
    _exposure(bench, ExposureFault.SAME_FRAME)


def camera_black(bench: Bench) -> None:
    """No light."""
    _exposure(bench, ExposureFault.BLACK)


def camera_wrong_size(bench: Bench) -> None:
    """The camera lost its settings: a frame of half the size, on which every defect looks half as long."""
    _exposure(bench, ExposureFault.HALF_SIZE)


def nothing_in_view(bench: Bench) -> None:
    """A trigger without a part."""
    bench.rig.belt.remove()
    try:
        bench.inspect()
    finally:
        bench.rig.show_good_part()


def model_slow(bench: Bench) -> None:
    """The model takes longer than the part has."""
    _model(bench, "slow")


def model_nan(bench: Bench) -> None:
    """The model's answer is not a number."""
    _model(bench, "nan")


def model_missing(bench: Bench) -> None:
    """The recipe names a package that is not there: refused, the one before stays in force."""
    rig = bench.rig
    rig.request_recipe(RECIPE_IDS["missing"])
    bench.inspect()
    rig.plc.command(RequestRecipe(RECIPE_IDS["washer"]))
    bench.end()


def model_hung(bench: Bench) -> None:
    """The model never comes back: failsafe, and a new process, since nothing inside can cure it."""
    rig = bench.rig
    rig.request_recipe(RECIPE_IDS["hung"])
    old = rig.the_station().wait_pid()
    bench.begin()
    caught = rig.seen(bench.part())
    if caught.answers and caught.reason in NEVER_EXPOSED:
        raise RigTooSlow(f"the part never met the model that hangs: {Reason(caught.reason).name}")
    bench.wait_hindered()
    rig.the_station().wait_pid(other_than=old)
    bench.latch = rig.latch()
    # An operator takes the product away that did this, before he asks to go on.
    rig.plc.command(RequestRecipe(RECIPE_IDS["washer"]))
    rig.wait_live(lambda live: live.session_id != 0 and live.hindrance == "not ready", 60)
    rig.reset_failsafe()
    bench.end()
    bench.fresh_station = True


def _exposure(bench: Bench, fault: ExposureFault, delay_ms: int = 0) -> None:
    bench.rig.belt.set_fault(fault, 1, delay_ms)
    try:
        bench.inspect()
    finally:
        bench.rig.belt.set_fault(ExposureFault.NONE)


def _model(bench: Bench, name: str) -> None:
    rig = bench.rig
    rig.request_recipe(RECIPE_IDS[name])
    bench.inspect()
    use_recipe(bench, "washer")
    bench.end()
