"""The log, set up once: for people, never the audit trail (that is the journal), never on the way to an answer."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from loguru import logger

_FORMAT = "{time:YYYY-MM-DD HH:mm:ss.SSS} | {level: <8} | {message} {extra}"
_LIBRARIES = ("asyncua", "pymodbus", "pycomm3", "asyncio")


def set_up_logs(level: str, folder: Path | None, retention_days: int) -> None:
    """Log to stderr and, where a folder is given, to a file that turns over daily. Takes in the libraries' loggers.

    Sinks write in a thread of their own: a slow disk or terminal never holds the caller.
    """
    logger.remove()
    logger.add(sys.stderr, level=level, format=_FORMAT, enqueue=True)
    if folder is not None:
        logger.add(
            folder / "linegate_{time:YYYY-MM-DD}.log",
            level=level,
            format=_FORMAT,
            enqueue=True,
            rotation="00:00",
            retention=f"{retention_days} days",
            encoding="utf-8",
        )
    for name in _LIBRARIES:
        library = logging.getLogger(name)
        library.handlers = [_Intercept()]
        library.setLevel(logging.WARNING)
        library.propagate = False


class _Intercept(logging.Handler):
    """Hands a library's record to loguru."""

    def emit(self, record: logging.LogRecord) -> None:
        level: str | int = record.levelname if record.levelname in ("WARNING", "ERROR", "CRITICAL") else record.levelno
        logger.opt(exception=record.exc_info).bind(library=record.name).log(level, record.getMessage())
