"""`prepare`, in-process: what stands in the shards, the audit and the manifest; the cache; every row accounted for."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest

from glyphyard.core.capacity import Capacity
from glyphyard.core.errors import BadInput
from glyphyard.core.files import sha256_file
from glyphyard.core.pixels import PixelContract, decode_image
from glyphyard.core.records import DatasetManifest
from glyphyard.data import chunks
from glyphyard.data.prepare import dataset_fingerprint, find_prepared, prepare
from glyphyard.data.refusal import TooManyBad
from glyphyard.recipe.dataset import SPLITS, ImageConfig

pytestmark = pytest.mark.usefixtures("cheap_plates")
ALL = ("train", "validation", "test")


def rows_of(folder: Path, split: str) -> list[dict]:
    return [row for path in sorted(folder.glob(f"{split}-*.parquet")) for row in pq.read_table(path).to_pylist()]


def tree(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): sha256_file(p) for p in sorted(folder.rglob("*")) if p.is_file()}


def audit_of(folder: Path) -> dict:
    return json.loads((folder / "audit.json").read_text())


@pytest.fixture
def mixed(label_file, texts, make):
    """Forty real and sixty rendered rows."""
    return make.config(make.real(label_file(texts)), make.drawn())


def test_every_row_stands_on_one_side_with_the_pixels_of_its_image(mixed, tmp_path, make):
    folder = prepare(mixed, Capacity(32), tmp_path / "store", need=ALL, in_process=True)
    rows = {split: rows_of(folder, split) for split in SPLITS}
    assert sorted(row["id"] for split in rows.values() for row in split) == list(range(100))
    for split, listed in rows.items():
        assert [row["id"] for row in listed] == sorted(row["id"] for row in listed)
        for row in listed:
            image = make.picture(row["text"])
            assert row["pixels"] == PixelContract().resize(image).tobytes()
            assert (row["encoded"] is None) == (split == "train")
            if row["encoded"]:
                assert np.array_equal(decode_image(row["encoded"]), image)
    drawn = [row for split in rows.values() for row in split if row["source"] == "drawn"]
    assert {json.loads(row["meta"])["light"] for row in drawn} == {"day", "night"}
    groups = [{row["group"] for row in listed} for listed in rows.values()]
    assert not groups[0] & groups[1] | groups[0] & groups[2] | groups[1] & groups[2]


def test_the_manifest_counts_and_hashes_what_is_there(mixed, tmp_path):
    folder = prepare(mixed, Capacity(32), tmp_path, in_process=True)
    manifest = DatasetManifest.read(folder / "manifest.json")
    assert folder == tmp_path / "datasets" / manifest.fingerprint
    for split, record in manifest.splits.items():
        assert record.rows == len(rows_of(folder, split)) == sum(shard.rows for shard in record.shards)
        assert all(sha256_file(folder / shard.path) == shard.sha256 for shard in record.shards)
    assert {p.name for p in folder.iterdir()} == {"manifest.json", "audit.json"} | {
        s.path for r in manifest.splits.values() for s in r.shards
    }
    assert [p.name for p in folder.parent.iterdir()] == [manifest.fingerprint]


def test_the_content_does_not_depend_on_place_or_store(mixed, label_file, texts, make, tmp_path):
    one = prepare(mixed, Capacity(32), tmp_path / "one", in_process=True)
    moved = make.config(make.real(label_file(texts, folder="elsewhere")), make.drawn())
    other = prepare(moved, Capacity(32), tmp_path / "two", in_process=True)
    assert one.name == other.name
    assert tree(one) == tree(other)


def test_a_prepared_dataset_is_found_again_without_work(mixed, tmp_path, monkeypatch):
    said: list[str] = []
    assert find_prepared(mixed, Capacity(32), tmp_path) is None
    folder = prepare(mixed, Capacity(32), tmp_path, in_process=True)
    before = {p: p.stat().st_mtime_ns for p in folder.iterdir()}
    monkeypatch.setattr("glyphyard.data.prepare.run_chunk", lambda spec: pytest.fail("made again"))
    assert prepare(mixed, Capacity(32), tmp_path, in_process=True, say=said.append) == folder
    assert before == {p: p.stat().st_mtime_ns for p in folder.iterdir()}
    assert said[-1].endswith("(cached)")
    assert dataset_fingerprint(mixed, Capacity(32), tmp_path) == folder.name


@pytest.mark.parametrize("change", ["label", "image", "salt", "size", "places", "blanks", "layout"])
def test_whatever_changes_the_content_changes_the_fingerprint(mixed, tmp_path, texts, make, change):
    before = dataset_fingerprint(mixed, Capacity(32), tmp_path)
    labels = mixed.sources[0].labels
    capacity, after = Capacity(32), mixed
    if change == "label":
        labels.write_text(labels.read_text().replace(f"\t{texts[0]}", "\tZZ9"))
    if change == "image":
        cv2.imwrite(str(labels.parent / "images" / f"{texts[0]}.png"), make.picture("changed"))
    if change == "salt":
        after = mixed.model_copy(update={"split": mixed.split.model_copy(update={"salt": "x"})})
    if change == "size":
        after = mixed.model_copy(update={"image": ImageConfig(width=160)})
    changed = {"places": 24, "blanks": False, "layout": "florida"}
    if change in changed:
        capacity = dataclasses.replace(capacity, **{change: changed[change]})
    assert dataset_fingerprint(after, capacity, tmp_path) != before


def test_colour_and_size_follow_the_recipe(label_file, texts, make, tmp_path):
    image = ImageConfig(height=48, width=160, channels=3, interpolation="area")
    folder = prepare(make.config(make.real(label_file(texts)), image=image), Capacity(40), tmp_path, in_process=True)
    assert {len(row["pixels"]) for row in rows_of(folder, "train")} == {48 * 160 * 3}


def test_bad_rows_are_left_out_listed_and_told(label_file, texts, make, tmp_path):
    labels = label_file(texts, b"images/gone.png\tAA1\nimages/torn.jpg\tBB1\nno tab here\n")
    whole = cv2.imencode(".jpg", make.picture("BB1"))[1].tobytes()
    (labels.parent / "images" / "torn.jpg").write_bytes(whole[: len(whole) // 2])
    said: list[str] = []
    folder = prepare(
        make.config(make.real(labels), max_bad_fraction=0.1), Capacity(32), tmp_path, in_process=True, say=said.append
    )
    audit = audit_of(folder)
    assert audit["counts"] == {"malformed_line": 1, "missing_image": 1, "unreadable_image": 1}
    assert [(f["kind"], f["line"], f["severity"]) for f in audit["findings"]] == [
        ("missing_image", 41, "error"), ("unreadable_image", 42, "error"), ("malformed_line", 43, "error"),
    ]  # fmt: skip
    assert DatasetManifest.read(folder / "manifest.json").bad_rows == 3
    source = audit["rows"]["real"]
    assert source["listed"] == 43 == source["bad"] + sum(source[split] for split in SPLITS)
    assert any("torn.jpg" in line and f"{labels}:42" in line for line in said)


@pytest.mark.parametrize("found_in", ["labels", "images"])
def test_refused_data_is_told_and_listed_row_by_row(label_file, texts, make, tmp_path, found_in):
    bad = [f"images/bad{i}.png" for i in range(13)]
    labels = label_file(texts, "".join(f"{path}\tAA{i}\n" for i, path in enumerate(bad)).encode())
    if found_in == "images":
        for path in bad:
            (labels.parent / path).write_bytes(path.encode())
    said: list[str] = []
    with pytest.raises(TooManyBad) as caught:
        prepare(make.config(make.real(labels)), Capacity(32), tmp_path / "store", in_process=True, say=said.append)
    assert all(any(f"{labels}:{41 + i}: " in line and path in line for line in said) for i, path in enumerate(bad))
    report = caught.value.report
    assert str(report) in str(caught.value)
    assert [f["line"] for f in json.loads(report.read_text())["findings"]] == list(range(41, 54))
    assert not list(tmp_path.glob("store/datasets/*"))


def test_the_same_bytes_with_two_labels_make_both_rows_bad(label_file, texts, make, tmp_path):
    labels = label_file(texts, b"images/copy.png\tZZ999\nimages/twin.png\t" + texts[1].encode() + b"\n")
    images = labels.parent / "images"
    (images / "copy.png").write_bytes((images / f"{texts[0]}.png").read_bytes())
    (images / "twin.png").write_bytes((images / f"{texts[1]}.png").read_bytes())
    audit = audit_of(prepare(make.config(make.real(labels), max_bad_fraction=0.1), Capacity(32), tmp_path, in_process=True))
    assert audit["counts"] == {"conflicting_labels": 2, "duplicate_image": 1}
    assert {f["line"] for f in audit["findings"] if f["kind"] == "conflicting_labels"} == {1, 41}


def test_near_duplicates_across_the_split_are_listed(label_file, texts, make, tmp_path):
    held = label_file(texts[:5], folder="held")
    train = label_file(texts[5:], b"images/again.png\tZZ999\n", folder="train")
    image = cv2.imread(str(held.parent / "images" / f"{texts[0]}.png"))
    image[0, 0] ^= 1
    cv2.imwrite(str(train.parent / "images" / "again.png"), image)
    dataset = make.config(make.real(train, name="own", splits=("train",)), make.real(held, name="held", splits=("test",)))
    audit = audit_of(prepare(dataset, Capacity(32), tmp_path, in_process=True))
    assert audit["counts"] == {"near_duplicate_across_splits": 1}
    assert audit["near_duplicates"][0]["paths"] == [f"images/{texts[0]}.png", "images/again.png"]


def test_a_train_row_gives_way_to_its_plate_in_the_test_set(label_file, texts, make, tmp_path):
    train = label_file(texts, folder="train")
    held = label_file([*texts[:3], "S10007"], folder="held")
    dataset = make.config(
        make.real(train, name="own", splits=("train",)),
        make.real(held, name="held", splits=("test",)),
        make.drawn(splits=("train",)),
    )
    folder = prepare(dataset, Capacity(32), tmp_path, in_process=True)
    audit = audit_of(folder)
    assert audit["counts"] == {"duplicate_image": 3, "held_out_elsewhere": 4}
    assert audit["rows"]["own"]["left_out"] == 3
    assert audit["rows"]["drawn"]["left_out"] == 1
    assert not {row["text"] for row in rows_of(folder, "train")} & {row["text"] for row in rows_of(folder, "test")}


def test_an_empty_side_that_is_needed_is_refused_with_a_remedy(label_file, texts, make, tmp_path):
    dataset = make.config(make.real(label_file(texts), splits=("train",)))
    with pytest.raises(BadInput, match="test split came out empty") as caught:
        prepare(dataset, Capacity(32), tmp_path, need=ALL[::2], in_process=True)
    assert "dataset.split.test" in caught.value.remedy
    assert not list(tmp_path.glob("datasets/*")) + list(tmp_path.glob("datasets/.*"))
    folder = prepare(dataset, Capacity(32), tmp_path, in_process=True)
    with pytest.raises(BadInput, match="test split came out empty"):  # from the cache as well
        prepare(dataset, Capacity(32), tmp_path, need=("test",), in_process=True)
    only_test = make.config(make.real(label_file(texts), splits=("test",)))
    with pytest.raises(BadInput, match="train split came out empty"):
        prepare(only_test, Capacity(32), tmp_path, in_process=True)
    assert prepare(only_test, Capacity(32), tmp_path, need=("test",), in_process=True) != folder


def test_shards_and_chunks_are_cut_by_rows(mixed, tmp_path, monkeypatch):
    whole = prepare(mixed, Capacity(32), tmp_path / "a", in_process=True)
    monkeypatch.setattr(chunks, "CHUNK_ROWS", 16)
    monkeypatch.setattr("glyphyard.data.shards.SHARD_ROWS", 20)
    cut = prepare(mixed, Capacity(32), tmp_path / "b", in_process=True)
    assert len(list(cut.glob("train-*.parquet"))) > 1
    for split in SPLITS:
        assert rows_of(whole, split) == rows_of(cut, split)
        assert all(pq.read_metadata(p).num_rows <= 20 for p in cut.glob(f"{split}-*.parquet"))


def test_progress_counts_every_row_once(mixed, tmp_path, monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK_ROWS", 30)
    seen: list[tuple[int, int]] = []
    prepare(mixed, Capacity(32), tmp_path, in_process=True, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(0, 100), (30, 100), (60, 100), (90, 100), (100, 100)]


def test_camera_tracks_stay_together(label_file, texts, make, tmp_path):
    labels = label_file(texts)
    lines = labels.read_text().splitlines()
    images = labels.parent / "images"
    for k, text in enumerate(texts):
        (images / f"track{k // 4}_{text}.png").write_bytes((images / f"{text}.png").read_bytes())
    labels.write_text("".join(f"{line.replace('images/', f'images/track{k // 4}_')}\n" for k, line in enumerate(lines)))
    folder = prepare(make.config(make.real(labels, group_by=r"track(\d+)_")), Capacity(32), tmp_path, in_process=True)
    sides = Counter((row["group"], split) for split in SPLITS for row in rows_of(folder, split))
    assert len(sides) == 10
    assert set(sides.values()) == {4}


@pytest.fixture
def forty_tracks(tmp_path, make) -> Path:
    """Forty tracks of one crop each; each of twenty plates stands in two of them."""
    for k in range(40):
        cv2.imwrite(str(tmp_path / f"track{k}_0.png"), make.picture(f"AB{k % 20}", 40, 120 + k))
    (tmp_path / "labels.txt").write_text("".join(f"track{k}_0.png\tAB{k % 20}\n" for k in range(40)))
    return tmp_path / "labels.txt"


@pytest.mark.parametrize("group_by", [r"^(track\d+)_", "path"])
def test_a_plate_of_two_tracks_stands_on_one_side_and_the_rest_is_listed(forty_tracks, make, tmp_path, group_by):
    folder = prepare(make.config(make.real(forty_tracks, group_by=group_by)), Capacity(32), tmp_path, need=ALL, in_process=True)
    sides = {split: {row["text"] for row in rows_of(folder, split)} for split in SPLITS}
    assert sum(map(len, sides.values())) == len(set.union(*sides.values())) == 20
    audit = audit_of(folder)
    left = [f for f in audit["findings"] if f["kind"] == "held_out_elsewhere"]
    assert len(left) == audit["rows"]["real"]["left_out"] == 40 - sum(len(rows_of(folder, split)) for split in SPLITS) > 0
    assert all(f["line"] and f["severity"] == "warning" for f in left)


def test_only_plates_that_are_grouped_by_track_got_another_fingerprint(forty_tracks, make, tmp_path, monkeypatch):
    by_text, by_track = (make.config(make.real(forty_tracks, group_by=how)) for how in (None, r"^(track\d+)_"))
    after = [dataset_fingerprint(dataset, Capacity(32), tmp_path) for dataset in (by_text, by_track)]
    monkeypatch.setattr("glyphyard.data.fingerprint._plates_by_track", lambda dataset: False)
    before = [dataset_fingerprint(dataset, Capacity(32), tmp_path) for dataset in (by_text, by_track)]
    assert [a == b for a, b in zip(after, before, strict=True)] == [True, False]


def test_a_side_that_yields_every_plate_says_so(forty_tracks, make, tmp_path):
    own, held = (make.real(forty_tracks, name=n, group_by="path", splits=(s,)) for n, s in (("own", "train"), ("held", "test")))
    with pytest.raises(BadInput, match=r"train split came out empty .*40 rows left out"):
        prepare(make.config(own, held), Capacity(32), tmp_path, in_process=True)
