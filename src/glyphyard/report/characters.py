"""Plates with the characters that stand on them and those that were found, the worst first, and average precision by size."""

from __future__ import annotations

from typing import Any

from glyphyard.core.records import Scorecard
from glyphyard.report.crops import data_uri
from glyphyard.report.drawn import SIZES, told
from glyphyard.report.read import RunFiles

DRAWN = "drawn.parquet"


def characters_of(run: RunFiles) -> dict[str, Any] | None:
    """Return the drawn plates that the evaluation chose and the figures by size; None where nothing was evaluated."""
    path = run.folder / DRAWN
    if run.scorecard is None or not path.is_file():
        return None
    import pyarrow.parquet as pq

    try:
        plates = [_plate(row) for row in pq.read_table(path).to_pylist()]
    except (OSError, ValueError, KeyError) as error:  # pyarrow's errors are ValueErrors: a broken or foreign file
        run.notes.append(f"characters: {DRAWN} cannot be read ({str(error).splitlines()[0][:120]})")
        return None
    confidence = (run.bundle or {}).get("confidence")
    return {
        "plates": plates,
        "sizes": sizes_of(run.scorecard),
        "confidence": f"{confidence:.2f}" if isinstance(confidence, (int, float)) else "–",
        "reads": any(plate["read"] is not None for plate in plates),
        "shares": [{"name": name, **_shares(run.scorecard, prefix)} for name, prefix in (("boxes", ""), ("masks", "mask_"))],
    }


def _plate(row: dict[str, Any]) -> dict[str, Any]:
    missed, extra = int(row["missed"]), int(row["extra"])
    parts = [f"{missed} missed" if missed else "", f"{extra} too many" if extra else ""]
    return {
        "path": row["path"],
        "truth": row["truth"],
        "read": row["read"],
        "right": row["right"],
        "note": ", ".join(filter(None, parts)) or "all found",
        "true": data_uri(row["true"]),
        "found": data_uri(row["found"]),
    }


def sizes_of(card: Scorecard) -> list[dict[str, str]]:
    """Return average precision of boxes and masks by size, where there are characters of that size."""
    rows = []
    for suffix, name in SIZES:
        figure = card.figures.get(f"map50{suffix}")
        if figure and figure.value is not None:
            cells = {key: told(card.figures.get(f"{key}{suffix}")) for key in ("map50", "map", "mask_map50", "mask_map")}
            rows.append({"name": name, "count": f"{figure.count:,}", **cells})
    return rows


def _shares(card: Scorecard, prefix: str) -> dict[str, str]:
    return {name: told(card.figures.get(f"{prefix}{name}")) for name in ("precision", "recall", "f1")}
