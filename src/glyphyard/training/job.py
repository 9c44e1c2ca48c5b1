"""What a launcher hands to the loop."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from glyphyard.core.naming import stage_title
from glyphyard.recipe.recipe import Recipe
from glyphyard.recipe.stage import StageConfig

LAST, BEST, CHECKPOINT = "last.pt", "best.pt", "checkpoint.json"


@dataclass(frozen=True)
class StageJob:
    """One stage to train, with resolved paths; `stage_dir/last.pt` is resumed from if it is there."""

    recipe: Recipe
    stage_index: int
    dataset: Path
    stage_dir: Path
    parent: Path | None = None  # checkpoint to start from: the previous stage's best, or the file that `init` names
    checkpoint_every_s: float = 60.0  # besides the one at each epoch's end

    @property
    def stage(self) -> StageConfig:
        """Return the stage's own configuration."""
        return self.recipe.stages[self.stage_index]

    @property
    def title(self) -> str:
        """Return what the stage's figures are called by."""
        return stage_title(self.stage.name, self.stage_index, len(self.recipe.stages))

    @property
    def last(self) -> Path:
        """Return where the newest state is kept."""
        return self.stage_dir / LAST

    def epoch(self, number: int) -> Path:
        """Return where the state after epoch `number` (from 1) is kept if the stage keeps every epoch."""
        return self.stage_dir / f"epoch_{number:03d}.pt"

    @property
    def best(self) -> Path:
        """Return where the state of the best validation is kept."""
        return self.stage_dir / BEST
