"""The reports say what happened: in the terminal, as JUnit XML, and on the page to sign."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

from hil_tests.cell import Cell
from hil_tests.faults.matrix import load_matrix
from hil_tests.report import Report, measured, write_html, write_junit
from hil_tests.rigfile import find_rig


def report() -> Report:
    faults = {fault.name: fault for fault in load_matrix()}
    rig = find_rig("opcua-sequence")

    def cell(name: str) -> Cell:
        return Cell(faults[name], rig, "AUTO_REJECT")

    passed, failed, skipped = cell("camera-black"), cell("id-skipped"), cell("clock-set-back")
    passed.answers, passed.safe_ms = ["NO_DECISION/IMAGE_QUALITY"], 12.0
    failed.problems = ["part 7 got <nothing> & more"]
    skipped.skipped = "no C compiler is installed"
    repeated = cell("camera-late")
    repeated.answers, repeated.earlier = ["NO_DECISION/DEADLINE"], ["safe after 130 ms, allowed are 120"]
    return Report(datetime(2026, 11, 25, tzinfo=UTC), 75.0, "2 processors", [passed, failed, skipped, repeated])


class Text(HTMLParser):
    """The page's text, and every address that it would load something from."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self.loads: list[str] = []

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [f"{tag} {name}" for name, _ in attrs if name in ("src", "href")]


def test_the_page_says_everything_and_loads_nothing(tmp_path: Path) -> None:
    made = report()
    write_html(made, tmp_path / "report.html")
    page = Text()
    page.feed((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert page.loads == []
    for cell in made.cells:
        assert cell.fault.title in page.text
        assert cell.skipped or cell.expected.text() in page.text
        assert measured(cell) in page.text
    assert "part 7 got <nothing> & more" in page.text
    assert "attempt 1: safe after 130 ms, allowed are 120" in page.text
    for name, value in made.identity().items():
        assert name in page.text
        assert value in page.text
    assert "Signature" in page.text


def test_junit_counts_and_explains(tmp_path: Path) -> None:
    write_junit(report(), tmp_path / "junit.xml")
    suite = ET.parse(tmp_path / "junit.xml").getroot().find("testsuite")
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("4", "1", "1")
    failure, skipped = suite.find(".//failure"), suite.find(".//skipped")
    assert failure is not None and failure.get("message") == "part 7 got <nothing> & more"
    assert skipped is not None and skipped.get("message") == "no C compiler is installed"
    again = suite.find("testcase[@name='camera-late']/system-out")
    assert again is not None and "attempt 1: safe after 130 ms" in str(again.text)
