"""The whole validation: what is counted, what is refused, what the page and the JSON hold."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from models.catalogue import Catalogue, DefectType, SeverityLimit
from models.lifecycle.data.complaint import DatasetError
from models.lifecycle.data.labelled_set import LabelledSet
from models.lifecycle.data.sample import Sample, Split
from models.lifecycle.validate.figures import confusion, graph_figures, unsure_band
from models.lifecycle.validate.intervals import Rate
from models.lifecycle.validate.page import page
from models.lifecycle.validate.predictions import Prediction, read_predictions, write_predictions
from models.lifecycle.validate.validation import Validation, validate
from tests.unit.models.lifecycle.data.made import bare_sample
from tests.unit.models.lifecycle.validate.validated import DEFECTS, answers, catalogue, tiles


def said(number: int, crack: float, hole: float = 0.0) -> Prediction:
    return Prediction(f"{number:04}.png", "int8", 2.0 + number, {"crack": crack, "hole": hole})


@pytest.fixture
def known() -> Catalogue:
    return catalogue()


HAND = [
    (bare_sample(0), said(0, 0.1)),  # good, passed
    (bare_sample(1), said(1, 0.4)),  # good, UNSURE
    (bare_sample(2, "crack"), said(2, 0.9)),  # found
    (bare_sample(3, "crack"), said(3, 0.29)),  # missed
    (bare_sample(4, "crack"), said(4, 0.3)),  # UNSURE, at the line
    (bare_sample(5, "hole"), said(5, 0.7, 0.65)),  # both sure: its own counts
    (bare_sample(6, "hole"), said(6, 0.7, 0.2)),  # taken for a crack
    (bare_sample(7, "crack", "hole"), said(7, 0.8, 0.1)),  # the crack found, the hole not
]


def test_figures_counted_by_hand(known: Catalogue) -> None:
    samples, given = [s for s, _ in HAND], {s.image: a for s, a in HAND}
    figures = graph_figures("int8", given, samples, known, 0.9)
    assert (figures.caught, figures.rejected) == (Rate(5, 6), Rate(1, 2))
    crack, hole = figures.defects
    assert (crack.found, crack.sure, crack.precision) == (Rate(3, 4), Rate(2, 4), Rate(3, 6))
    assert (hole.found, hole.precision) == (Rate(1, 3), Rate(1, 1))
    assert crack.f1 == pytest.approx(2 * 0.75 * 0.5 / 1.25)
    assert crack.more is None
    assert figures.latency_ms["max"] == 9 and figures.latency_ms["p50"] == pytest.approx(5.5)
    matrix = confusion(given, samples, known)
    assert matrix.columns == ("good", "crack", "hole", "UNSURE")
    assert matrix.counts == ((1, 0, 0, 1), (1, 2, 0, 1), (0, 2, 1, 0))
    band = unsure_band(given, samples, known)
    assert band[0].coverage == 1 and band[0].risk == pytest.approx(2 / 8)


@pytest.fixture
def labelled(tmp_path: Path) -> LabelledSet:
    return tiles(tmp_path / "tiles")


@pytest.fixture
def shown(labelled: LabelledSet) -> tuple[Sample, ...]:
    return tuple(sample for sample in labelled.samples if sample.split is Split.TEST)


@pytest.fixture
def table(labelled: LabelledSet, shown: tuple[Sample, ...], tmp_path: Path) -> Path:
    path = tmp_path / "answers.csv"
    write_predictions(path, [*answers(shown, "fp32"), *answers(shown, "int8", off=0.2)], DEFECTS)
    return path


@pytest.fixture
def inspectors(shown: tuple[Sample, ...], tmp_path: Path) -> Path:
    """Anna errs never; Ben misses every fifth look at a bad part."""
    rows = ["image,inspector,repeat,judgement"]
    for number, sample in enumerate(shown):
        for repeat in (1, 2):
            rows.append(f"{sample.image},anna,{repeat},{'ok' if sample.is_good else 'NG'}")
            missed = not sample.is_good and (2 * number + repeat) % 5 == 0
            rows.append(f"{sample.image},ben,{repeat},{'good' if sample.is_good or missed else 'bad'}")
    (tmp_path / "inspectors.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return tmp_path / "inspectors.csv"


def test_predictions_come_back(table: Path, shown: tuple[Sample, ...]) -> None:
    assert read_predictions(table) == (*answers(shown, "fp32"), *answers(shown, "int8", off=0.2))


def look(labelled: LabelledSet, known: Catalogue, table: Path, **more: Any) -> Validation:
    """As the command does: the table first."""
    given = read_predictions(table)
    return validate(labelled, known, lambda samples: given, source=str(table), **more)


def test_report_holds_everything(
    labelled: LabelledSet, table: Path, inspectors: Path, known: Catalogue, shown: tuple[Sample, ...]
) -> None:
    found = look(labelled, known, table, purpose="first", inspectors=inspectors, mm_per_px=0.1)
    assert [graph.graph for graph in found.graphs] == ["fp32", "int8"] and found.shown == "int8"
    assert len(found.losses()) >= 1, "the INT8 answers were made worse on purpose"
    crack, hole = found.sizes
    assert (crack.matched, hole.matched) == (10, 10)
    assert crack.bias == pytest.approx(0.1, abs=0.01) and crack.p95 == pytest.approx(0.1, abs=0.01)
    assert found.people is not None
    grades = {a.judge: a.grade for a in found.people.appraisals}
    assert grades["anna"] == "acceptable" and grades["ben"] == "unacceptable" and "model" in grades
    content = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert content["graphs"][1]["defects"][0]["found"]["low"] < content["graphs"][1]["defects"][0]["found"]["value"]
    assert content["people"]["appraisals"][0]["judge"] == "anna"
    assert len(content["test_uses"]) == 1
    html = page(found, known, labelled.root)
    missed = [s for s in shown if not s.is_good and max(found.answers[s.image].scores.values()) < 0.3]
    alarms = [s for s in shown if s.is_good and max(found.answers[s.image].scores.values()) >= 0.3]
    assert html.count("data:image/jpeg;base64,") == len(missed) + len(alarms)
    assert html.count("<svg") == 2 and "break-inside: avoid" in html
    assert "tile &lt;A&gt;" in html and "tile <A>" not in html
    assert "INT8 loses more than the gate allows" in html and "looked at" not in html.split("<h2>")[0]


def test_page_loads_nothing(labelled: LabelledSet, table: Path, known: Catalogue) -> None:
    addresses: list[str] = []

    class Addresses(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            addresses.extend(value or "" for name, value in attrs if name in ("src", "href", "action", "data"))
            assert tag not in ("script", "link", "iframe")

    Addresses().feed(page(look(labelled, known, table, purpose="first"), known, labelled.root))
    assert all(address.startswith("data:image/") for address in addresses)


def test_second_look_is_told(labelled: LabelledSet, table: Path, known: Catalogue) -> None:
    look(labelled, known, table, purpose="first")
    again = look(labelled, known, table, purpose="second")
    assert [use.purpose for use in again.uses] == ["first", "second"]
    assert "has been looked at 2 times" in page(again, known, labelled.root)


Spoil = Callable[[str], str]


WRONG_PREDICTIONS: list[tuple[Spoil, str]] = [
    (lambda t: t.replace("score:hole", "score:fray"), "the catalogue names this defect type"),
    (lambda t: t.replace("images/003.png,int8", "images/999.png,int8"), "predict the whole test split"),
    (lambda t: t.replace("images/003.png", "images/000.png"), "is not in the test split of this version"),
    (lambda t: t + t.splitlines()[1] + "\n", "stands twice for fp32"),
    (lambda t: t.replace(",int8,", ",int4,"), "must be one of fp32, bf16, int8"),
    (lambda t: t.replace(t.splitlines()[1].split(",")[3], "1.5"), "from 0 to 1"),
    (lambda t: t.replace(t.splitlines()[1].split(",")[2], "-1"), "from 0 up"),
    (lambda t: t.replace(",[]", ",[[1]]", 1), "must be JSON"),
    (lambda t: t.replace("latency_ms", "ms"), "a table of predictions has image"),
    (lambda t: "", "a table of predictions has image"),
]


@pytest.mark.parametrize(("spoil", "cure"), WRONG_PREDICTIONS)
def test_wrong_predictions_are_refused_with_their_cure(
    labelled: LabelledSet, table: Path, known: Catalogue, spoil: Spoil, cure: str
) -> None:
    table.write_text(spoil(table.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(DatasetError) as caught:
        look(labelled, known, table, purpose="first")
    assert any(cure in complaint.cure for complaint in caught.value.complaints)


WRONG_JUDGEMENTS: list[tuple[Spoil, str]] = [
    (lambda t: t.replace("images/001.png", "images/000.png", 1), "is no picture of the test split"),
    (lambda t: t.replace(",anna,", ",,", 1), "name who judged"),
    (lambda t: t.replace(",anna,1,", ",anna,first,", 1), "which look at this part"),
    (lambda t: t.replace(",NG", ",maybe", 1), "must be one of good, ok"),
    (lambda t: t.replace(",anna,2,", ",anna,1,", 1), "stands in an earlier row"),
    (lambda t: t.replace("judgement", "verdict"), "the first line names image, inspector"),
]


@pytest.mark.parametrize(("spoil", "cure"), WRONG_JUDGEMENTS)
def test_wrong_judgements_are_refused_with_their_cure(
    labelled: LabelledSet, table: Path, inspectors: Path, known: Catalogue, spoil: Spoil, cure: str
) -> None:
    inspectors.write_text(spoil(inspectors.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(DatasetError) as caught:
        look(labelled, known, table, purpose="first", inspectors=inspectors)
    assert any(cure in complaint.cure for complaint in caught.value.complaints)


def test_defect_that_the_test_split_never_shows_has_no_figures(known: Catalogue) -> None:
    pairs = [pair for pair in HAND if "hole" not in pair[0].classes]
    figures = graph_figures("int8", {s.image: a for s, a in pairs}, [s for s, _ in pairs], known, 0.9)
    hole = figures.defects[1]
    assert hole.curve is None and math.isnan(hole.found.value)
    assert hole.more == 36, "36 without a miss prove 90 %"


def test_model_that_tells_only_good_from_bad_is_judged_so(labelled: LabelledSet) -> None:
    limits = (SeverityLimit(severity="major", above=0.0),)
    kind = DefectType(
        name="anomaly", code=1, measure="length", min_confidence=0.3, sure_confidence=0.6, severities=limits
    )
    one = Catalogue(schema=1, product="tile", defects=(kind,))

    def ask(samples: Sequence[Sample]) -> list[Prediction]:
        return [Prediction(s.image, "int8", 1.0, {"anomaly": 0.1 if s.is_good else 0.9}) for s in samples]

    found = validate(labelled, one, ask, source="here", purpose="first", mm_per_px=0.1)
    assert found.graphs[0].defects[0].found == Rate(20, 20) and found.graphs[0].rejected == Rate(0, 19)
    assert found.confusion.counts == ((19, 0, 0), (0, 20, 0))
