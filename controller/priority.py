"""Who goes first on the processor: the deciding loop and the inference lane before everything else on the PC."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from loguru import logger

_NICE = -10
_REALTIME = 5
_WATCH = 98
_DEVICE = 10
"""Above the deciding loop and the lane: another device's processor never waits for ours."""
_WINDOWS_HIGH = 0x80
_AUTOGROUP = Path("/proc/sys/kernel/sched_autogroup_enabled")


def raise_process(wish: str) -> None:
    """Put this process first, as far as the system lets us: "normal", "high" or "realtime". Says so where it does not.

    Before any thread is started: on Linux they inherit it.
    """
    if wish == "normal":
        return
    try:
        if sys.platform == "win32":
            import ctypes

            ctypes.windll.kernel32.SetPriorityClass(ctypes.windll.kernel32.GetCurrentProcess(), _WINDOWS_HIGH)
        else:
            os.nice(_NICE)
            _warn_of_sessions()
    except OSError as error:
        logger.warning("no higher priority for this process", why=str(error))


def _warn_of_sessions(autogroup: Path = _AUTOGROUP) -> None:
    """Where Linux shares the processor out by session first, a priority counts inside one session only."""
    try:
        shared = autogroup.read_text(encoding="ascii").strip() == "1"
    except OSError:
        return
    if shared:
        why = f"{autogroup} is 1: a program of another session takes its half of the processor whatever its priority"
        logger.warning("priorities end at the session", why=why, cure="sysctl kernel.sched_autogroup_enabled=0")


def raise_device(task: int) -> None:
    """Put a process or thread that plays another device first: on a real line it has its own processor.

    Threads that it starts afterwards are ordinary ones. Where the system does not let us, figures are as honest as the
    computer is idle.
    """
    if sys.platform == "linux":
        with suppress(OSError):
            os.sched_setscheduler(task, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(_DEVICE))


def raise_thread(wish: str) -> None:
    """Make the calling thread a real-time one (Linux, "realtime"); threads that it starts are ordinary ones again.

    Bounded by the kernel itself: real-time threads get at most 95 % of a core (sched_rt_runtime_us).
    """
    if wish != "realtime" or sys.platform != "linux":
        return
    try:
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(_REALTIME))
    except OSError as error:
        logger.warning("no real-time priority for this thread", why=str(error))


def watch_processor(processor: int) -> bool:
    """Bind this process to one processor and put it above everything else there (Linux); False: we may not."""
    if sys.platform != "linux":
        return False
    try:
        os.sched_setaffinity(0, {processor})
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(_WATCH))
    except OSError:
        return False
    return True
