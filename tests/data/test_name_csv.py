"""`name_csv`: what cannot be read is listed and left out, a subset is the same everywhere, writers stay on one side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import pyarrow.parquet as pq
import pytest

from glyphyard.core.capacity import Capacity
from glyphyard.core.errors import BadInput
from glyphyard.core.files import read_json
from glyphyard.data.audit import audit_labels
from glyphyard.data.fingerprint import dataset_fingerprint
from glyphyard.data.prepare import prepare
from glyphyard.data.sources import list_rows
from glyphyard.recipe.dataset import DatasetConfig, ImageConfig, NameCsv, SplitConfig

NAMES = ["Anna", "Öl-Straße", "Bad Ulm", "St. Veit", "Zoé"]
WRITER = r"^W(\d+)_"


def source(labels: Path, **fields: Any) -> NameCsv:
    return NameCsv(**({"kind": "name_csv", "name": "names", "labels": labels, "group_by": WRITER} | fields))


@pytest.fixture
def labels(tmp_path: Path, make: Any) -> Path:
    """Forty names of eight writers, and one row of each kind that says that there is nothing to read."""
    (tmp_path / "images").mkdir()
    lines = ["FILENAME,IDENTITY"]
    for i in range(40):
        name = f"W{i % 8}_{i}.png"
        cv2.imwrite(str(tmp_path / "images" / name), make.picture(f"{NAMES[i % 4]}{i}", 64, 256))
        lines.append(f"{name},{NAMES[i % 4]}")
    lines += ["W1_90.png,UNREADABLE", "W1_91.png,EMPTY", "W1_92.png,", "W1_93.png,  "]
    path = tmp_path / "names.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def config(labels: Path, **fields: Any) -> DatasetConfig:
    return DatasetConfig(
        alphabet=" -.ABDSUVZadeilmnrstßÖé",
        case="keep",
        drop="",
        image=ImageConfig(height=64, width=256),
        sources=(source(labels, images=labels.parent / "images", **fields),),
        split=SplitConfig(validation=0.3, test=0.3),
    )


def test_texts_keep_their_case_their_spaces_and_their_line(labels: Path) -> None:
    rows = list_rows(source(labels, images=labels.parent / "images"))
    assert [(row.line, row.path, row.text_raw) for row in rows[:2]] == [(2, "W0_0.png", "Anna"), (3, "W1_1.png", "Öl-Straße")]
    assert rows[1].file == str(labels.parent / "images" / "W1_1.png")
    assert rows[1].meta == {"writer": "1"}
    assert config(labels).normalise("Öl-Straße am See") == "Öl-Straße am See"


def test_what_nobody_can_read_is_listed_left_out_and_not_bad(labels: Path, tmp_path: Path) -> None:
    dataset = config(labels).model_copy(update={"max_bad_fraction": 0.0})
    audit = audit_labels(dataset, Capacity(64))
    unread = [finding for finding in audit.findings if finding.kind.value == "marked_unreadable"]
    assert [finding.line for finding in unread] == [42, 43, 44, 45]
    assert {finding.severity for finding in unread} == {"warning"}
    folder = prepare(dataset, Capacity(64), tmp_path / "store", in_process=True)
    told = read_json(folder / "audit.json")
    assert told["counts"]["marked_unreadable"] == 4
    assert (told["rows"]["names"]["bad"], told["rows"]["names"]["left_out"]) == (0, 4)
    assert sum(told["rows"]["names"][split] for split in ("train", "validation", "test")) == 40


def test_writers_stay_together_at_height_64(labels: Path, tmp_path: Path) -> None:
    folder = prepare(config(labels), Capacity(64), tmp_path / "store", in_process=True)
    sides: dict[str, set[str]] = {}
    for split in ("train", "validation", "test"):
        for shard in folder.glob(f"{split}-*.parquet"):
            for row in pq.read_table(shard).to_pylist():
                sides.setdefault(json.loads(row["meta"])["writer"], set()).add(split)
                assert len(row["pixels"]) == 64 * 256
    assert len(sides) == 8
    assert all(len(found) == 1 for found in sides.values())


def test_writers_on_two_sides_may_write_the_same_word(labels: Path, tmp_path: Path) -> None:
    folder = prepare(config(labels), Capacity(64), tmp_path / "store", need=("train", "test"), in_process=True)
    texts = [
        {row["text"] for shard in folder.glob(f"{side}-*.parquet") for row in pq.read_table(shard).to_pylist()}
        for side in ("train", "test")
    ]
    assert texts[0] & texts[1]
    assert "held_out_elsewhere" not in read_json(folder / "audit.json")["counts"]


def test_a_subset_is_the_same_every_time_and_part_of_a_larger_one(labels: Path) -> None:
    def drawn(**fields: Any) -> set[str]:
        rows = list_rows(source(labels, **fields))
        assert sum(bool(row.left_out) for row in rows) == 4
        return {row.path for row in rows if row.file}

    ten, twenty = drawn(subset=10), drawn(subset=20)
    assert (len(ten), len(twenty)) == (10, 20)
    assert ten < twenty
    assert drawn(subset=10) == ten != drawn(subset=10, subset_seed=1)
    assert len(drawn(subset=1000)) == 40


def test_another_subset_is_another_dataset(labels: Path, tmp_path: Path) -> None:
    assert len({dataset_fingerprint(config(labels, subset=n), Capacity(64), tmp_path) for n in (None, 10, 20)}) == 3


def test_more_columns_become_slices_and_order_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / "n.csv").write_text('\ufeffage,IDENTITY,FILENAME\n12,"Bad, Ulm",W3_a.png\n', encoding="utf-8")
    (row,) = list_rows(source(tmp_path / "n.csv"))
    assert (row.text_raw, row.path, dict(row.meta)) == ("Bad, Ulm", "W3_a.png", {"age": "12", "writer": "3"})


def test_a_malformed_line_stays_a_row_with_its_problem(tmp_path: Path) -> None:
    (tmp_path / "n.csv").write_text("FILENAME,IDENTITY\nW1_a.png,Ulm,more\n\nW1_b.png\n,Ulm\n")
    rows = list_rows(source(tmp_path / "n.csv"))
    assert [(row.line, bool(row.problem)) for row in rows] == [(2, True), (4, True), (5, True)]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "n.csv:1.*FILENAME and IDENTITY"),
        (b"W1_a.png,Ulm\n", "n.csv:1.*FILENAME"),
        (b"FILENAME,TEXT\na,b\n", "missing: IDENTITY"),
        (b"FILENAME,IDENTITY\n", "lists no image"),
        (b"FILENAME,IDENTITY\na.png,\xdc\n", "n.csv:2.*0xdc"),
    ],
)
def test_a_file_that_cannot_be_one_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "n.csv").write_bytes(content)
    with pytest.raises(BadInput, match=words):
        list_rows(source(tmp_path / "n.csv"))
