"""A device's clock against ours: the best comparison counts, and a clock that was set anew is seen."""

from __future__ import annotations

import pytest

from controller.drivers.camera.device_clock import ClockReset, DeviceClock

MS = 1_000_000
S = 1000 * MS


def test_a_time_of_the_device_becomes_ours() -> None:
    clock = DeviceClock()
    clock.latched(10 * S, 3 * S, 10 * S + MS)
    assert clock.ours(3 * S) == 10 * S + MS // 2


def test_a_slow_latch_does_not_spoil_a_good_one_until_drift_has() -> None:
    clock = DeviceClock()
    clock.latched(10 * S, 3 * S, 10 * S + 200)
    good = clock.ours(3 * S)
    clock.latched(11 * S, 4 * S, 11 * S + 8 * MS)
    assert clock.ours(3 * S) == good, "8 ms between the looks says less than a second of drift"
    clock.latched(200 * S, 193 * S, 200 * S + 8 * MS)
    assert clock.ours(193 * S) == 200 * S + 4 * MS


def test_drift_is_followed() -> None:
    clock = DeviceClock()
    for second in range(100):
        device = second * S + second * 50_000
        clock.latched(second * S, device, second * S + 2000)
    assert abs(clock.ours(99 * S + 99 * 50_000) - 99 * S) < 10_000


@pytest.mark.parametrize("device", [0, 4 * S - 50 * MS, 90 * S])
def test_a_clock_that_was_set_anew_is_seen(device: int) -> None:
    clock = DeviceClock()
    clock.latched(10 * S, 3 * S, 10 * S + 1000)
    with pytest.raises(ClockReset, match="jumped"):
        clock.latched(11 * S, device, 11 * S + 1000)
