"""A bundle that reads exactly what was drawn, so that every figure of the scorecard is known beforehand."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from handmade import Row, drawn, edit_manifest, write_bundle, write_dataset
from little_disk import little_disk

from glyphyard.core.errors import BadInput
from glyphyard.core.files import sha256_file
from glyphyard.core.records import DatasetManifest, Scorecard
from glyphyard.evaluation.measure import measure
from glyphyard.recipe.suite import SuiteConfig, Threshold

ROWS = [
    Row("AB12", source="cam", group="t1", meta={"state": "fl"}),
    Row("AB13", source="cam", group="t1", shown="AB13", meta={"state": "fl"}),
    Row("XY99Z", source="cam", group="t2", shown="XY99", meta={"state": "ga"}),  # one deleted
    Row("O0O0", source="web", group="t3", shown="0000", meta={"state": "ga"}),  # two substituted, but for O≡0
    Row("K7", source="web", group="t4", shown="K71"),  # one inserted
    Row("Q1", source="web", group="t5", shown=""),  # two deleted
]


def suite_of(**changes: object) -> SuiteConfig:
    settings = {
        "name": "hand",
        "thresholds": (Threshold(metric="cer", below=0.05),),
        "slices": ("source", "length", "state", "nothing"),
    }
    return SuiteConfig.model_validate(settings | {"bootstrap": 200} | changes)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("bundles") / "striped")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "set", ROWS, shard_rows=4)


@pytest.fixture(scope="module")
def measured(bundle: Path, dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Scorecard, Path]:
    out = tmp_path_factory.mktemp("run")
    return measure(bundle, dataset, suite_of(equivalences=("0O",)), out, batch_size=4, say=lambda line: None), out


def test_the_figures_are_sums_divided_once(measured: tuple[Scorecard, Path]) -> None:
    card, _ = measured
    values = {name: figure.value for name, figure in card.figures.items()}
    assert values["cer"] == pytest.approx(4 / 21)
    assert values["raw_cer"] == pytest.approx(6 / 21)
    assert values["exact_match"] == pytest.approx(3 / 6)
    assert values["raw_exact_match"] == pytest.approx(2 / 6)
    assert values["length_accuracy"] == values["raw_length_accuracy"] == pytest.approx(3 / 6)
    assert (card.samples, card.groups) == (6, 5)
    assert card.figures["cer"].count == 21


def test_slices_are_the_same_figures_of_fewer_rows(measured: tuple[Scorecard, Path]) -> None:
    slices = measured[0].slices
    assert slices["source=cam"]["exact_match"].value == pytest.approx(2 / 3)
    assert slices["source=web"]["cer"].value == pytest.approx(3 / 8)
    assert slices["state=fl"]["cer"].value == 0
    assert slices["state=(none)"]["exact_match"].count == 2
    assert [name for name in slices if name.startswith("length=")] == ["length=2", "length=4", "length=5"]
    assert not any(name.startswith("nothing") for name in slices)
    assert all(figures["exact_match"].low is not None for figures in slices.values())


def test_the_confusion_comes_from_the_alignment(measured: tuple[Scorecard, Path]) -> None:
    counts = {(truth, read): count for truth, read, count in measured[0].confusion}
    assert counts["Z", ""] == counts["", "1"] == counts["Q", ""] == 1
    assert counts["0", "0"] == 4  # O counts as 0 on both sides
    assert sum(count for (truth, _), count in counts.items() if truth) == 21


def test_the_samples_say_what_was_read_and_where_it_stands(measured: tuple[Scorecard, Path]) -> None:
    rows = pq.read_table(measured[1] / "samples.parquet").to_pylist()
    assert [row["read"] for row in rows] == ["AB12", "AB13", "XY99", "0000", "K71", ""]
    assert [row["truth"] for row in rows] == [row.text for row in ROWS]
    assert [row["edits"] for row in rows] == [0, 0, 1, 0, 1, 2]
    assert [row["exact"] for row in rows] == [True, True, False, True, False, False]
    assert [row["raw_exact"] for row in rows] == [True, True, False, False, False, False]
    assert rows[2]["path"] == "crops/2.png"
    assert rows[2]["line"] == 3
    assert rows[0]["meta"] == '{"state": "fl"}'
    assert all(0 <= row["confidence"] <= 1 and row["width_px"] == 128 for row in rows)


def test_the_scorecard_on_disk_is_the_one_returned(measured: tuple[Scorecard, Path], bundle: Path, dataset: Path) -> None:
    card, out = measured
    assert Scorecard.read(out / "scorecard.json") == card
    assert card.bundle_sha256 == sha256_file(bundle / "bundle.json")
    manifest = DatasetManifest.read(dataset / "manifest.json")
    assert card.split_sha256 == manifest.splits["test"].content_sha256
    assert card.speed["crops_per_s"] > 0
    assert 0 < card.speed["ms_per_crop_p50"] <= card.speed["ms_per_crop_p95"]


def test_neither_batch_nor_threads_change_a_figure(
    measured: tuple[Scorecard, Path], bundle: Path, dataset: Path, tmp_path: Path
) -> None:
    other = measure(bundle, dataset, suite_of(equivalences=("0O",)), tmp_path, batch_size=1, threads=2, say=lambda line: None)
    ours, theirs = measured[0].to_json(), other.to_json()
    assert ours.pop("speed") != theirs.pop("speed")
    assert ours == theirs


def test_images_are_read_from_their_own_bytes_at_their_own_size(bundle: Path, tmp_path: Path) -> None:
    large = cv2.cvtColor(cv2.resize(drawn("A1B2"), (512, 96), interpolation=cv2.INTER_NEAREST), cv2.COLOR_GRAY2BGR)
    folder = write_dataset(tmp_path / "set", [Row("A1B2", image=large), Row("A1B2")])
    card = measure(bundle, folder, suite_of(slices=("width", "brightness")), tmp_path, say=lambda line: None)
    assert card.figures["exact_match"].value == 1
    assert {name for name in card.slices if name.startswith("width")} == {"width=128-191", "width=>=256"}
    assert any(name.startswith("brightness=") for name in card.slices)


def test_calibration_and_reject_curve_cover_all_samples(measured: tuple[Scorecard, Path]) -> None:
    card = measured[0]
    assert sum(b["count"] for b in card.calibration) == 6
    assert card.reject_curve[-1]["coverage"] == 1
    assert card.reject_curve[-1]["precision"] == pytest.approx(0.5)
    assert card.figures["coverage_at_99_precision"].count == 6


def test_a_held_out_set_with_another_hash_is_refused_before_anything_is_read(bundle: Path, dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"expected the held-out set abab.*found .*6 rows"):
        measure(bundle, dataset, suite_of(held_out="ab" * 32), tmp_path, say=lambda line: None)
    assert not list(tmp_path.iterdir())


def test_the_stated_hash_is_accepted(bundle: Path, dataset: Path, tmp_path: Path, measured: tuple[Scorecard, Path]) -> None:
    content = measured[0].held_out
    assert measure(bundle, dataset, suite_of(held_out=content), tmp_path, say=lambda line: None).held_out == content


def test_an_empty_or_missing_split_is_refused(bundle: Path, dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"validation split.*empty"):
        measure(bundle, dataset, suite_of(split="validation"), tmp_path, say=lambda line: None)
    with pytest.raises(BadInput, match=r"test split.*empty"):
        measure(bundle, write_dataset(tmp_path / "set", []), suite_of(), tmp_path, say=lambda line: None)


def test_an_altered_shard_is_refused(bundle: Path, tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "set", ROWS)
    shard = folder / "test-00000.parquet"
    shard.write_bytes(shard.read_bytes() + b" ")
    with pytest.raises(BadInput, match="altered"):
        measure(bundle, folder, suite_of(), tmp_path, say=lambda line: None)


def test_a_broken_bundle_is_refused(dataset: Path, tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "bundle")
    edit_manifest(folder, schema_version=9)
    with pytest.raises(BadInput, match="schema"):
        measure(folder, dataset, suite_of(), tmp_path / "run", say=lambda line: None)
    assert not (tmp_path / "run").exists()


def test_labels_without_a_character_give_no_cer_and_break_nothing(bundle: Path, tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "set", [Row("", shown="A", group=f"g{i}") for i in range(12)])
    card = measure(bundle, folder, suite_of(), tmp_path, say=lambda line: None)
    assert card.figures["cer"].value is None
    assert card.figures["exact_match"].value == 0


def test_many_samples_have_intervals_around_their_figures(bundle: Path, tmp_path: Path) -> None:
    dice = np.random.default_rng(0)
    rows = [Row(f"A{i:03d}", shown=f"A{i:03d}" if dice.random() > 0.2 else f"B{i:03d}") for i in range(120)]
    card = measure(bundle, write_dataset(tmp_path / "set", rows), suite_of(), tmp_path, say=lambda line: None)
    for name in ("cer", "exact_match"):
        figure = card.figures[name]
        assert figure.value is not None
        assert figure.low is not None
        assert figure.high is not None
        assert figure.low < figure.value < figure.high


def test_a_full_disk_is_one_line_about_the_folder_that_was_asked_for(bundle: Path, dataset: Path, tmp_path: Path) -> None:
    with little_disk(500), pytest.raises(BadInput, match="cannot be written") as caught:
        measure(bundle, dataset, suite_of(), tmp_path, say=lambda line: None)
    assert caught.value.where == str(tmp_path)
    assert caught.value.remedy
    assert not list(tmp_path.iterdir())
