"""Against the baseline: what blocks, what chance may explain, and what is no comparison at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from handmade import Row, write_bundle, write_dataset

from glyphyard.core.errors import BadInput
from glyphyard.core.records import Figure, Scorecard
from glyphyard.evaluation.baseline import Baseline, load_baseline, load_outcomes
from glyphyard.evaluation.conclude import conclude
from glyphyard.evaluation.measure import measure
from glyphyard.evaluation.updates import accept, propose
from glyphyard.recipe.suite import SuiteConfig

PLATES = [f"A{i:03d}" for i in range(150)]


def suite_of(**changes: object) -> SuiteConfig:
    settings = {"name": "s", "thresholds": [{"metric": "exact_match", "above": 0.5}], "bootstrap": 300, "slices": ["side"]}
    return SuiteConfig.model_validate(settings | changes)


class Bench:
    """Runs that read all plates but the named ones; a misread plate loses its last character."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.bundle = folder, write_bundle(folder / "bundle")

    def run(
        self, name: str, misread: set[int] = frozenset(), suite: SuiteConfig | None = None, rows: list[Row] | None = None
    ) -> Scorecard:  # type: ignore[assignment]
        # The pictures have to be the same for every run: what differs is what is said to have been read.
        rows = rows or [Row(text, meta={"side": "left" if i < 75 else "right"}) for i, text in enumerate(PLATES)]
        dataset = write_dataset(self.folder / f"{name}-data", rows)
        out = self.folder / name
        return measure(self.bundle, dataset, suite or suite_of(), out, say=lambda line: None, reader=_misreading(misread))


def _misreading(misread: set[int]):  # type: ignore[no-untyped-def]
    from dataclasses import replace

    from glyphyard.evaluation.measure import read_here

    def read(*arguments):  # type: ignore[no-untyped-def]
        samples = read_here(*arguments)
        return [replace(sample, read=sample.read[:-1]) if i in misread else sample for i, sample in enumerate(samples)]

    return read


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    made = Bench(tmp_path_factory.mktemp("bench"))
    made.run("champion", misread={0, 1, 2, 3})
    accept(propose(made.folder / "champion.json", made.folder / "champion"), "anna", "the first")
    return made


def judged(bench: Bench, name: str, misread: set[int], suite: SuiteConfig | None = None):  # type: ignore[no-untyped-def]
    suite = suite or suite_of()
    card = bench.run(name, misread, suite)
    return conclude(card, suite, bench.folder / name, "champion", bench.folder)


def test_the_same_readings_pass(bench: Bench) -> None:
    verdict = judged(bench, "same", {0, 1, 2, 3})
    assert (verdict.outcome, verdict.baseline) == ("PASS", "champion")
    assert [f.value for f in verdict.findings if f.kind == "regression"] == [0.0, 0.0]


def test_a_loss_beyond_chance_fails_although_every_bound_holds(bench: Bench) -> None:
    verdict = judged(bench, "worse", set(range(20)))
    outcomes = {f.rule: f.outcome for f in verdict.findings}
    assert outcomes["exact match > 50%"] == "PASS"
    assert outcomes["exact match not worse than champion"] == outcomes["CER not worse than champion"] == "FAIL"
    assert verdict.outcome == "FAIL"


def test_a_small_loss_passes_unless_it_is_beyond_the_tolerance(bench: Bench) -> None:
    misread = {0, 1, 2, 3, 4, 5}  # two more of 150: chance explains that
    assert judged(bench, "little", misread).outcome == "PASS"
    strict = suite_of(regression={"tolerance": {"exact_match": 0.01}})
    verdict = judged(bench, "strict", misread, strict)
    assert verdict.outcome == "FAIL"
    assert "beyond the tolerance of 1 points" in verdict.message
    loose = suite_of(regression={"tolerance": {"exact_match": 0.02, "coverage_at_99_precision": 1.0}})
    assert judged(bench, "loose", misread, loose).outcome == "PASS"


def test_a_better_model_passes(bench: Bench) -> None:
    assert judged(bench, "better", set()).outcome == "PASS"


def test_a_slice_that_collapses_fails_although_the_whole_gains(bench: Bench) -> None:
    bench.run("half", misread=set(range(60)))
    accept(propose(bench.folder / "half.json", bench.folder / "half"), "anna", "reads the right side only")
    suite = suite_of(regression={"slices": ["side"]})
    card = bench.run("other-half", set(range(75, 90)), suite)
    verdict = conclude(card, suite, bench.folder / "other-half", "half", bench.folder)
    outcomes = {f.rule: f.outcome for f in verdict.findings if f.kind == "regression"}
    assert outcomes["exact match not worse than half"] == "PASS"
    assert outcomes["side=left: exact match not worse than half"] == "PASS"
    assert outcomes["side=right: exact match not worse than half"] == "FAIL"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"name": "other"}, "another suite"),
        ({"equivalences": ["0O"]}, "another text policy"),
        ({"case": "ignore"}, "another text policy"),
    ],
)
def test_other_terms_are_no_comparison(bench: Bench, changes: dict[str, object], problem: str) -> None:
    with pytest.raises(BadInput, match=problem):
        judged(bench, "terms", set(), suite_of(**changes))


def test_another_alphabet_is_no_comparison(bench: Bench) -> None:
    from dataclasses import replace

    card = replace(bench.run("alphabet"), alphabet="ABC")
    with pytest.raises(BadInput, match="another alphabet"):
        conclude(card, suite_of(), bench.folder / "alphabet", "champion", bench.folder)


def test_another_held_out_set_is_refused_with_the_difference(bench: Bench) -> None:
    card = bench.run("fewer", rows=[Row(text) for text in [*PLATES[1:], "NEW1"]])
    with pytest.raises(BadInput, match=r"another held-out set: 1 came .*1 went"):
        conclude(card, suite_of(), bench.folder / "fewer", "champion", bench.folder)


def test_a_missing_or_altered_baseline_is_refused(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="known: champion"):
        load_baseline("champoin", bench.folder)
    for name in ("champion.json", "champion.parquet"):
        (tmp_path / name).write_bytes((bench.folder / name).read_bytes())
    assert load_baseline("champion", tmp_path)[0].name == "champion"
    (tmp_path / "champion.parquet").write_bytes(b"PAR1")
    with pytest.raises(BadInput, match="altered"):
        load_baseline("champion", tmp_path)


def test_an_update_shows_the_difference_and_keeps_its_history(bench: Bench) -> None:
    bench.run("next", misread={0, 10})
    path = bench.folder / "moving.json"
    accept(propose(path, bench.folder / "champion"), "anna", "the first")
    proposal = propose(path, bench.folder / "next")
    shown = "\n".join(proposal.changes)
    assert "exact match: 97.33% → 98.67%" in shown
    assert "3 newly read, 1 newly misread" in shown
    before = path.read_bytes()
    with pytest.raises(BadInput, match="--why"):
        accept(proposal, "ben", "  ")
    assert path.read_bytes() == before
    accept(proposal, "ben", "reads three more")
    kept = Baseline.read(path)
    assert [(u.by, u.why, u.from_run) for u in kept.updates] == [
        ("anna", "the first", "champion"),
        ("ben", "reads three more", "next"),
    ]
    assert load_outcomes(path.with_suffix(".parquet")).exact.sum() == 148


def test_an_update_to_another_set_says_what_came_and_went(bench: Bench) -> None:
    bench.run("newset", rows=[Row(text) for text in [*PLATES[2:], "NEW1"]])
    changes = propose(bench.folder / "champion.json", bench.folder / "newset").changes
    assert any("1 came" in line and "2 went" in line for line in changes)


def test_figures_without_readings_are_held_against_the_tolerance(tmp_path: Path) -> None:
    suite = SuiteConfig.model_validate(
        {
            "name": "pages",
            "thresholds": [{"metric": "map50", "above": 0.5}],
            "min_samples": 10,
            "regression": {"tolerance": {"map50": 0.05}},
        }
    )

    def detected(name: str, map50: float, held_out: str = "h1") -> Scorecard:
        figures = {"map50": Figure(map50, map50 - 0.1, map50 + 0.1, 20)}
        card = Scorecard("pages", "d", "test", "s", "b", 20, 20, 0.95, figures, {}, [], [], [], {}, held_out=held_out)
        (tmp_path / name).mkdir()
        card.write(tmp_path / name / "scorecard.json")
        return card

    detected("old", 0.8)
    accept(propose(tmp_path / "best.json", tmp_path / "old"), "anna", "the first")
    outcomes = [conclude(detected(f"new{v}", v), suite, tmp_path / f"new{v}", "best", tmp_path).outcome for v in (0.9, 0.77, 0.7)]
    assert outcomes == ["PASS", "PASS", "FAIL"]
    with pytest.raises(BadInput, match="another held-out set"):
        conclude(detected("other", 0.9, "h2"), suite, tmp_path / "other", "best", tmp_path)
    assert "mAP@0.5: 80.00% → 70.00%" in propose(tmp_path / "best.json", tmp_path / "new0.7").changes
