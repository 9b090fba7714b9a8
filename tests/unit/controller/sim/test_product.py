"""The simulated product: the same everywhere, its sizes true, its shares as stated."""

from __future__ import annotations

import math

import pytest

from controller.sim.product import LIMITS, Kind, SimPart, on_face, sim_part

KNOWN = (5, Kind.CRACK, 2.275918)
PARTS = [sim_part(11, number) for number in range(1, 3001)]


def test_same_seed_and_number_give_the_same_part() -> None:
    assert sim_part(5, 17) == sim_part(5, 17)
    assert len({sim_part(5, number).grain for number in range(1, 50)}) > 40
    assert sim_part(5, 17).grain != sim_part(6, 17).grain


def test_known_part_stays_the_same_between_versions_and_machines() -> None:
    part = next(part for part in PARTS if part.defective)
    assert (part.number, part.defects[0].kind, round(part.defects[0].size, 6)) == KNOWN


def test_shares_are_as_stated() -> None:
    defective = sum(part.defective for part in PARTS) / len(PARTS)
    good = [part for part in PARTS if not part.defective]
    blemished = sum(bool(part.defects) for part in good) / len(good)
    assert 0.10 < defective < 0.14
    assert 0.08 < blemished < 0.12


def test_sizes_keep_clear_of_the_limits() -> None:
    for part in PARTS:
        for defect in part.defects:
            if part.defective:
                assert defect.ratio >= 1.5
            else:
                assert defect.ratio <= 0.5


def test_borderline_parts_come_near_the_limits_on_both_sides() -> None:
    parts = [sim_part(3, number, defective_share=1.0, draw_borderline=True) for number in range(1, 300)]
    ratios = [defect.ratio for part in parts for defect in part.defects]
    assert any(0.9 < ratio < 1.0 for ratio in ratios)
    assert any(1.0 < ratio < 1.1 for ratio in ratios)
    for part in parts:
        assert part.defective == any(defect.ratio > 1 for defect in part.defects)


def test_every_kind_occurs() -> None:
    assert {defect.kind for part in PARTS for defect in part.defects} == set(Kind)


def test_outline_has_the_stated_size() -> None:
    for part in PARTS:
        for defect in part.defects:
            extent = max(math.dist(a, b) for a in defect.outline for b in defect.outline)
            if defect.kind in (Kind.SCRATCH, Kind.CRACK):
                assert extent + defect.width_mm == pytest.approx(defect.length_mm, rel=0.1, abs=0.06)
            else:
                assert extent == pytest.approx(defect.length_mm)
                ring = [*defect.outline[1:], defect.outline[0]]
                area = abs(sum(a[0] * b[1] - a[1] * b[0] for a, b in zip(defect.outline, ring, strict=True))) / 2
                assert area == pytest.approx(defect.area_mm2)


def test_defects_lie_on_the_face() -> None:
    for part in PARTS:
        for defect in part.defects:
            for x, y in defect.outline:
                assert on_face(defect.x_mm + x, defect.y_mm + y, part.turn_deg)


def test_holes_bore_and_outside_are_not_face() -> None:
    assert on_face(13.0, 0.0, 30)
    assert not on_face(18.5, 0.0, 0)
    assert on_face(18.5, 0.0, 30)
    assert not on_face(0.0, 0.0, 0)
    assert not on_face(28.0, 0.0, 0)


def test_limits_cover_every_kind() -> None:
    assert set(LIMITS) == set(Kind)
    assert SimPart(1, 1, (), False).turn_deg == 0
