"""The sections about how the result came about: training, data, time, machine, recipe; a section without data is None."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from glyphyard.report.charts import Series, bar_chart, line_chart
from glyphyard.report.read import RunFiles, StageFiles
from glyphyard.report.svg import Format, percent, short
from glyphyard.report.wording import amount, duration, moment, words

MOST_FINDINGS = 40
MOST_NAMED = 8  # epochs in a sentence


def training_of(run: RunFiles) -> list[dict[str, Any]]:
    """Each stage's curves and how it ended."""
    return [_stage(stage, len(run.stages)) for stage in run.stages]


def _stage(stage: StageFiles, stages: int) -> dict[str, Any]:
    best = stage.checkpoint.epoch or None if stage.checkpoint else None
    train, held = ("train_loss", "loss"), ("val_loss",)
    wanted: list[tuple[str, list[tuple[str, tuple[str, ...], str]], Format]] = [
        ("Loss", [("training", train, "s1"), ("validation", held, "s2")], short),
        ("Character error rate", [("validation", ("val_cer", "cer"), "s2")], percent),
        ("Exact match", [("validation", ("val_exact_match", "exact_match"), "s2")], percent),
        ("PSNR in dB", [("validation", ("psnr",), "s2")], short),
        ("SSIM", [("validation", ("ssim",), "s2")], short),
        ("Average precision", [("mAP@0.5", ("map50",), "s1"), ("mAP@0.5:0.95", ("map",), "s2")], percent),
        ("Average precision of masks", [("mAP@0.5", ("mask_map50",), "s1"), ("mAP@0.5:0.95", ("mask_map",), "s2")], percent),
        ("Precision and recall", [("precision", ("precision",), "s1"), ("recall", ("recall",), "s2")], percent),
        ("Words and characters read", [("words", ("word_acc",), "s1"), ("characters", ("char_acc",), "s2")], percent),
        (
            "Difficulty of the training rows",
            [("mean", ("hard_mining_stats",), "s1"), ("hard ones", ("hard_share",), "s2")],
            percent,
        ),
        ("Learning rate", [("learning rate", ("lr",), "s1")], short),
    ]
    charts = []
    for title, lines, form in wanted:
        series = [Series(name, points, colour) for name, keys, colour in lines if (points := _points(stage.epochs, keys))]
        if series:
            mark = None if title == "Learning rate" else best
            charts.append(
                {
                    "title": title,
                    "svg": line_chart(title, series, form=form, mark=mark, may_be_log=title == "Loss"),
                    "series": series,
                }
            )
    checkpoint = stage.checkpoint
    facts = []
    if checkpoint:
        metrics = ", ".join(f"{words(k)} {_metric(k, v)}" for k, v in checkpoint.metrics.items() if v is not None)
        facts = [f"{checkpoint.stopped} after {duration(checkpoint.seconds)}", checkpoint.chosen, metrics]
    if back := [row for row in stage.epochs if row.get("went_back")]:
        epochs = ", ".join(str(row.get("epoch")) for row in back[:MOST_NAMED]) + (" …" if len(back) > MOST_NAMED else "")
        facts.append(f"a guard took {len(back)} of {len(stage.epochs)} epochs back ({epochs}), the last {back[-1]['went_back']}")
    return {"name": stage.name, "title": f"Stage {stage.name}" if stages > 1 else "", "charts": charts, "facts": " · ".join(filter(None, facts)),
            "epochs": len(stage.epochs)}  # fmt: skip


def _points(epochs: list[dict[str, Any]], keys: Iterable[str]) -> list[tuple[float, float]]:
    """Return (epoch, value) of the first of `keys` that any epoch has."""
    for key in keys:
        found = [(record.get("epoch", i), record.get(key)) for i, record in enumerate(epochs, 1)]
        points = [(float(at), float(v or 0)) for at, v in found if _finite(at) and _finite(v)]
        if points:
            return points
    return []


def _finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _metric(name: str, value: float) -> str:
    return f"{value:.4f}" if "loss" in name else amount(name, value)


def audit_of(run: RunFiles) -> dict[str, Any] | None:
    """Splits, findings by kind, and histograms of lengths and characters."""
    if not run.audit and not run.manifest:
        return None
    found = [f for f in run.audit.get("findings", ()) if isinstance(f, dict)]
    statistics: dict[str, Any] = run.audit.get("statistics") or {}
    splits = []
    for name, split in (run.manifest.splits if run.manifest else {}).items():
        splits.append({"name": name, "rows": split.rows, "groups": split.groups, "sha256": split.content_sha256})
    sources = [(str(k), v) for k, v in (run.audit.get("rows") or {}).items() if isinstance(v, dict)]
    kinds = Counter((str(f.get("kind")), str(f.get("severity", "error"))) for f in found)
    lengths, characters = _histogram(statistics, "label_lengths"), _histogram(statistics, "characters")
    return {
        "splits": splits,
        "sources": sources,
        "bad_rows": run.manifest.bad_rows if run.manifest else None,
        "kinds": [{"kind": words(k), "severity": s, "count": n} for (k, s), n in kinds.most_common()],
        "findings": found[:MOST_FINDINGS],
        "hidden": max(0, len(found) - MOST_FINDINGS),
        "never": "".join(map(str, statistics.get("characters_never_seen") or ())),
        "lengths": bar_chart("labels by length", lengths, "characters in a label") if lengths else None,
        "characters": bar_chart("characters in all labels", characters, "character") if characters else None,
    }


def _histogram(statistics: Mapping[str, Any], name: str) -> list[tuple[str, float]]:
    value = statistics.get(name)
    return [(str(k), float(v)) for k, v in value.items()] if isinstance(value, dict) else []


def timings_of(run: RunFiles) -> list[dict[str, Any]]:
    """How long each step took."""
    rows = [(str(s.get("name", "?")), float(s["seconds"]), str(s.get("summary", ""))) for s in run.steps]
    most = max((seconds for _, seconds, _ in rows), default=0) or 1
    return [
        {
            "name": name,
            "time": duration(seconds),
            "share": round(100 * seconds / most, 1),
            "summary": summary.partition(": ")[2] or summary,
        }
        for name, seconds, summary in rows
    ]


def environment_of(run: RunFiles) -> dict[str, list[tuple[str, str]]]:
    """The machine, and every version that any step recorded."""
    plain = [
        (words(k), moment(v) if k == "started" else str(v))
        for k, v in run.environment.items()
        if not isinstance(v, (dict, list)) and k != "command"
    ]
    versions = dict(run.environment.get("packages") or {})
    for record in (run.manifest, run.scorecard):
        versions |= {k: v for k, v in (record.versions if record else {}).items() if k not in versions}
    return {"machine": plain, "versions": sorted((str(k), str(v)) for k, v in versions.items() if v)}


def identity_of(run: RunFiles) -> list[tuple[str, str]]:
    """The hashes that tell whether two runs are about the same thing."""
    provenance = (run.bundle or {}).get("provenance") or {}
    pairs = [
        ("run", run.folder.name),
        ("recipe", provenance.get("recipe_fingerprint")),
        ("dataset", run.manifest.fingerprint if run.manifest else None),
        ("held-out split", run.scorecard.split_sha256 if run.scorecard else None),
        ("checkpoint", provenance.get("checkpoint_sha256")),
        ("bundle", run.scorecard.bundle_sha256 if run.scorecard else None),
        ("scorecard", run.verdict.scorecard_sha256 if run.verdict else None),
        ("seed", run.recipe.get("seed")),
    ]
    return [(name, str(value)) for name, value in pairs if value is not None]


def yaml_of(value: Any, depth: int = 0) -> str:
    """Return the recipe as YAML to read (JSON scalars are YAML)."""
    pad = "  " * depth
    if isinstance(value, dict):
        lines = [f"{pad}{k}:{_tail(v, depth)}" for k, v in value.items()]
        return "\n".join(lines)
    return "\n".join(f"{pad}-{_tail(v, depth).replace(chr(10) + '  ' * (depth + 1), ' ', 1)}" for v in value)


def _tail(value: Any, depth: int) -> str:
    nested = isinstance(value, dict) or (isinstance(value, list) and any(isinstance(v, (dict, list)) for v in value))
    return "\n" + yaml_of(value, depth + 1) if nested and value else " " + json.dumps(value, ensure_ascii=False)
