"""Run folders as the pipeline leaves them, for what registers and promotes them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from glyphyard.core.files import canonical_json, sha256_bytes, sha256_file, write_json
from glyphyard.core.records import Figure, Finding, Release, Scorecard, Verdict
from glyphyard.recipe.recipe import Recipe
from glyphyard.registry import register


def a_recipe(model_name: str = "reader", **registration: Any) -> Recipe:
    """Return a small recipe that registers as `model_name`."""
    return Recipe.model_validate(
        {
            "name": "tiny",
            "task": "recognition",
            "dataset": {"sources": [{"kind": "synthetic_plates", "name": "made", "count": 10}]},
            "stages": [{"name": "main", "epochs": 2}],
            "evaluate": {"suite": "suite.yaml"},
            "register": {"model_name": model_name, **registration},
        }
    )


def a_run(
    store: Path,
    name: str,
    outcome: str | None = "PASS",
    cer: float = 0.01,
    recipe: Recipe | None = None,
    real: Path | None = None,
) -> Path:
    """Write a run folder with everything that registration looks at; `real` is copied as its bundle."""
    run = store / name
    bundle, stage = run / "bundle", run / "stages" / "0-main"
    stage.mkdir(parents=True)
    write_json(run / "recipe.json", (recipe or a_recipe()).to_json())
    write_json(run / "dataset.json", {"folder": "../datasets/" + "d" * 16})
    (store / "datasets" / ("d" * 16)).mkdir(parents=True, exist_ok=True)
    write_json(store / "datasets" / ("d" * 16) / "manifest.json", {"fingerprint": "d" * 16})
    write_json(store / "datasets" / ("d" * 16) / "audit.json", {"counts": {"unreadable": 1}})
    if real:
        shutil.copytree(real, bundle)
    else:
        (bundle / "targets").mkdir(parents=True)
        (bundle / "model.onnx").write_bytes(name.encode() * 100)
        (bundle / "targets" / "plan.json").write_text("{}")
        files = {"model.onnx": sha256_file(bundle / "model.onnx")}
        provenance = {"checkpoint_sha256": "c" * 64}
        write_json(bundle / "bundle.json", {"name": name, "files": files, "provenance": provenance})
    lines = [{"epoch": e, "loss": 1 / e, "validation": {"cer": 0.1 / e}, "note": "x", "nan": float("nan")} for e in (1, 2)]
    (stage / "metrics.jsonl").write_text("\n".join(json.dumps(line) for line in lines) + '\n{"epoch": 3, "lo')
    figures = {"cer": Figure(cer, cer / 2, cer * 2, 900), "exact_match": Figure(0.95, 0.9, 0.97, 150)}
    card = Scorecard(
        "plates", "d" * 16, "test", "e" * 64, sha256_file(bundle / "bundle.json"), 150, 140, 0.95, figures, {}, [], [], [], {}
    )
    card.write(run / "scorecard.json")
    if outcome:
        scorecard_sha256 = sha256_bytes(canonical_json(card.to_json()).encode())
        finding = Finding("cer < 0.05", outcome, cer, cer / 2, cer * 2, 0.05, 150, "words")
        Verdict(outcome, "plates", [finding], "words", scorecard_sha256).write(run / "verdict.json")
    return run


def registered(run: Path, recipe: Recipe, store: Path, said: list[str] | None = None) -> Release:
    """Register a run folder as the pipeline's last step does."""
    verdict = Verdict.read(run / "verdict.json") if (run / "verdict.json").exists() else None
    return register(run, recipe, verdict, store, (said if said is not None else []).append)
