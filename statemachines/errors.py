"""The one error of the core: our own mistake."""

from __future__ import annotations


class IllegalEvent(Exception):
    """An event that no row of the table allows. Nothing was changed; the station goes to failsafe."""
