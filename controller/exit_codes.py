"""What the exit codes of `linegate run` mean to whoever started it."""

from __future__ import annotations

CONFIG_ERROR = 2
"""A person must mend a file first; starting again would not help."""

RESTART = 70
"""The station asks for a new process: an inference or the deciding loop hangs, or a duty died. Failsafe is latched."""
