"""A station's first second: its status process starts before the station's own modules are loaded.

They take longer to load than the status process takes to serve, on another core and before a model is compiled.
"""

from __future__ import annotations

import asyncio
import gc
import sys

from loguru import logger

from controller.config import StationConfig
from controller.errors import ControllerError
from controller.exit_codes import CONFIG_ERROR
from controller.logs import set_up_logs
from controller.priority import raise_process
from controller.quick_dataclasses import quick_dataclasses
from controller.status.feed import StatusFeed
from controller.status.process import StatusLimits, StatusSettings
from models.errors import ModelError

SWITCH_INTERVAL_S = 0.0005
"""How long another thread may hold the interpreter while the deciding loop waits for it; Python's own is 5 ms."""


def run_station(config: StationConfig) -> int:
    """Run a station in this process until it is asked to end. Returns the exit code: 0, CONFIG_ERROR or RESTART."""
    set_up_logs(config.logs.level, config.station.data_dir / "logs", config.logs.retention_days)
    raise_process(config.station.process_priority)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    # Nothing of what a start loads is garbage; to look through it again and again is a tenth of the start.
    gc.disable()
    try:
        with asyncio.Runner() as runner:
            if sys.version_info >= (3, 12):
                runner.get_loop().set_task_factory(asyncio.eager_task_factory)
            return runner.run(_run(config))
    except (ControllerError, ModelError) as error:
        logger.critical("the station cannot start", why=str(error))
        return CONFIG_ERROR
    finally:
        gc.enable()


async def _run(config: StationConfig) -> int:
    feed = StatusFeed(status_settings(config)) if config.status.enabled else None
    if feed is not None:
        feed.child.start()
    try:
        # OpenVINO, OpenCV and the PLC's protocol: about a second.
        with quick_dataclasses("asyncua"):
            from controller.app import StationProcess

        return await StationProcess(config, feed).run()
    finally:
        if feed is not None:
            await feed.child.stop()


def status_settings(config: StationConfig) -> StatusSettings:
    """What [status] says, as the status process wants it."""
    status, data = config.status, config.station.data_dir
    return StatusSettings(
        endpoint=status.endpoint,
        station=config.station.name,
        pki=config.pki_path,
        users=config.users_path,
        policies=status.policies,
        certificate=status.certificate,
        private_key=status.private_key,
        anonymous=status.anonymous,
        unsecured=status.allow_unsecured_loopback,
        limits=StatusLimits(**status.limits.model_dump()),
        history=data / "status-history.bin",
        recipes=config.station.recipes_dir,
        journal=config.journal_path,
        cache=data / "status-cache",
    )
