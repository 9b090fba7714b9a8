"""Faults of the cable between station and PLC."""

from __future__ import annotations

from hil_tests.faults.bench import Bench, dwell
from hil_tests.shaper import Shape, Step


def cable_out(bench: Bench) -> None:
    """The cable is out for longer than either side waits."""
    _outage(bench, Shape(frozen=True), 1.0)


def cable_blip(bench: Bench) -> None:
    """The cable is out for a moment: no session may be lost over it, and no part's frame mixed up."""
    rig = bench.rig
    done = rig.the_shaper().play([Step(Shape(frozen=True), 0.12)])
    bench.part()
    done.result(5)
    rig.seen(bench.brought[-1])


def connection_half_open(bench: Bench) -> None:
    """What is sent is lost and no side learns it: a switch that died between them."""
    _outage(bench, Shape(half_open=True), 1.0)


def connection_reset(bench: Bench) -> None:
    """Every connection is cut at once."""
    old = bench.session
    bench.begin()
    bench.rig.the_shaper().reset()
    bench.end()
    bench.wait_new_session(old)


def connection_reset_mid_cycle(bench: Bench) -> None:
    """The connection is cut while a part is on its way: its answer is never sent into another session."""
    from controller.sim.belt import ExposureFault

    old = bench.session
    bench.rig.belt.set_fault(ExposureFault.SLOW, 1, 60)
    bench.part()
    dwell(0.03)
    bench.begin()
    bench.rig.the_shaper().reset()
    bench.end()
    bench.wait_new_session(old)


def network_slow(bench: Bench) -> None:
    """Every piece takes 10 ms more each way."""
    _shaped_parts(bench, Shape(delay_ms=10))


def network_jitter(bench: Bench) -> None:
    """Every piece takes up to 8 ms more, by chance."""
    _shaped_parts(bench, Shape(jitter_ms=8))


def network_reordered(bench: Bench) -> None:
    """Replies overtake requests of the other direction by up to 60 ms."""
    _shaped_parts(bench, Shape(delay_ms=1, jitter_ms=60))


def network_narrow(bench: Bench) -> None:
    """A line of 200 kB/s."""
    _shaped_parts(bench, Shape(bytes_per_s=200_000))


def trigger_seen_late(bench: Bench) -> None:
    """A trigger is read only after the part may have left view (rule 12)."""
    rig = bench.rig
    rig.the_shaper().shape(Shape(frozen=True))
    bench.part()
    dwell(0.06)
    rig.the_shaper().clear()
    rig.seen(bench.brought[-1])


def _shaped_parts(bench: Bench, shape: Shape, count: int = 4) -> None:
    bench.rig.the_shaper().shape(shape)
    try:
        for _ in range(count):
            bench.inspect()
    finally:
        bench.rig.the_shaper().clear()
    bench.end()


def _outage(bench: Bench, shape: Shape, for_s: float) -> None:
    old = bench.session
    bench.begin()
    bench.rig.the_shaper().shape(shape)
    bench.wait_hindered()
    bench.part()
    dwell(for_s - 0.5)
    bench.rig.the_shaper().clear()
    bench.end()
    bench.wait_new_session(old)
