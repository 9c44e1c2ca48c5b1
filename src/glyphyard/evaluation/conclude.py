"""Scorecard, suite and baseline → the verdict, written for machines (JSON, JUnit) and for reviewers (Markdown)."""

from __future__ import annotations

from pathlib import Path

from glyphyard.core.records import Finding, Scorecard, Verdict
from glyphyard.evaluation.baseline import FOLDER, Outcomes, load_baseline, load_outcomes
from glyphyard.evaluation.gate import judge
from glyphyard.evaluation.present import write_junit, write_markdown
from glyphyard.evaluation.regression import regression_findings
from glyphyard.evaluation.samples import writing_scores
from glyphyard.recipe.suite import SuiteConfig


def conclude(
    scorecard: Scorecard, suite: SuiteConfig, out: Path, baseline: str | None = None, baselines: Path = FOLDER
) -> Verdict:
    """Judge the scorecard whose samples.parquet lies in `out`; write verdict.json, junit.xml and verdict.md there."""
    findings: list[Finding] = []
    compared: tuple[Outcomes, Outcomes] | None = None
    name = None
    if baseline is not None:
        champion, before = load_baseline(baseline, baselines)
        after = load_outcomes(out / "samples.parquet", with_samples=True) if before is not None else None
        findings, name = regression_findings(champion, before, scorecard, after, suite), champion.name
        compared = (before, after) if before is not None and after is not None else None
    verdict = judge(scorecard, suite, findings, name)
    with writing_scores(out):
        write_junit(out / "junit.xml", verdict)
        write_markdown(out / "verdict.md", verdict, scorecard, suite, compared)
        verdict.write(out / "verdict.json")
    return verdict
