"""Two runs in one page: who read what, and whether it is more than chance."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from handmade import Row, write_bundle, write_dataset
from little_disk import little_disk

from glyphyard.core.errors import BadInput
from glyphyard.core.files import write_json
from glyphyard.evaluation.measure import measure, read_here
from glyphyard.pipeline.compare import compare_runs
from glyphyard.recipe.suite import SuiteConfig
from glyphyard.report.diff import render_diff, write_diff

PLATES = [f"A{i:03d}" for i in range(60)]
MakeRun = Callable[..., Path]


@pytest.fixture(scope="module")
def make_run(tmp_path_factory: pytest.TempPathFactory) -> MakeRun:
    store = tmp_path_factory.mktemp("store")
    bundle = write_bundle(store / "bundle")

    def make(name: str, misread: set[int], plates: list[str] = PLATES, **suite: object) -> Path:
        rows = [Row(text, meta={"side": "left" if i < 30 else "right"}) for i, text in enumerate(plates)]
        data = write_dataset(store / "datasets" / f"of-{name}", rows)
        settings = {"name": "s", "thresholds": [{"metric": "cer", "below": 0.5}], "bootstrap": 200, "slices": ["side"]}

        def reader(*arguments):  # type: ignore[no-untyped-def]
            return [replace(s, read="<b>?" if i in misread else s.read) for i, s in enumerate(read_here(*arguments))]

        run = store / name
        measure(bundle, data, SuiteConfig.model_validate(settings | suite), run, say=lambda line: None, reader=reader)
        write_json(run / "recipe.json", {"name": name, "stages": [{"name": "main", "lr": len(misread) / 1000}]})
        write_json(run / "dataset.json", {"folder": f"../datasets/of-{name}"})
        return run

    return make


def test_every_crop_goes_one_way(make_run: MakeRun) -> None:
    found = compare_runs(make_run("a", set(range(10))), make_run("b", {8, 9, 20}))
    assert [crop.truth for crop in found.lost] == ["A020"]
    assert [crop.truth for crop in found.won] == [f"A00{i}" for i in range(8)]
    assert (found.crops, found.both_right, found.other, found.only_a, found.only_b) == (60, 49, [], 0, 0)
    exact, cer = found.tests
    assert (exact.metric, exact.difference, exact.meaning) == ("exact match", "+11.67 points", "B is better")
    assert cer.meaning == "B is better"
    assert {line.metric for line in found.slices} == {"side=left (30)", "side=right (30)"}
    other_way = compare_runs(make_run("b2", {8, 9, 20}), make_run("a2", set(range(10))))
    assert other_way.tests[0].meaning == other_way.tests[1].meaning == "B is worse"


def test_the_page_stands_alone_and_shows_the_crops(make_run: MakeRun, tmp_path: Path) -> None:
    found = compare_runs(make_run("c", {1, 2, 3}), make_run("d", {3, 4}))
    page = write_diff(found, tmp_path / "diff.html").read_text()
    assert page.count("data:image/png;base64,") == 3  # two won, one lost; both misread 3 alike
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", page)
    assert "<b>?" not in page
    assert "stages.main.lr" in page
    with little_disk(5_000), pytest.raises(BadInput, match=r"full\.html: cannot be written"):
        write_diff(found, tmp_path / "full.html")
    assert not (tmp_path / "full.html").exists()


def test_only_what_both_have_read_is_compared(make_run: MakeRun) -> None:
    found = compare_runs(make_run("e", {0}), make_run("f", {1}, plates=[*PLATES[:40], "NEW1"]))
    assert (found.crops, found.only_a, found.only_b) == (40, 20, 1)
    with pytest.raises(BadInput, match="no held-out crop in common"):
        compare_runs(make_run("g", set()), make_run("h", set(), plates=["NEW1", "NEW2"]))


def test_two_text_policies_are_compared_as_written(make_run: MakeRun) -> None:
    found = compare_runs(make_run("i", set()), make_run("j", set(), equivalences=["0O"]))
    assert found.notes
    assert "as written" in render_diff(found)


def test_a_run_that_was_not_evaluated_is_refused(make_run: MakeRun, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="evaluate this run first"):
        compare_runs(make_run("k", set()), tmp_path)
