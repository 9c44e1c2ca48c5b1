"""Crops in several views, side by side, with what was read under each: low resolution, bicubic, made, high resolution."""

from __future__ import annotations

from typing import Any

from glyphyard.core.records import Figure, Scorecard
from glyphyard.report.crops import STRIPS, data_uri
from glyphyard.report.read import RunFiles
from glyphyard.report.wording import rate

VIEWS = (
    ("low", "low resolution"),
    ("bicubic", "bicubic"),
    ("made", "super-resolution"),
    ("hr", "high resolution"),
    ("as_is", "as it is"),
)
TABLE = (("bicubic_", "bicubic"), ("", "super-resolution"), ("hr_", "high resolution"), ("as_is_", "as it is"))


def strips_of(run: RunFiles) -> dict[str, Any] | None:
    """Return the strips that the evaluation chose and the figures of each view; None where nothing was evaluated."""
    path = run.folder / STRIPS
    if run.scorecard is None or not path.is_file():
        return None
    import pyarrow.parquet as pq

    try:
        rows = pq.read_table(path).to_pylist()
        strips = [_strip(row) for row in rows]
    except (OSError, ValueError, KeyError) as error:  # pyarrow's errors are ValueErrors: a broken or foreign file
        run.notes.append(f"strips: {STRIPS} cannot be read ({str(error).splitlines()[0][:120]})")
        return None
    views = [view["name"] for view in strips[0]["views"]] if strips else []
    return {"views": views, "strips": strips, "table": _table(run.scorecard)}


def _strip(row: dict[str, Any]) -> dict[str, Any]:
    views = [
        {"name": name, "image": data_uri(row[key]), "read": row.get(f"{key}_read"), "right": row.get(f"{key}_exact")}
        for key, name in VIEWS
        if row.get(key) is not None
    ]
    return {"truth": row["truth"], "views": views, "psnr": "" if row["psnr"] is None else f"{row['psnr']:.1f} dB"}


def _table(card: Scorecard) -> list[dict[str, str]]:
    return [
        {
            "view": name,
            "word": _share(card.figures.get(f"{prefix}word_acc")),
            "voted": _share(card.figures.get(f"{prefix}voted_word_acc")),
            "char": _share(card.figures.get(f"{prefix}char_acc")),
            "psnr": _number(card.figures.get(f"{prefix}psnr"), ".2f", " dB"),
            "ssim": _number(card.figures.get(f"{prefix}ssim"), ".3f", ""),
        }
        for prefix, name in TABLE
        if f"{prefix}word_acc" in card.figures
    ]


def _share(figure: Figure | None) -> str:
    if figure is None or figure.value is None:
        return "–"
    between = f" ({rate(figure.low)} – {rate(figure.high)})" if figure.low is not None else ""
    return rate(figure.value) + between


def _number(figure: Figure | None, form: str, unit: str) -> str:
    return "–" if figure is None or figure.value is None else format(figure.value, form) + unit
