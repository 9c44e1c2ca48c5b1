"""What the shipped form of a super-resolution recogniser costs, word by word, against the form that reads best.

Both read what the generator makes of held-out rows; the interval over plates is drawn where the scorecard is made.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from glyphyard.core.errors import BadInput
from glyphyard.core.pixels import PixelContract
from glyphyard.core.records import DatasetManifest
from glyphyard.edge.recognizer import Recognizer
from glyphyard.edge.restorer import to_images
from glyphyard.edge.session import OnnxSession
from glyphyard.export.crops import BATCH, split_of, spread_rows, to_array
from glyphyard.recipe.model import ParseqConfig
from glyphyard.recipe.recipe import Recipe
from glyphyard.recipe.restorer import RestorerConfig
from glyphyard.tasks.catalogue import task_of

SPLITS = ("test", "validation")  # held-out rows have a low side for good
MOST_HELD_OUT = 4096
Say = Callable[[str], None]


@dataclass(frozen=True)
class HeldOut:
    """Low-resolution sides of held-out rows, uint8, their texts as the alphabet writes them, and which plate they show.

    `content_sha256` is the split's, of whose `rows` these are evenly spread ones where there are too many.
    """

    small: list[np.ndarray]
    texts: list[str]
    groups: list[str]
    content_sha256: str
    rows: int


@dataclass(frozen=True)
class FormCost:
    """Which held-out words the most careful form of the recogniser reads right, and which the shipped one, (N,) bool each."""

    trained: np.ndarray
    exported: np.ndarray

    def shares(self) -> dict[str, float]:
        """Return both word accuracies, and the count."""
        return {
            "trained_word_acc": float(self.trained.mean()),
            "exported_word_acc": float(self.exported.mean()),
            "samples": float(len(self.trained)),
        }

    def by_group(self, groups: list[str]) -> list[list[int]]:
        """Return [words lost, crops, how many such plates]: all that an interval over plates needs."""
        _, number = np.unique(np.array(groups), return_inverse=True)
        lost = np.bincount(number, weights=self.trained.astype(int) - self.exported.astype(int)).astype(int)
        found = Counter(zip(lost.tolist(), np.bincount(number).tolist(), strict=True))
        return [[*kind, plates] for kind, plates in sorted(found.items())]


def read_held_out(dataset: Path, manifest: DatasetManifest, recipe: Recipe, most: int = MOST_HELD_OUT) -> HeldOut:
    """Return the test split's low side (validation's where there is none); of a larger one `most` rows, evenly spread."""
    if manifest.low_pixels is None:
        raise BadInput(str(dataset), "has no rows in two resolutions", "state dataset.low_resolution")
    split, low, alphabet = (
        split_of(dataset, manifest, SPLITS),
        PixelContract(**manifest.low_pixels),
        recipe.dataset.the_alphabet(),
    )
    rows = list(spread_rows(dataset, split, most, ("lr_pixels", "text", "group")))
    return HeldOut(
        [to_array(row["lr_pixels"], low) for row in rows],
        [alphabet.canonical(row["text"]) for row in rows],
        [row["group"] for row in rows],
        split.content_sha256,
        split.rows,
    )


def form_cost(
    recipe: Recipe,
    parts: nn.ModuleDict,
    session: OnnxSession,
    recogniser: Recognizer,
    held_out: HeldOut,
    low: PixelContract,
    say: Say,
) -> FormCost:
    """Read what the generator makes in the most careful form in torch and in the shipped one."""
    careful = careful_recipe(recipe)
    task = task_of(careful)
    network = task.build()["model"]
    network.load_state_dict(parts["recogniser"].state_dict())
    network.eval()
    pixels = PixelContract(recipe.dataset.image.height, recipe.dataset.image.width, recipe.dataset.image.channels)
    right: dict[str, list[bool]] = {"trained": [], "exported": []}
    alphabet = recipe.dataset.the_alphabet()
    for start in range(0, len(held_out.texts), BATCH):
        truths = held_out.texts[start : start + BATCH]
        made = to_images(session.run(low.batch(held_out.small[start : start + BATCH])))
        with torch.inference_mode():
            log_probs = network(torch.from_numpy(pixels.batch(made)))
        trained = task.reader.readings(log_probs)  # type: ignore[attr-defined]  # task recognition has a reader
        for name, readings in (("trained", trained), ("exported", recogniser.read_many(made))):
            right[name] += [alphabet.canonical(r.text) == t for r, t in zip(readings, truths, strict=True)]
    cost, count = FormCost(np.array(right["trained"]), np.array(right["exported"])), len(held_out.texts)
    of = "" if count == held_out.rows else f" of {held_out.rows}"
    say(
        f"export: on {count}{of} held-out crops the shipped form reads {cost.exported.mean():.1%} of the words, "
        f"the trained one {cost.trained.mean():.1%}"
    )
    return cost


def careful_recipe(recipe: Recipe) -> Recipe:
    """Return the recogniser's recipe in the form that reads best: one character after the other, then refined."""
    view = as_recogniser(recipe)
    if not isinstance(view.model, ParseqConfig):
        return view
    careful = view.model.model_copy(update={"decode": "autoregressive", "refine": max(1, view.model.refine)})
    return view.model_copy(update={"model": careful})


def as_recogniser(recipe: Recipe) -> Recipe:
    """Return the recipe of the recogniser alone, as task recognition sees it."""
    assert isinstance(recipe.model, RestorerConfig)
    return recipe.model_copy(
        update={"task": "recognition", "model": recipe.model.recogniser, "name": f"{recipe.name}-recogniser"}
    )
