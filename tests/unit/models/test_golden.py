"""Golden images and signatures: a package that is not what was packed never becomes ready."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from models.catalogue import Catalogue
from models.errors import ModelRejected
from models.inspector import Inspector
from models.package import MANIFEST, ModelPackage, open_package, write_package
from models.runner import Runner
from models.signing import make_key, read_key, sign
from tests.unit.models.graphs import identity_map, package

CATALOGUE = Catalogue.model_validate(
    {
        "schema": 1,
        "product": "p",
        "defects": [
            {"name": "scratch", "code": 7, "measure": "length", "severities": [{"severity": "major", "above": 2.0}]}
        ],
    }
)


def with_golden(root: Path, score: float = 200 / 255, findings: int = 1) -> ModelPackage:
    """The tiny package, whose score is the brightest pixel, with one picture that has a spot of 200."""
    folder = package(root, identity_map).folder
    picture = np.zeros((32, 64), np.uint8)
    picture[10:20, 10:20] = 200
    (folder / "golden").mkdir()
    cv2.imwrite(str(folder / "golden" / "1.png"), picture)
    manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    del manifest["files"]
    write_package(folder, {**manifest, "golden": [{"file": "golden/1.png", "score": score, "findings": findings}]})
    return open_package(root, "tiny", "1.0.0")


def warm_up(bought: ModelPackage) -> None:
    runner = Runner(bought)
    try:
        Inspector(runner, CATALOGUE, 0.05).warm_up()
    finally:
        runner.close()


def test_a_model_that_answers_as_when_it_was_packed_becomes_ready(tmp_path: Path) -> None:
    warm_up(with_golden(tmp_path))


@pytest.mark.parametrize(("score", "findings", "key"), [(0.6, 1, "golden score"), (200 / 255, 0, "golden findings")])
def test_a_model_that_answers_something_else_is_refused(tmp_path: Path, score: float, findings: int, key: str) -> None:
    with pytest.raises(ModelRejected, match="when it was packed") as caught:
        warm_up(with_golden(tmp_path, score, findings))
    assert caught.value.key == key


def test_a_golden_image_that_is_no_picture_is_refused(tmp_path: Path) -> None:
    bought = with_golden(tmp_path)
    (bought.folder / "golden" / "1.png").write_bytes(b"no picture")
    with pytest.raises(ModelRejected, match="another content"):
        open_package(tmp_path, "tiny", "1.0.0")
    with pytest.raises(ModelRejected, match="is no picture"):
        warm_up(bought)


def test_golden_images_must_be_in_the_package(tmp_path: Path) -> None:
    folder = package(tmp_path, identity_map).folder
    manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    del manifest["files"]
    with pytest.raises(ModelRejected, match="is not listed under files"):
        write_package(folder, {**manifest, "golden": [{"file": "golden/9.png", "score": 0, "findings": 0}]})


def test_signed_by_a_trusted_key_or_refused(tmp_path: Path) -> None:
    bought = with_golden(tmp_path)
    trusted, other = make_key(tmp_path / "trusted.pem"), make_key(tmp_path / "other.pem")
    assert (tmp_path / "trusted.pem").stat().st_mode & 0o077 == 0
    signed = sign(bought.folder, read_key(tmp_path / "trusted.pem"))
    assert signed.signed and signed.hash == bought.hash
    keys = [bytes.fromhex(trusted)]
    assert open_package(tmp_path, "tiny", "1.0.0", trusted_keys=keys, require_signature=True).signed
    with pytest.raises(ModelRejected, match="none of the trusted keys"):
        open_package(tmp_path, "tiny", "1.0.0", trusted_keys=[bytes.fromhex(other)], require_signature=True)


@pytest.mark.parametrize("file", ["int8.bin", "int8.xml", "golden/1.png", MANIFEST])
def test_one_flipped_bit_is_refused(tmp_path: Path, file: str) -> None:
    bought = with_golden(tmp_path)
    key = make_key(tmp_path / "key.pem")
    sign(bought.folder, read_key(tmp_path / "key.pem"))
    content = bytearray((bought.folder / file).read_bytes())
    content[len(content) // 2] ^= 1
    (bought.folder / file).write_bytes(content)
    with pytest.raises(ModelRejected):
        open_package(tmp_path, "tiny", "1.0.0", trusted_keys=[bytes.fromhex(key)], require_signature=True)


def test_keys_that_are_none_are_named(tmp_path: Path) -> None:
    (tmp_path / "no.pem").write_text("no key", encoding="utf-8")
    with pytest.raises(ModelRejected, match="linegate model key"):
        read_key(tmp_path / "no.pem")
    with pytest.raises(ModelRejected, match="cannot be read"):
        read_key(tmp_path / "none.pem")
    make_key(tmp_path / "key.pem")
    with pytest.raises(ModelRejected, match="cannot be made"):
        make_key(tmp_path / "key.pem")
