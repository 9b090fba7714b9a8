"""`linegate data` and `linegate catalogue`, from a folder of pictures to a split set and a contact sheet."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from controller.cli import main
from models.catalogue import load_catalogue


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """Twenty good parts and ten with an outlined scratch, two exposures of each, as COCO."""
    root = tmp_path / "export"
    (root / "images").mkdir(parents=True)
    images: list[dict[str, object]] = []
    shapes: list[dict[str, object]] = []
    for number in range(60):
        name = f"part_{number // 2:02}_{number % 2}.png"
        picture = np.random.default_rng(number).integers(0, 256, (40, 60), np.uint8)
        cv2.imwrite(str(root / "images" / name), picture)
        images.append({"id": number, "file_name": name, "width": 60, "height": 40})
        if number < 20:
            outline = [[5, 5, 25 + number, 5, 25 + number, 8, 5, 8]]
            shapes.append({"id": number, "image_id": number, "category_id": 1, "segmentation": outline})
    content = {"images": images, "annotations": shapes, "categories": [{"id": 1, "name": "Kratzer"}]}
    (root / "labels.json").write_text(json.dumps(content), encoding="utf-8")
    return root


@pytest.fixture
def tiles(export: Path, tmp_path: Path) -> Path:
    out = tmp_path / "tiles"
    arguments = ["--map", "Kratzer=scratch", "--empty", "good", "--part-pattern", r"part_(\d+)"]
    assert main(["data", "import", str(export), "--out", str(out), *arguments]) == 0
    return out


def test_folder_becomes_a_set_that_is_split_shown_and_compared(tiles: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "split", str(tiles), "--seed", "3"]) == 0
    assert "pictures of scratch = 20: collect 480 more" in capsys.readouterr().out
    assert main(["data", "show", str(tiles), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert set(shown["counts"]) == {"good", "scratch"}
    assert {split: n > 0 for split, n in shown["counts"]["scratch"].items()} == {
        "train": True, "validation": True, "test": True,
    }  # fmt: skip
    assert [change["why"] for change in shown["history"]] == ["coco imported from export", "split with seed 3"]
    assert shown["test_uses"] == []
    first = shown["history"][0]["version"][:12]
    assert main(["data", "diff", str(tiles), "--since", first, "--json"]) == 0
    changed = json.loads(capsys.readouterr().out)
    assert len(changed["moved"]) == 60 and not changed["relabelled"] and not changed["added"]


def test_check_tells_errors_by_its_exit_code(tiles: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["data", "split", str(tiles)])
    assert main(["data", "check", str(tiles)]) == 0
    assert "60 pictures: 0 errors" in capsys.readouterr().out
    manifest = tiles / "manifest.csv"
    manifest.write_text(manifest.read_text(encoding="utf-8").replace(",train,", ",test,", 1), encoding="utf-8")
    assert main(["data", "check", str(tiles), "--quick", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert [f["where"] for f in found if f["grave"]] == ["batch"]
    assert "the split leaks" in next(f["cure"] for f in found if f["grave"])
    (tiles / "images/images/part_00_0.png").unlink()
    assert main(["data", "check", str(tiles)]) == 2
    assert "put it back" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "cure"),
    [
        (["data", "import", "none", "--out", "x"], "no such folder"),
        (["data", "import", "{export}", "--out", "x", "--map", "Kratzer"], "write the tool's name, ="),
        (["data", "import", "{export}", "--out", "x", "--part-pattern", "part"], "one pair of round brackets"),
        (["data", "import", "{export}", "--out", "x"], "--empty good or leave-out"),
        (["data", "show", "none"], "linegate data import"),
        (["data", "diff", "{tiles}", "--since", "0000"], "is no version of this set"),
        (["catalogue", "show", "none.toml"], "cannot be read"),
        (["catalogue", "new", "x.toml", "--product", "tile"], "name some with --defect"),
        (["catalogue", "new", "x.toml", "--product", "tile", "--defect", "crack:big"], "measure one of length"),
    ],
)
def test_wrong_input_is_told_with_its_cure(
    export: Path, tiles: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    arguments: list[str], cure: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tiles.parent)
    assert main([argument.format(export=export, tiles=tiles) for argument in arguments]) == 2
    assert cure in capsys.readouterr().err
    assert not (tiles.parent / "x.toml").exists()


def test_catalogue_begins_with_what_the_set_shows(
    tiles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "recipe" / "catalogue.toml"
    new = ["catalogue", "new", str(file), "--product", 'tile "A"', "--data", str(tiles), "--mm-per-px", "0.1"]
    assert main([*new, "--defect", "stain:area"]) == 0
    made = load_catalogue(file)
    assert made.product == 'tile "A"'
    assert [(d.name, d.code, d.measure, len(d.reference_images)) for d in made.defects] == [
        ("stain", 101, "area", 0),
        ("scratch", 102, "length", 3),
    ]
    assert "# in the set: 20 places, 5 % below 2.1, half below 2.95, 95 % below 3.81 mm" in file.read_text()
    assert main(new) == 2
    assert "is there already" in capsys.readouterr().err

    assert main(["catalogue", "check", str(file), "--data", str(tiles), "--mm-per-px", "0.1"]) == 0
    said = capsys.readouterr().out
    assert "defects.stain.reference_images" in said and "tolerates nothing" in said
    file.write_text(file.read_text().replace("above = 0.0 ", "above = 3.0 "), encoding="utf-8")
    main(["catalogue", "check", str(file), "--data", str(tiles), "--mm-per-px", "0.1"])
    said = capsys.readouterr().out
    assert "defects.stain.major" in said and "0 examples just below" in said and "defects.scratch.major" not in said
    file.write_text(file.read_text().replace('name = "scratch"', 'name = "dent"'), encoding="utf-8")
    assert main(["catalogue", "check", str(file), "--data", str(tiles)]) == 1
    assert "the catalogue knows dent, stain" in capsys.readouterr().out.replace("stain, dent", "dent, stain")


def test_contact_sheet_holds_matrix_and_images(tiles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, page = tmp_path / "catalogue.toml", tmp_path / "sheet.html"
    main(["catalogue", "new", str(file), "--product", "tile <b>", "--data", str(tiles)])
    assert main(["catalogue", "show", str(file), "--html", str(page)]) == 0
    assert "scratch" in capsys.readouterr().out
    content = page.read_text(encoding="utf-8")
    assert content.count("data:image/png;base64,") == 3
    assert "tile &lt;b&gt;" in content and "tile <b>" not in content
    assert "&gt; 0: NG" in content
    assert "http" not in content
