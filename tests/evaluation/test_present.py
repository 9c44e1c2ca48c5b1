"""The verdict for machines and reviewers: what stands in it, and that no label can break out of it."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from little_disk import little_disk

from glyphyard.core.errors import BadInput
from glyphyard.core.records import Figure, Scorecard
from glyphyard.evaluation.baseline import Outcomes
from glyphyard.evaluation.conclude import conclude
from glyphyard.evaluation.gate import judge
from glyphyard.evaluation.held_out import HeldOutRow
from glyphyard.evaluation.present import markdown, write_junit
from glyphyard.recipe.suite import SuiteConfig

SUITE = SuiteConfig.model_validate(
    {
        "name": "s",
        "thresholds": [{"metric": "cer", "below": 0.05}, {"metric": "exact_match", "above": 0.85}],
        "min_samples": 50,
        "equivalences": ["0O"],
    }
)
GOOD, SHAKY, BAD = Figure(0.98, 0.95, 0.99, 200), Figure(0.88, 0.8, 0.93, 200), Figure(0.7, 0.6, 0.8, 200)


def card(exact: Figure, slices: dict[str, dict[str, Figure]] | None = None) -> Scorecard:
    cer = Figure(0.01, 0.005, 0.02, 1400)
    figures = {
        "cer": cer,
        "exact_match": exact,
        "raw_cer": Figure(0.03, 0.02, 0.04, 1400),
        "raw_exact_match": Figure(0.81, 0.7, 0.9, 200),
    }
    return Scorecard("s", "d", "test", "h", "b" * 64, 200, 200, 0.95, figures, slices or {}, [], [], [], {}, equivalences=["0O"])


def test_junit_has_one_case_a_finding(tmp_path: Path) -> None:
    for exact, failures, skipped in ((GOOD, "0", "0"), (SHAKY, "0", "1"), (BAD, "1", "0")):
        write_junit(tmp_path / "junit.xml", judge(card(exact), SUITE))
        suite = ET.parse(tmp_path / "junit.xml").getroot()[0]
        assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("2", failures, skipped)
        assert [case.get("name") for case in suite] == ["CER < 5%", "exact match > 85%"]


def test_both_figures_are_shown() -> None:
    text = markdown(judge(card(GOOD), SUITE), card(GOOD), SUITE)
    assert "PASS" in text.splitlines()[0]
    row = next(line for line in text.splitlines() if line.startswith("| exact match"))
    assert "98.00%" in row
    assert "81.00%" in row
    assert "O≡0" in text
    assert "about" in markdown(judge(card(SHAKY), SUITE), card(SHAKY), SUITE)


def test_no_label_breaks_out_of_its_cell(tmp_path: Path) -> None:
    hostile = "A|B`<script>\n@everyone\x07"
    rows = [HeldOutRow("a", hostile, hostile)]
    zero, one = np.array([0]), np.array([1])
    before = Outcomes(rows, [hostile], np.array(["g"]), zero, one, np.array([True]), [])
    after = Outcomes(rows, [""], np.array(["g"]), one, one, np.array([False]), [])
    measured = card(GOOD, {f"state={hostile}": {"exact_match": GOOD, "cer": GOOD}})
    verdict = judge(measured, SUITE.model_copy(update={"slice_floors": {"state": 0.99}}))
    text = markdown(verdict, measured, SUITE, (before, after))
    [changed] = [line for line in text.splitlines() if line.startswith("| `A¦B")]
    assert changed.count("|") == 5
    assert changed.count("`") == 6
    assert "(nothing)" in changed
    listed = [line for line in text.splitlines() if line.startswith("- ")]
    assert not any("<" in line.replace("&lt;", "") and "script" in line and "<script" in line for line in listed)
    write_junit(tmp_path / "junit.xml", verdict)
    assert ET.parse(tmp_path / "junit.xml").getroot() is not None


@pytest.mark.parametrize("most_bytes", [100, 400])
def test_a_full_disk_is_one_line_and_leaves_no_verdict(tmp_path: Path, most_bytes: int) -> None:
    with little_disk(most_bytes), pytest.raises(BadInput, match="cannot be written") as caught:
        conclude(card(GOOD), SUITE, tmp_path)
    assert caught.value.where == str(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} <= {"junit.xml"}, "what is there is whole"
