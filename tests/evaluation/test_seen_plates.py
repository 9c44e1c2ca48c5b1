"""Of many plates the report keeps the worst and a few good ones, and what was found is written whole or not at all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
from little_disk import little_disk

from glyphyard.core.boxes import Detections
from glyphyard.core.detection_metrics import Truth
from glyphyard.core.errors import BadInput
from glyphyard.evaluation import seen_plates
from glyphyard.evaluation.samples import Sample
from glyphyard.evaluation.seen_plates import MOST_DRAWN, WELL_FOUND, DrawnPlates, FoundWriter, Seen

SEGMENTER = SimpleNamespace(classes=["character"], manifest=SimpleNamespace(confidence=0.5, reads=False))
BOX, MASK = np.array([[2.0, 2.0, 8.0, 8.0]]), np.pad(np.ones((1, 6, 6), bool), ((0, 0), (2, 4), (2, 4)))
RIGHT = Detections(BOX, np.array([0.9]), np.array([0]), MASK)


def plate(number: int, extra: int) -> Seen:
    """A plate whose one character is found, and `extra` things beside it that are not there."""
    more = [RIGHT.boxes + 100 * (k + 1) for k in range(extra)]
    boxes, count = np.concatenate([BOX, *more]), extra + 1
    found = Detections(boxes, np.full(count, 0.9), np.zeros(count, np.int64), np.repeat(MASK, count, axis=0))
    truth = Truth(BOX, np.array([0]), MASK)
    sample = Sample(
        id=number, path=f"p{number}", line=number, source="drawn", group=str(number), truth="A", read="A", confidence=1.0
    )
    return Seen(sample, truth, found, np.zeros((12, 12, 3), np.uint8), [BOX.reshape(2, 2)], ["A"], 1.0)


@pytest.mark.parametrize("good", [0, 3, 40])
def test_the_worst_come_first_and_good_ones_have_their_places(tmp_path: Path, good: int) -> None:
    dice = np.random.default_rng(good)
    extras = dice.permutation([0] * good + dice.integers(1, 6, 60).tolist()).tolist()
    drawn = DrawnPlates(SEGMENTER)  # type: ignore[arg-type]
    for number, extra in enumerate(extras):
        drawn.add(plate(number, extra))
    drawn.write(tmp_path / "drawn.parquet")
    rows = pq.read_table(tmp_path / "drawn.parquet").to_pylist()
    worst = sorted((i for i, e in enumerate(extras) if e), key=lambda i: -extras[i])  # earlier ones first where two are alike
    well = [i for i, e in enumerate(extras) if not e][:WELL_FOUND]
    assert [row["id"] for row in rows] == worst[: MOST_DRAWN - len(well)] + well
    assert [row["extra"] for row in rows] == [extras[row["id"]] for row in rows]


def test_what_was_found_is_written_in_blocks_and_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen_plates, "BLOCK_ROWS", 4)
    with FoundWriter(tmp_path / "found.parquet", ["character"]) as writer:
        for number in range(5):
            writer.add(plate(number, number % 3))
    rows = pq.read_table(tmp_path / "found.parquet").to_pylist()
    assert [row["id"] for row in rows] == [0, 1, 1, 2, 2, 2, 3, 4, 4]
    assert all(len(row["box"]) == 4 and len(row["outline"]) >= 6 and row["class"] == "character" for row in rows)


def test_nothing_found_is_an_empty_table(tmp_path: Path) -> None:
    with FoundWriter(tmp_path / "found.parquet", ["character"]) as writer:
        writer.add(replace(plate(0, 0), found=Detections.none()))
    assert pq.read_table(tmp_path / "found.parquet").num_rows == 0


def test_an_error_on_the_way_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(IndexError), FoundWriter(tmp_path / "found.parquet", classes=[]) as writer:
        writer.add(plate(0, 1))  # of a class that the writer does not know
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("block_rows", [1, 100], ids=["on the way", "at the end"])
def test_a_full_disk_is_one_line_and_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_rows: int) -> None:
    monkeypatch.setattr(seen_plates, "BLOCK_ROWS", block_rows)

    def three_plates() -> None:
        with FoundWriter(tmp_path / "found.parquet", ["character"]) as writer:
            for number in range(3):
                writer.add(plate(number, 1))

    with little_disk(100), pytest.raises(BadInput, match="cannot be written") as caught:
        three_plates()
    assert caught.value.where == str(tmp_path)
    assert not list(tmp_path.iterdir())
