"""A held-out set by hash: what changes it, what does not, and how a change is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import pytest
from handmade import Row, drawn, png, write_bundle, write_dataset
from hypothesis import given
from hypothesis import strategies as st

from glyphyard.core.errors import BadInput
from glyphyard.evaluation.held_out import (
    HeldOutRow,
    difference,
    held_out_sha256,
    image_identity,
    manifest_path,
    read_manifest,
    refuse_another_set,
    write_manifest,
)
from glyphyard.evaluation.measure import measure
from glyphyard.recipe.suite import SuiteConfig

ROWS = [HeldOutRow(f"{i:064x}", f"AB{i}", f"crops/{i}.jpg") for i in range(6)]


@given(st.permutations(ROWS))
def test_the_hash_knows_images_and_texts_not_their_order_or_place(rows: list[HeldOutRow]) -> None:
    moved = [replace(row, path=f"/elsewhere/{row.path}") for row in rows]
    assert held_out_sha256(moved) == held_out_sha256(ROWS)
    assert held_out_sha256(rows[:-1]) != held_out_sha256(ROWS)
    assert held_out_sha256([*rows, rows[0]]) != held_out_sha256(ROWS)
    assert held_out_sha256([replace(rows[0], text="other"), *rows[1:]]) != held_out_sha256(ROWS)


def test_a_png_is_its_pixels_and_a_jpeg_its_bytes() -> None:
    image = drawn("AB12")
    packed = bytes(cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1])
    assert packed != png(image)
    assert image_identity(packed) == image_identity(png(image)) != image_identity(png(image + 1))
    jpegs = [bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, q])[1]) for q in (80, 90)]
    assert image_identity(jpegs[0]) != image_identity(jpegs[1])


def test_the_list_of_rows_comes_back(tmp_path: Path) -> None:
    path = manifest_path(tmp_path / "suite.yaml")
    assert write_manifest(path, ROWS[::-1]) == held_out_sha256(ROWS)
    assert read_manifest(path) == ROWS
    path.write_text("nothing\n")
    with pytest.raises(BadInput, match=r"held_out.tsv:1"):
        read_manifest(path)


def test_a_change_is_told_by_row(tmp_path: Path) -> None:
    known = tmp_path / "suite.held_out.tsv"
    write_manifest(known, ROWS)
    new = [HeldOutRow("f" * 64, "XX1", "crops/new.jpg"), replace(ROWS[0], text="AB0B"), *ROWS[2:]]
    assert difference(ROWS, new) == "1 came (crops/new.jpg); 1 went (crops/1.jpg); 1 relabelled (crops/0.jpg 'AB0' → 'AB0B')"
    with pytest.raises(BadInput, match=r"1 came .*1 went .*1 relabelled") as caught:
        refuse_another_set(held_out_sha256(ROWS), new, known, "suite s")
    assert str(caught.value).count("\n") == 0
    with pytest.raises(BadInput, match="expected the held-out set"):
        refuse_another_set(held_out_sha256(ROWS), new, None, "suite s")
    refuse_another_set(held_out_sha256(new), new, known, "suite s")


def test_long_differences_are_cut() -> None:
    assert "6 came" in difference([], ROWS)
    assert "and 3 more" in difference([], ROWS)


def test_a_changed_label_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    rows = [Row(f"AB{i}") for i in range(4)]
    suite = SuiteConfig.model_validate({"name": "s", "thresholds": [{"metric": "cer", "below": 0.5}], "bootstrap": 200})
    bundle = write_bundle(tmp_path / "bundle")
    card = measure(bundle, write_dataset(tmp_path / "a", rows), suite, tmp_path / "out", say=lambda line: None)
    known = tmp_path / "s.held_out.tsv"
    from glyphyard.evaluation.samples import load_samples

    write_manifest(known, [sample.row for sample in load_samples(tmp_path / "out" / "samples.parquet")])
    frozen = suite.model_copy(update={"held_out": card.held_out})
    shuffled = write_dataset(tmp_path / "b", [rows[2], rows[0], rows[3], rows[1]])
    assert measure(bundle, shuffled, frozen, tmp_path / "same", say=lambda line: None).held_out == card.held_out
    changed = write_dataset(tmp_path / "c", [Row("AB9", shown="AB0"), *rows[1:]])
    with pytest.raises(BadInput, match=r"1 relabelled \(crops/0.png 'AB0' → 'AB9'\)"):
        measure(bundle, changed, frozen, tmp_path / "no", known=known, say=lambda line: None)
    assert not (tmp_path / "no").exists()
