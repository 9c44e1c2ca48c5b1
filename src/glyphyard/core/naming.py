"""What a stage's figures are called in TensorBoard and in MLflow: `stage2_lcofl/val_word_acc`, `main/train_loss`."""

from __future__ import annotations

WHOLE = ("loss", "lr", "crops_per_s", "seconds", "hard_mining_stats", "hard_share")  # neither of training nor of validation


def stage_title(name: str, index: int, stages: int) -> str:
    """Return what a stage is called among the figures: its name, with its number where there are several."""
    return f"stage{index}_{name}" if stages > 1 else name


def figure_name(key: str) -> str:
    """Return what a key of metrics.jsonl is called: `cer` is measured on validation, so it is `val_cer`."""
    return key if key in WHOLE or key.startswith(("train_", "val_")) or "/" in key else f"val_{key}"
