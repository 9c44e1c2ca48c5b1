"""Which parts of a network learn in a stage; the others stay exactly as they are."""

from __future__ import annotations

from torch import nn

from glyphyard.core.errors import BadInput
from glyphyard.recipe.stage import StageConfig


def choose_parts(parts: nn.ModuleDict, stage: StageConfig) -> list[str]:
    """Freeze what the stage does not train and return the names of the parts that learn, in order."""
    where = f"stage `{stage.name}`"
    if unknown := sorted({*stage.train, *stage.freeze} - set(parts)):
        raise BadInput(where, f"expected parts among {sorted(parts)}, found {unknown}", "correct `train` and `freeze`")
    if both := sorted(set(stage.train) & set(stage.freeze)):
        raise BadInput(where, f"parts {both} are both trained and frozen", "leave them in one list")
    if not stage.train:
        raise BadInput(where, "no part learns", f"name some of {sorted(parts)} in `train`")
    learning = [name for name in parts if name in stage.train]
    for name, part in parts.items():
        part.requires_grad_(name in learning)
    return learning


def set_modes(parts: nn.ModuleDict, learning: list[str]) -> None:
    """Put learning parts into training mode and frozen ones into evaluation mode (their batch norms stand still)."""
    for name, part in parts.items():
        part.train(name in learning)
