"""The gate: strict bounds, three outcomes, and never a PASS from nothing."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glyphyard.core.errors import BadInput, ExitCode
from glyphyard.core.records import Figure, Scorecard, Verdict
from glyphyard.evaluation.gate import FAIL, INSUFFICIENT_DATA, PASS, exit_code, judge, scorecard_sha256
from glyphyard.evaluation.wilson import wilson
from glyphyard.recipe.load import load_suite
from glyphyard.recipe.suite import SuiteConfig, Threshold

SUITES = sorted((Path(__file__).parents[2] / "evals" / "suites").glob("*.yaml"))
BOUNDS = (Threshold(metric="cer", below=0.05), Threshold(metric="exact_match", above=0.85))


def suite_of(**changes: object) -> SuiteConfig:
    return SuiteConfig.model_validate({"name": "s", "thresholds": BOUNDS, "min_samples": 100} | changes)


def exact(found: int, count: int) -> Figure:
    return Figure(found / count, *wilson(found, count, 0.95), count)


def card(figures: dict[str, Figure], samples: int, slices: dict[str, dict[str, Figure]] | None = None) -> Scorecard:
    return Scorecard("s", "d", "test", "h", "b", samples, samples, 0.95, figures, slices or {}, [], [], [], {})


GOOD_CER, SHAKY_CER, BAD_CER = Figure(0.02, 0.01, 0.04, 700), Figure(0.04, 0.02, 0.06, 700), Figure(0.06, 0.04, 0.08, 700)


@pytest.mark.parametrize(
    ("cer", "found", "count", "outcome"),
    [
        (GOOD_CER, 194, 200, PASS),
        (GOOD_CER, 176, 200, INSUFFICIENT_DATA),  # 88 %, its interval reaches below 85 %
        (GOOD_CER, 160, 200, FAIL),
        (SHAKY_CER, 194, 200, INSUFFICIENT_DATA),
        (BAD_CER, 194, 200, FAIL),
        (BAD_CER, 176, 200, FAIL),  # FAIL wins
        (GOOD_CER, 57, 57, INSUFFICIENT_DATA),  # too few, however good
        (GOOD_CER, 10, 57, INSUFFICIENT_DATA),  # too few, however bad
    ],
)
def test_the_three_outcomes(cer: Figure, found: int, count: int, outcome: str) -> None:
    verdict = judge(card({"cer": cer, "exact_match": exact(found, count)}, count), suite_of())
    assert verdict.outcome == outcome
    assert (
        exit_code(verdict)
        == {PASS: ExitCode.OK, FAIL: ExitCode.GATE_FAILED, INSUFFICIENT_DATA: ExitCode.INSUFFICIENT_DATA}[outcome]
    )


def test_the_bounds_are_strict() -> None:
    only = suite_of(thresholds=(Threshold(metric="cer", below=0.05),))
    assert judge(card({"cer": Figure(0.01, 0.0, 0.05, 700)}, 200), only).outcome == INSUFFICIENT_DATA
    assert judge(card({"cer": Figure(0.05, 0.04, 0.06, 700)}, 200), only).outcome == FAIL
    above = suite_of(thresholds=(Threshold(metric="exact_match", above=0.85),))
    assert judge(card({"exact_match": Figure(0.85, 0.8, 0.9, 200)}, 200), above).outcome == FAIL
    assert judge(card({"exact_match": Figure(0.95, 0.85, 0.98, 200)}, 200), above).outcome == INSUFFICIENT_DATA


CER_ALONE = (Threshold(metric="cer", below=0.05),)


@pytest.mark.parametrize(
    "figures",
    [{"cer": Figure(None, None, None, 0)}, {"cer": Figure(0.0, None, None, 700)}],
    ids=["none", "no interval"],
)
def test_nothing_never_passes(figures: dict[str, Figure]) -> None:
    assert judge(card(figures, 700), suite_of(thresholds=CER_ALONE)).outcome == INSUFFICIENT_DATA


@pytest.mark.parametrize("figure", [Figure(math.nan, math.nan, math.nan, 0), Figure(0.0, 0.0, math.nan, 700)])
def test_a_scorecard_with_nan_is_refused(figure: Figure) -> None:
    with pytest.raises(BadInput, match="not a number"):
        judge(card({"cer": figure}, 700), suite_of(thresholds=CER_ALONE))


@given(st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_a_pass_means_that_the_whole_interval_holds(counts: tuple[int, int]) -> None:
    found, count = counts
    only = suite_of(thresholds=(Threshold(metric="exact_match", above=0.85),))
    verdict = judge(card({"exact_match": exact(found, count)}, count), only)
    low, _ = wilson(found, count, 0.95)
    assert (verdict.outcome == PASS) == (count >= 100 and low > 0.85)
    assert (verdict.outcome == FAIL) == (count >= 100 and not found / count > 0.85)


@pytest.mark.parametrize(("found", "count"), [(8, 9), (52, 57), (176, 200), (180, 206)])
def test_the_advice_is_enough_and_not_twice_too_much(found: int, count: int) -> None:
    only = suite_of(thresholds=(Threshold(metric="exact_match", above=0.85),), min_samples=20)
    [finding] = judge(card({"exact_match": exact(found, count)}, count), only).findings
    assert finding.outcome == INSUFFICIENT_DATA
    more = int(re.findall(r"about ([\d,]+) more labelled plates", finding.message)[0].replace(",", ""))
    low, _ = wilson(found / count * (count + more), count + more, 0.95)
    assert low > 0.85
    short = count + more // 2
    assert wilson(found / count * short, short, 0.95)[0] <= 0.85 or short < 20


def test_the_advice_for_a_cer_follows_its_interval() -> None:
    only = suite_of(thresholds=(Threshold(metric="cer", below=0.05),))
    [finding] = judge(card({"cer": Figure(0.04, 0.02, 0.06, 1400)}, 200), only).findings
    assert re.search(r"about 60[01] more", finding.message)  # the interval has to halve: four times the plates


def slice_card(rates: dict[str, tuple[int, int]]) -> Scorecard:
    slices = {name: {"exact_match": exact(found, count)} for name, (found, count) in rates.items()}
    return card({"cer": GOOD_CER, "exact_match": exact(970, 1000)}, 1000, slices)


def test_slice_floors_are_tripwires() -> None:
    suite = suite_of(slice_floors={"state": 0.5})
    outcome = {
        name: f.outcome
        for f in judge(slice_card({"state=ca": (30, 40), "state=tx": (2, 40)}), suite).findings
        for name in [f.rule[:8]]
    }
    assert outcome["state=ca"] == PASS
    assert outcome["state=tx"] == FAIL
    assert judge(slice_card({"state=ca": (30, 40), "state=tx": (2, 40)}), suite).outcome == FAIL
    assert judge(slice_card({"state=ca": (30, 40)}), suite).outcome == PASS


def test_a_slice_below_its_floor_by_chance_is_undecided() -> None:
    assert judge(slice_card({"state=tx": (18, 40)}), suite_of(slice_floors={"state": 0.5})).outcome == INSUFFICIENT_DATA


def test_small_slices_are_not_judged_but_a_floor_that_judges_none_is_said() -> None:
    suite = suite_of(slice_floors={"state": 0.5})
    assert judge(slice_card({"state=ca": (30, 40), "state=tx": (0, 5)}), suite).outcome == PASS
    verdict = judge(slice_card({"state=tx": (0, 5)}), suite)
    assert verdict.outcome == INSUFFICIENT_DATA
    assert "no slice of state" in verdict.message


def test_among_many_slices_one_is_low_by_chance() -> None:
    # 29 of 40 against 85 %: for a single slice that is significant, for the worst of fifty it is not.
    suite = suite_of(slice_floors={"state": 0.85})
    alone = judge(slice_card({"state=a": (29, 40)}), suite).findings[-1].outcome
    among = judge(slice_card({"state=a": (29, 40)} | {f"state=b{i}": (39, 40) for i in range(49)}), suite)
    of_it = [f.outcome for f in among.findings if f.rule.startswith("state=a:")]
    assert (alone, of_it) == (FAIL, [INSUFFICIENT_DATA])


@pytest.mark.parametrize("change", [{"name": "other"}, {"split": "validation"}, {"confidence": 0.9}, {"held_out": "0" * 64}])
def test_a_scorecard_of_other_terms_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(BadInput, match="measure the bundle again"):
        judge(card({"cer": GOOD_CER}, 200), suite_of(**change))


def test_a_suite_without_a_bound_is_refused() -> None:
    with pytest.raises(BadInput, match="no threshold"):
        judge(card({"cer": GOOD_CER}, 200), suite_of(thresholds=(Threshold(metric="cer"),)))


def test_the_verdict_names_its_scorecard_by_content(tmp_path: Path) -> None:
    measured = card({"cer": GOOD_CER, "exact_match": exact(194, 200)}, 200)
    measured.write(tmp_path / "scorecard.json")
    verdict = judge(measured, suite_of())
    assert verdict.scorecard_sha256 == scorecard_sha256(Scorecard.read(tmp_path / "scorecard.json"))
    assert verdict.scorecard_sha256 != scorecard_sha256(replace(measured, samples=201))
    verdict.write(tmp_path / "verdict.json")
    assert Verdict.read(tmp_path / "verdict.json") == verdict


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_every_shipped_suite_loads_and_asks_for_something(path: Path) -> None:
    suite = load_suite(path)
    assert suite.name == path.stem
    assert all((t.below is None) != (t.above is None) for t in suite.thresholds)
    if path.stem in ("florida_plates", "us_plates"):  # what the training guide asks for
        assert {(t.metric, t.below, t.above) for t in suite.thresholds} == {("cer", 0.05, None), ("exact_match", None, 0.85)}
        assert suite.min_samples >= 100


def test_a_bound_on_a_metric_that_nobody_reports_names_those_that_are() -> None:
    measured = card({"cer": GOOD_CER, "exact_match": exact(194, 200)}, 200)
    with pytest.raises(BadInput, match=r"asks for `map50`.*it reports cer, exact_match"):
        judge(measured, suite_of(thresholds=(Threshold(metric="map50", above=0.75),)))
    with pytest.raises(BadInput, match="`psnr`"):
        judge(measured, suite_of(regression={"tolerance": {"psnr": 0.1}}))


def test_figures_of_any_task_are_judged_by_their_own_intervals() -> None:
    figures = {"map50": Figure(0.82, 0.78, 0.86, 200), "psnr": Figure(13.4, 12.9, 13.9, 200)}
    bounds = (Threshold(metric="map50", above=0.75), Threshold(metric="psnr", above=13.0))
    verdict = judge(card(figures, 200), suite_of(thresholds=bounds, unit="pages"))
    assert [finding.outcome for finding in verdict.findings] == [PASS, INSUFFICIENT_DATA]
    assert "PSNR > 13 dB: 13.400 dB" in verdict.message
    assert re.search(r"about \d+ more labelled pages", verdict.message)


def test_the_advice_counts_groups_where_crops_come_in_groups() -> None:
    only = suite_of(thresholds=(Threshold(metric="exact_match", above=0.85),))
    low, high = wilson(0.9 * 60, 60, 0.95)
    [finding] = judge(card({"exact_match": Figure(0.9, low, high, 300, 60.0)}, 300), only).findings
    more = int(re.findall(r"about ([\d,]+) more", finding.message)[0].replace(",", ""))
    assert 190 * 5 - 300 <= more <= 200 * 5 - 300  # 196 independent ones at 90 %, five crops each


@pytest.mark.parametrize(("plates", "outcome"), [(46, INSUFFICIENT_DATA), (120, PASS)])
def test_what_frames_vote_on_is_judged_by_the_number_of_plates(plates: int, outcome: str) -> None:
    suite = suite_of(thresholds=(Threshold(metric="voted_word_acc", above=0.5),), unit="crops")
    verdict = judge(card({"voted_word_acc": exact(round(0.87 * plates), plates)}, 5 * plates), suite)
    assert verdict.outcome == outcome
    assert f"{plates} plates" in verdict.findings[0].message


def test_a_figure_over_part_of_the_crops_stands_on_that_part() -> None:
    suite = suite_of(thresholds=(Threshold(metric="export_word_acc_cost", below=0.02),))
    assert judge(card({"export_word_acc_cost": Figure(0.0, 0.0, 0.0, 60)}, 6000), suite).outcome == INSUFFICIENT_DATA


def test_objects_on_pages_are_no_pages() -> None:
    suite = suite_of(thresholds=(Threshold(metric="map50", above=0.5),), unit="pages", min_samples=150)
    verdict = judge(card({"map50": Figure(0.9, 0.85, 0.95, 120)}, 200), suite)  # many pages are empty
    assert verdict.outcome == PASS
    assert "200 pages" in verdict.findings[0].message
