"""Readings of files as a stream: every file a row, both tables whole or absent, memory that does not grow."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from handmade import drawn, png, write_bundle

from glyphyard.edge import Recognizer
from glyphyard.pipeline.predictions import Prediction, image_files, prediction_files, predictions

PAGE = os.sysconf("SC_PAGE_SIZE")


@pytest.fixture(scope="module")
def recognizer(tmp_path_factory: pytest.TempPathFactory) -> Recognizer:
    return Recognizer(write_bundle(tmp_path_factory.mktemp("bundles") / "striped"))


@pytest.fixture
def crops(tmp_path: Path) -> Path:
    """A folder with a folder in it, a file that is no image, a broken image and one of too many pixels."""
    (tmp_path / "crops" / "more").mkdir(parents=True)
    for name, text in (("a.png", "AB1"), ("b.PNG", "XY9"), ("more/c.png", "Q")):
        (tmp_path / "crops" / name).write_bytes(png(drawn(text)))
    (tmp_path / "crops" / "notes.txt").write_text("no image")
    (tmp_path / "crops" / "broken.png").write_bytes(png(drawn("AB1"))[:40])
    (tmp_path / "crops" / "huge.png").write_bytes(png(np.zeros((6000, 6000), np.uint8)))
    return tmp_path / "crops"


def test_every_image_is_a_row_and_an_unreadable_one_says_why(recognizer: Recognizer, crops: Path) -> None:
    rows = list(predictions(recognizer, image_files([crops, crops / "gone.png"]), batch_size=2))
    found = {Path(row.path).name: row for row in rows}
    assert [Path(row.path).name for row in rows] == ["a.png", "b.PNG", "broken.png", "huge.png", "c.png", "gone.png"]
    assert {name: row.text for name, row in found.items() if not row.error} == {"a.png": "AB1", "b.PNG": "XY9", "c.png": "Q"}
    assert {name for name, row in found.items() if row.error} == {"broken.png", "huge.png", "gone.png"}
    assert all((row.confidence is None) == bool(row.error) for row in rows)
    assert all("\n" not in row.error for row in rows)


def test_both_files_hold_every_row(recognizer: Recognizer, crops: Path, tmp_path: Path) -> None:
    rows = [*predictions(recognizer, image_files([crops])), Prediction('odd "name",\t1.png', "A, B", 0.5)]
    with prediction_files(tmp_path / "out") as write:
        for row in rows:
            write(row)
    table = list(csv.DictReader((tmp_path / "out" / "predictions.csv").open(encoding="utf-8", newline="")))
    assert [(cells["path"], cells["text"], bool(cells["error"])) for cells in table] == [
        (r.path, r.text, bool(r.error)) for r in rows
    ]
    lines = [line.split("\t") for line in (tmp_path / "out" / "predictions.txt").read_text(encoding="utf-8").splitlines()]
    assert [len(line) for line in lines] == [3] * len(rows)
    assert [line[1] for line in lines] == [row.text for row in rows]
    assert [line[2].startswith("error: ") for line in lines] == [bool(row.error) for row in rows]


def test_an_interrupted_run_leaves_no_half_of_a_table(tmp_path: Path) -> None:
    def read_until_somebody_stops_it() -> None:
        with prediction_files(tmp_path / "out") as write:
            write(Prediction("a.png", "A", 1.0))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read_until_somebody_stops_it()
    assert not list((tmp_path / "out").iterdir())


def test_memory_stays_flat_over_ten_thousand_images(recognizer: Recognizer, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for i in range(20):
        (folder / f"{i:05d}.png").write_bytes(png(drawn(f"A{i}")))
    for i in range(20, 10_000):
        os.link(folder / f"{i % 20:05d}.png", folder / f"{i:05d}.png")
    resident_mb = []
    with prediction_files(tmp_path / "out") as write:
        for i, row in enumerate(predictions(recognizer, image_files([folder]))):
            write(row)
            if i % 1000 == 999:
                resident_mb.append(int(Path("/proc/self/statm").read_text().split()[1]) * PAGE / 2**20)
    assert len(resident_mb) == 10
    # The last nine thousand images may not cost what a hundred of them hold in memory.
    assert resident_mb[-1] - resident_mb[0] < 8, resident_mb
