"""The log reaches its file, with the facts and with what libraries say."""

from __future__ import annotations

import logging
from pathlib import Path

from loguru import logger

from controller.logs import set_up_logs


def test_facts_and_libraries_reach_the_file(tmp_path: Path) -> None:
    set_up_logs("INFO", tmp_path, 3)
    logger.info("part decided", part="1/plc/2")
    logger.debug("not for operators")
    logging.getLogger("asyncua.client").warning("from the library")
    logging.getLogger("asyncua").info("chatter")
    logger.complete()
    logger.remove()
    (file,) = tmp_path.iterdir()
    text = file.read_text(encoding="utf-8")
    assert "part decided {'part': '1/plc/2'}" in text
    assert "from the library" in text
    assert "not for operators" not in text
    assert "chatter" not in text
