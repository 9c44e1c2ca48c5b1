"""The page: sections into one template, everything inline, nothing fetched, nothing run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from glyphyard.core.files import write_text, writing
from glyphyard.core.redact import redact
from glyphyard.report.background import audit_of, environment_of, identity_of, timings_of, training_of, yaml_of
from glyphyard.report.catalogue import page_of, sections_of
from glyphyard.report.crops import Crops, choose_crops
from glyphyard.report.read import RunFiles
from glyphyard.report.results import confidence_of, confusion_of, headlines_of, slices_of, verdict_of
from glyphyard.report.wording import duration, moment, words


def write_report(run_dir: Path) -> Path:
    """Write report.html into a run folder from what lies there; missing pieces are said on the page."""
    run = RunFiles.read(Path(run_dir))
    target = run.folder / "report.html"
    page = render(run)
    with writing(target, "free some space, then `glyphyard report` writes it; a run goes on with --resume"):
        write_text(target, page)
    return target


def render(run: RunFiles) -> str:
    """Return the page as one HTML text."""
    environment, style = templates()
    return environment.get_template("report.html.j2").render(style=style, **context(run))


def templates() -> tuple[Environment, Markup]:
    """Return the template environment and the style sheet that all pages share."""
    # Autoescape for every name: labels, paths and messages come from outside.
    environment = Environment(
        loader=PackageLoader("glyphyard.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"words": words, "duration": duration}
    return environment, Markup(environment.loader.get_source(environment, "style.css")[0])  # type: ignore[union-attr]


def context(run: RunFiles) -> dict[str, Any]:
    """Return everything that the template shows."""
    card, crops = run.scorecard, _crops(run)
    return {
        "name": run.recipe.get("name") or run.folder.name,
        "description": run.recipe.get("description") or "",
        "folder": run.folder.name,
        "started": moment(run.environment.get("started")),
        "verdict": verdict_of(run),
        "headlines": headlines_of(run),
        "stages": training_of(run),
        "card": card,
        "confusion": confusion_of(card) if card and card.confusion else None,
        "crops": crops,
        "sections": sections_of(run),
        "reads": page_of(run).reads and (card is None or "exact_match" in card.figures),
        "slices": slices_of(run, card) if card and any("exact_match" in f for f in card.slices.values()) else None,
        "confidence": confidence_of(card) if card else None,
        "audit": audit_of(run),
        "timings": timings_of(run),
        "environment": environment_of(run),
        "identity": identity_of(run),
        "recipe": redact(yaml_of(run.recipe)) if run.recipe else "",
        "command": redact(str(run.environment.get("command") or f"glyphyard run recipes/{run.recipe.get('name')}.yaml")),
        "release": run.release,
        "notes": run.notes,
    }


def _crops(run: RunFiles) -> Crops | None:
    path = run.folder / "samples.parquet"
    if not path.is_file():
        return None
    split = run.scorecard.split if run.scorecard else "test"
    try:
        return choose_crops(path, run.dataset, run.manifest, split, run.recipe, page_of(run).enlarges)
    except (OSError, ValueError, KeyError) as error:  # pyarrow's errors are ValueErrors: a broken or foreign file
        run.notes.append(f"samples: {path.name} cannot be read ({str(error).splitlines()[0][:120]})")
        return None
