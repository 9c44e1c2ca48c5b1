"""Metrics and figures as the verdict writes them."""

from __future__ import annotations

from glyphyard.core.records import Figure
from glyphyard.recipe.suite import NOT_A_SHARE

LABELS = {
    "cer": "CER",
    "wer": "WER",
    "exact_match": "exact match",
    "length_accuracy": "length accuracy",
    "word_acc": "word accuracy",
    "map50": "mAP@0.5",
    "map": "mAP@0.5:0.95",
    "map50_95": "mAP@0.5:0.95",
    "psnr": "PSNR",
    "ssim": "SSIM",
    "char_acc": "character accuracy",
    "voted_word_acc": "word accuracy over all frames",
    "word_acc_gain": "gain in word accuracy over bicubic",
    "export_word_acc_cost": "word accuracy lost by exporting",
}


def label(metric: str) -> str:
    """Return a metric's name for people."""
    if metric.startswith("raw_"):
        return f"{label(metric[4:])} as written"
    for prefix, of in (("bicubic_", "bicubic"), ("hr_", "high resolution"), ("as_is_", "crops as they are"), ("mask_", "masks")):
        if metric.startswith(prefix):
            return f"{label(metric.removeprefix(prefix))} of {of}"
    return LABELS.get(metric, metric.replace("_", " "))


def bound_words(metric: str, value: float) -> str:
    """Return a bound as it was stated: 5%, 12.5 dB."""
    return f"{value:.4g} {NOT_A_SHARE[metric]}".strip() if metric in NOT_A_SHARE else f"{100 * value:.4g}%"


def amount(metric: str, value: float | None) -> str:
    """Return a measured value: 4.12%, 13.40 dB, – where there is none."""
    if value is None:
        return "–"
    return f"{value:.3f} {NOT_A_SHARE[metric]}".strip() if metric in NOT_A_SHARE else f"{value:.2%}"


def with_interval(metric: str, figure: Figure, confidence: float) -> str:
    """Return a value with its interval and the interval's confidence."""
    if figure.low is None or figure.high is None:
        return f"{amount(metric, figure.value)} (no interval: too few groups)"
    ends = f"{amount(metric, figure.low)} to {amount(metric, figure.high)}"
    return f"{amount(metric, figure.value)} ({100 * confidence:.4g}% interval {ends})"


def change(metric: str, value: float) -> str:
    """Return a difference with its sign: +1.20 points, −0.4 dB."""
    if metric in NOT_A_SHARE:
        return f"{value:+.3f} {NOT_A_SHARE[metric]}".strip().replace("-", "−")
    return f"{100 * value:+.2f} points".replace("-", "−")


def settle(more: int, unit: str) -> str:
    """Say how many more labels a decision takes."""
    return f"about {more:,} more labelled {unit} would settle it"
