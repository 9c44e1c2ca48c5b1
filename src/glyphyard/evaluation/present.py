"""The verdict for machines and reviewers: JUnit XML for the CI's test view, Markdown for the pull request."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

from glyphyard.core.files import atomic_path, write_text
from glyphyard.core.records import Figure, Finding, Scorecard, Verdict
from glyphyard.evaluation.baseline import Outcomes
from glyphyard.evaluation.words import amount, label
from glyphyard.recipe.suite import SuiteConfig

SIGNS = {"PASS": "✅", "FAIL": "❌", "INSUFFICIENT_DATA": "❔"}
HEADLINES = {
    "PASS": "PASS",
    "FAIL": "FAIL",
    "INSUFFICIENT_DATA": "INSUFFICIENT DATA: these crops cannot tell",
}
MOST_CROPS = 20
_XML_FORBIDDEN = dict.fromkeys([*range(9), 11, 12, *range(14, 32), 0xFFFE, 0xFFFF])


def write_junit(path: Path, verdict: Verdict) -> None:
    """Write one test case a finding: FAIL is a failure, INSUFFICIENT_DATA is skipped, with the message as the reason."""
    outcomes = [finding.outcome for finding in verdict.findings]
    counts = {"tests": len(outcomes), "failures": outcomes.count("FAIL"), "skipped": outcomes.count("INSUFFICIENT_DATA")}
    attributes = {"name": f"glyphyard.{verdict.suite}", "errors": "0"} | {name: str(count) for name, count in counts.items()}
    suites = ET.Element("testsuites")
    suite = ET.SubElement(suites, "testsuite", attributes)
    for finding in verdict.findings:
        case = ET.SubElement(suite, "testcase", classname=f"{verdict.suite}.{finding.kind}", name=_xml(finding.rule))
        if finding.outcome == "FAIL":
            ET.SubElement(case, "failure", message=_xml(finding.message))
        elif finding.outcome == "INSUFFICIENT_DATA":
            ET.SubElement(case, "skipped", message=_xml(finding.message))
    with atomic_path(path) as temporary:
        ET.ElementTree(suites).write(temporary, encoding="utf-8", xml_declaration=True)


def _xml(text: str) -> str:
    return text.translate(_XML_FORBIDDEN)


def write_markdown(
    path: Path, verdict: Verdict, scorecard: Scorecard, suite: SuiteConfig, compared: tuple[Outcomes, Outcomes] | None
) -> None:
    """Write verdict.md; `compared` holds the baseline's readings and the new ones of the same crops."""
    write_text(path, markdown(verdict, scorecard, suite, compared))


def markdown(
    verdict: Verdict, scorecard: Scorecard, suite: SuiteConfig, compared: tuple[Outcomes, Outcomes] | None = None
) -> str:
    """Return the verdict as Markdown: outcome, figures under the text policy and as written, findings, changes, slices."""
    parts = [
        f"## {SIGNS[verdict.outcome]} Eval gate: {HEADLINES[verdict.outcome]}",
        f"Suite `{scorecard.suite}` on {scorecard.samples:,} {scorecard.split} {suite.unit} in {scorecard.groups:,} groups"
        + (f", against baseline `{verdict.baseline}`" if verdict.baseline else "")
        + ".",
        _figures(scorecard),
        _findings("Bounds", [f for f in verdict.findings if f.kind == "bound"]),
        _findings("Floors of slices", [f for f in verdict.findings if f.kind == "floor"]),
        _findings("Against the baseline", [f for f in verdict.findings if f.kind == "regression"]),
        *(_changes(*compared) if compared else ()),
        _slices(scorecard, suite),
        f"<sub>bundle {_short(scorecard.bundle_sha256)} · held-out set {_short(scorecard.held_out)} · "
        f"dataset {scorecard.dataset_fingerprint} · {100 * scorecard.confidence:.4g}% confidence</sub>",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def policy_words(scorecard: Scorecard) -> str:
    """Say what the suite counts as the same: "O≡0, case ignored"."""
    same = ["≡".join(sorted(group, reverse=True)) for group in scorecard.equivalences]
    return ", ".join([*same, *(["case ignored"] if scorecard.case == "ignore" else [])])


def _figures(scorecard: Scorecard) -> str:
    policy = policy_words(scorecard)
    lines = [f"| | {_cell(f'with {policy}')} | as written |", "|---|---|---|"] if policy else ["| | measured |", "|---|---|"]
    for metric, figure in scorecard.figures.items():
        if metric.startswith("raw_"):
            continue
        cells = [label(metric), _with_ends(metric, figure)]
        if policy:
            raw = scorecard.figures.get(f"raw_{metric}")
            cells.append(_with_ends(metric, raw) if raw else "")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _with_ends(metric: str, figure: Figure) -> str:
    if figure.low is None or figure.high is None:
        return amount(metric, figure.value)
    return f"{amount(metric, figure.value)} ({amount(metric, figure.low)} – {amount(metric, figure.high)})"


def _findings(title: str, findings: Sequence[Finding]) -> str:
    if not findings:
        return ""
    shown = [f for f in findings if f.outcome != "PASS"] or findings[:6]
    lines = [f"- {SIGNS[finding.outcome]} {_plain(finding.message)}" for finding in shown]
    hidden = len(findings) - len(shown)
    return "\n".join([f"### {title}", *lines, *([f"- {SIGNS['PASS']} {hidden} more pass"] if hidden else [])])


def _changes(before: Outcomes, after: Outcomes) -> list[str]:
    lost = [i for i in range(len(after.rows)) if before.exact[i] and not after.exact[i]]
    won = [i for i in range(len(after.rows)) if after.exact[i] and not before.exact[i]]
    return [_crops("Now misread", lost, before, after), _crops("Now read right", won, before, after)]


def _crops(title: str, rows: Sequence[int], before: Outcomes, after: Outcomes) -> str:
    if not rows:
        return ""
    lines = ["| crop | truth | baseline read | now read |", "|---|---|---|---|"]
    for i in rows[:MOST_CROPS]:
        cells = [after.rows[i].path, after.rows[i].text, before.read[i], after.read[i]]
        lines.append("| " + " | ".join(f"`{_cell(cell)}`" if cell else "(nothing)" for cell in cells) + " |")
    more = f"\n\n… and {len(rows) - MOST_CROPS:,} more" if len(rows) > MOST_CROPS else ""
    return f"<details><summary>{title}: {len(rows):,}</summary>\n\n" + "\n".join(lines) + more + "\n\n</details>"


def _slices(scorecard: Scorecard, suite: SuiteConfig) -> str:
    rows = [
        (name, figures["exact_match"], figures.get("cer"))
        for name, figures in scorecard.slices.items()
        if "exact_match" in figures and figures["exact_match"].value is not None
    ]
    if not rows:
        return ""
    rows.sort(key=lambda row: (row[1].value or 0.0, row[0]))
    lines = [f"| slice | {_cell(suite.unit)} | exact match | CER |", "|---|---|---|---|"]
    for name, exact, cer in rows[:MOST_CROPS]:
        lines.append(
            f"| `{_cell(name)}` | {exact.count:,} | {_with_ends('exact_match', exact)} | {amount('cer', cer.value) if cer else ''} |"
        )
    return f"<details><summary>Slices, the worst first ({len(rows)})</summary>\n\n" + "\n".join(lines) + "\n\n</details>"


def _cell(text: str) -> str:
    # A label is anybody's text: it may neither end the cell nor the code span, nor open a tag or mention a person.
    return text.replace("|", "¦").replace("`", "ˋ").replace("\n", " ").replace("\r", " ")


def _plain(text: str) -> str:
    return _cell(text).replace("<", "&lt;").replace("@", "@\u200b")


def _short(digest: str) -> str:
    kind, colon, value = digest.rpartition(":")
    return f"{kind}{colon}`{value[:12]}`" if value else "–"
