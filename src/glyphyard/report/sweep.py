"""One self-contained report.html for a sweep, from its folder alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from glyphyard.core.files import read_json, write_text, writing
from glyphyard.core.redact import redact
from glyphyard.recipe.sweep import AshaConfig, halvings
from glyphyard.report.svg import Format, percent, short
from glyphyard.report.sweep_charts import TrialLine, curves_chart, history_chart, parallel_chart, slice_chart
from glyphyard.report.wording import duration, moment

NO_RATES = ("loss", "psnr", "ssim")
TONES = {"winner": "pass", "inside_the_noise": "unsure", "no_candidate": "none"}
STAMPS = {"winner": "WINNER", "inside_the_noise": "INSIDE THE NOISE", "no_candidate": "NO CANDIDATE"}


def write_sweep_report(folder: Path) -> Path:
    """Write report.html into a sweep's folder from sweep.json, trials.json and decision.json."""
    target = Path(folder) / "report.html"
    page = render_sweep(Path(folder))
    with writing(target, "free some space; the sweep goes on with --resume"):
        write_text(target, page)
    return target


def render_sweep(folder: Path) -> str:
    """Return the page as one HTML text."""
    templates = Environment(
        loader=PackageLoader("glyphyard.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    templates.filters |= {"duration": duration}
    style = Markup(templates.loader.get_source(templates, "style.css")[0])  # type: ignore[union-attr]
    return templates.get_template("sweep.html.j2").render(style=style, **sweep_context(folder))


def sweep_context(folder: Path) -> dict[str, Any]:
    """Return everything that the template shows."""
    stated, found = read_json(folder / "sweep.json"), read_json(folder / "trials.json")
    decision, sweep = read_json(folder / "decision.json"), stated["sweep"]
    trials = [_trial(row) for row in found["trials"]]
    metric, lower = decision["metric"], decision["direction"] == "minimize"
    form: Format = short if metric in NO_RATES else percent
    importances = sorted(found["importances"].items(), key=lambda item: -item[1])
    known = [path for path, _ in importances]
    paths = known + [path for path in sweep["space"] if path not in known]
    logs = {path for path, dimension in sweep["space"].items() if dimension.get("loguniform")}
    epochs = max((int(e) for t in trials for e, _ in t.curve), default=1)
    best = folder / "best_recipe.yaml"
    return {
        "name": sweep["name"],
        "description": sweep["description"],
        "folder": folder.name,
        "started": moment(_environment(folder).get("started")),
        "decision": decision,
        "tone": TONES[decision["outcome"]],
        "stamp": STAMPS[decision["outcome"]],
        "metric": metric,
        "tiles": _tiles(trials, decision, found["time"], form),
        "confirmed": [_contender(c, form, base=i == 0) for i, c in enumerate([decision["base"], *decision["candidates"]])],
        "history": history_chart(trials, lower, form, decision["base"]["mean"]),
        "curves": curves_chart(trials, form, halvings(epochs, AshaConfig(**sweep["asha"])) if sweep["asha"] else []),
        "asha": sweep["asha"],
        "parallel": parallel_chart(trials, paths, logs, metric, lower, form),
        "importances": [{"path": p, "share": round(100 * v, 1)} for p, v in importances],
        "slices": [{"path": p, "svg": svg} for p in paths if (svg := slice_chart(trials, p, p in logs, form))],
        "trials": [_row(t, form, paths) for t in _ranked(trials, lower)],
        "time": found["time"],
        "rest": list(found["time"]["rest_s"].items()),
        "winner": found["winner"],
        "recipe": redact(best.read_text(encoding="utf-8")) if best.is_file() else "",
    }


def _trial(row: dict[str, Any]) -> TrialLine:
    curve = [(float(epoch), float(value)) for epoch, value in row["curve"]]
    return TrialLine(row["name"], row["state"], row["values"], row["value"], curve, row["reason"], row["seconds"])


def _environment(folder: Path) -> dict[str, Any]:
    path = folder / "environment.json"
    return dict(read_json(path)) if path.is_file() else {}


def _tiles(trials: list[TrialLine], decision: dict[str, Any], time: dict[str, Any], form: Format) -> list[dict[str, str]]:
    counts = {state: sum(t.state == state for t in trials) for state in ("complete", "stopped", "failed")}
    base, noise = decision["base"]["mean"], decision["noise"]
    share = time["training_share"]
    tiles = [
        {"name": "trials", "value": str(len(trials)), "note": ", ".join(f"{n} {s}" for s, n in counts.items() if n)},
        {
            "name": "base recipe",
            "value": form(base) if base is not None else "–",
            "note": f"mean of {len(decision['base']['scores'])} seeds",
        },
        {
            "name": "seed noise",
            "value": f"±{form(noise)}" if noise is not None else "–",
            "note": "standard deviation between seeds",
        },
        {
            "name": "wall clock",
            "value": duration(time["wall_s"]),
            "note": f"{share:.0%} in training" if share is not None else "",
        },
    ]
    if winner := next((c for c in decision["candidates"] if c["name"] == decision["winner"]), None):
        tiles.insert(
            0, {"name": f"winner {winner['name']}", "value": form(winner["mean"]), "note": decision["metric"] + " on validation"}
        )
    return tiles


def _contender(one: dict[str, Any], form: Format, base: bool) -> dict[str, Any]:
    return {
        "name": "base recipe" if base else one["name"],
        "values": "" if base else _values(one["values"]),
        "mean": form(one["mean"]) if one["mean"] is not None else "–",
        "scores": " · ".join(f"{form(v)} (seed {s})" for s, v in zip(one["seeds"], one["scores"], strict=True)),
        "p_value": "" if one["p_value"] is None else ("< 0.001" if one["p_value"] < 0.001 else f"{one['p_value']:.3f}"),
        "verdict": "" if base else "beats the base recipe" if one["beats_base"] else "inside the noise",
        "note": one["note"],
    }


def _ranked(trials: list[TrialLine], lower: bool) -> list[TrialLine]:
    order = {"complete": 0, "stopped": 1}
    sign = 1 if lower else -1
    return sorted(trials, key=lambda t: (order.get(t.state, 2), sign * (t.last if t.last is not None else 0.0), t.name))


def _row(trial: TrialLine, form: Format, paths: list[str]) -> dict[str, Any]:
    return {
        "name": trial.name,
        "state": trial.state,
        "tone": {"complete": "pass", "stopped": "unsure", "failed": "fail"}.get(trial.state, "none"),
        "value": form(trial.last) if trial.last is not None else "–",
        "epochs": f"{trial.curve[-1][0]:g}" if trial.curve else "0",
        "time": duration(trial.seconds) if trial.seconds is not None else "–",
        "values": _values({p: trial.values[p] for p in paths if p in trial.values}),
        "reason": trial.reason,
    }


def _values(values: dict[str, Any]) -> str:
    return ", ".join(f"{path} = {f'{v:.4g}' if isinstance(v, float) else v}" for path, v in values.items())
