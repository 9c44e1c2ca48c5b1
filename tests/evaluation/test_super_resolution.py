"""Figures of three views from readings that a test wrote itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from restoring import prepared, restoring_recipe

from glyphyard.core.ctc import Reading
from glyphyard.core.errors import BadInput
from glyphyard.core.records import DatasetManifest
from glyphyard.data.prepare import prepare
from glyphyard.edge.restorer import RestorerManifest
from glyphyard.evaluation.samples import Sample, held_out_rows
from glyphyard.evaluation.scoring import score
from glyphyard.evaluation.super_resolution import Seen, _viewed, choose_strips, export_cost, figures_of
from glyphyard.recipe.suite import SuiteConfig, Threshold

SUITE = SuiteConfig(name="s", thresholds=(Threshold(metric="word_acc", above=0.5),), equivalences=("0O",), bootstrap=200)
PAIRED = ("bicubic", "made", "hr")
NOTHING = np.zeros((2, 2), np.uint8)


def seen(i: int, truth: str, bicubic: str, made: str, hr: str, psnr: float = 20.0) -> Seen:
    sample = Sample(id=i, path=f"{i}", line=i, source="s", group=truth, truth=truth, read=made, confidence=0.9)
    readings = {view: Reading(text, 0.9, (0.9,) * len(text)) for view, text in zip(PAIRED, (bicubic, made, hr), strict=True)}
    likeness = {"psnr": psnr, "ssim": 0.5, "bicubic_psnr": psnr - 1, "bicubic_ssim": 0.4}
    return Seen(sample, readings, likeness, dict.fromkeys(("low", *PAIRED), NOTHING))


def figures(rows: list[Seen]) -> dict:
    scores = {view: score([_viewed(s, view) for s in rows], SUITE.equivalences, SUITE.case) for view in PAIRED}
    return figures_of(rows, scores, SUITE)


def test_each_view_counts_for_itself() -> None:
    rows = [
        seen(0, "A0", "XX", "AO", "A0"),  # O counts as 0
        seen(1, "B1", "B1", "B1", "B1"),
        seen(2, "C2", "XX", "C2", "C2"),
        seen(3, "D3", "D3", "DX", "D3", psnr=10.0),
    ]
    found = figures(rows)
    assert [found[f"{v}word_acc"].value for v in ("bicubic_", "", "hr_")] == [0.5, 0.75, 1.0]
    assert found["char_acc"].value == pytest.approx(7 / 8)
    assert found["word_acc_gain"].value == pytest.approx(0.25)
    assert found["psnr"].value == pytest.approx(17.5)
    assert found["bicubic_psnr"].value == pytest.approx(16.5)


def bundle_with(groups: object) -> RestorerManifest:
    cost = {"trained_word_acc": 0.75, "exported_word_acc": 0.72, "samples": 100.0}
    return RestorerManifest(1, "b", "super_resolution", 2, {}, {}, {}, {}, cost, {"content_sha256": "this set", "groups": groups})


def test_what_exporting_costs_has_an_interval_over_plates_and_belongs_to_one_set() -> None:
    bundle = bundle_with([[-1, 1, 1], [0, 1, 91], [1, 1, 2], [2, 2, 1], [0, 2, 2]])
    (found,) = export_cost(bundle, "this set", SUITE).values()
    assert found.low < 0.03 < found.high  # type: ignore[operator]
    assert found.value == pytest.approx(0.03)
    assert found.count == 100
    assert export_cost(bundle, "another set", SUITE) == {}
    (same,) = export_cost(bundle_with([[0, 1, 100]]), "this set", SUITE).values()
    assert (same.low, same.high) == (0, 0)  # so a gate can hold it against a bound


@pytest.mark.parametrize("groups", [None, [[1, 2]], "x", [["a", 1, 1]]])
def test_a_bundle_that_says_it_wrongly_is_refused(groups: object) -> None:
    with pytest.raises(BadInput, match="cost cannot be read"):
        export_cost(bundle_with(groups), "this set", SUITE)


def test_frames_of_a_plate_vote() -> None:
    rows = [seen(0, "AB", "XX", "AB", "AB"), seen(1, "AB", "XX", "AX", "AB"), seen(2, "AB", "XX", "XB", "AB")]
    found = figures(rows)
    assert found["word_acc"].value == pytest.approx(1 / 3)
    assert (found["voted_word_acc"].value, found["voted_word_acc"].count) == (1.0, 1)
    by_path = [replace(row, sample=replace(row.sample, group=row.sample.path)) for row in rows]  # split.group_by: path
    assert figures(by_path)["voted_word_acc"].count == 1


def test_another_low_side_is_another_held_out_set(tmp_path: Path) -> None:
    recipe = restoring_recipe()
    noise = recipe.dataset.low_resolution.model_copy(update={"until_ssim": (0.95, 0.95)})  # type: ignore[union-attr]
    steps = recipe.model.capacity(recipe.dataset.image.width)
    other = prepare(recipe.dataset.model_copy(update={"low_resolution": noise}), steps, tmp_path, in_process=True)
    splits = [(folder, DatasetManifest.read(folder / "manifest.json").splits["test"]) for folder in (prepared(), other)]
    rows = [held_out_rows(folder, split) for folder, split in splits]
    assert [row.text for row in rows[0]] == [row.text for row in rows[1]]
    assert {row.image_sha256 for row in rows[0]}.isdisjoint(row.image_sha256 for row in rows[1])
    assert splits[0][1].content_sha256 != splits[1][1].content_sha256


def test_strips_show_what_was_gained_and_what_was_spoiled_first() -> None:
    rows = [seen(i, "AB", "AB", "AB", "AB") for i in range(40)]
    rows[17] = seen(17, "AB", "XX", "AB", "AB")
    rows[30] = seen(30, "AB", "AB", "XX", "AB")
    scores = {view: score([_viewed(s, view) for s in rows], ()) for view in PAIRED}
    chosen = choose_strips(scores)
    assert chosen[:2] == [17, 30]
    assert len(chosen) == len(set(chosen)) == 24
