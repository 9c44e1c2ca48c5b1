"""Keys, rates, times and durations as a person reads them."""

from __future__ import annotations

from typing import Any

from glyphyard.recipe.suite import NOT_A_SHARE

NAMES = {"cer": "CER", "map50": "mAP@0.5", "map": "mAP@0.5:0.95"}
NAMES |= {f"mask_{name}": f"{NAMES[name]} of masks" for name in ("map50", "map")}


def rate(value: float | None) -> str:
    """Return a rate for a table: 0.0123 → 1.23%."""
    if value is None:
        return "–"
    return f"{value * 100:.2f}%" if 0 < abs(value) < 0.1 else f"{value * 100:.1f}%"


def amount(name: str, value: float | None) -> str:
    """Return a metric as a person reads it: 20.31 dB, 0.634, 87.5%."""
    if value is None or name not in NOT_A_SHARE:
        return rate(value)
    return f"{value:.2f} dB" if NOT_A_SHARE[name] else f"{value:.3f}"


def duration(seconds: float) -> str:
    """Return seconds as a person says them."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def moment(value: Any) -> str:
    """Return an ISO time to the minute, as a person reads it."""
    text = str(value or "")
    return f"{text[:10]} {text[11:16]}" + (" UTC" if text.endswith(("+00:00", "Z")) else "") if len(text) > 16 else text


def words(name: str) -> str:
    """Return a key as words."""
    return NAMES.get(name, name.replace("_", " "))
