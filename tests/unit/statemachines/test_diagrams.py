"""The diagrams in the documentation are those of the tables."""

from __future__ import annotations

from pathlib import Path

from statemachines.diagrams import render


def test_documented_diagrams_are_current() -> None:
    page = Path(__file__).parents[3] / "docs" / "state-machines.md"
    assert page.read_text(encoding="utf-8") == render(), (
        "run: python -m statemachines.diagrams > docs/state-machines.md"
    )
