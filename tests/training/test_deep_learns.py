"""The handwriting configuration (deep trunk, three LSTM layers, 64 pixels high, umlauts) learns: lines known by heart."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from learnable import FromMemory, part, tiny_recipe, train

from glyphyard.data.resident import ResidentSplit
from glyphyard.data.synth_words import render_words
from glyphyard.recipe.load import load_recipe

RECIPE = Path(__file__).parents[2] / "recipes" / "handwriting_crnn.yaml"


def lines(count: int) -> ResidentSplit:
    """Return drawn lines of handwriting, 64×128 pixels."""
    drawn = [render_words(2, i, 0.3) for i in range(count)]
    images = [cv2.resize(cv2.cvtColor(line.image_bgr, cv2.COLOR_BGR2GRAY), (128, 64)) for line in drawn]
    return ResidentSplit(
        torch.from_numpy(np.stack(images)), [line.text for line in drawn], torch.arange(count), ["drawn"] * count
    )


@pytest.mark.slow
def test_four_lines_are_learned_by_heart(tmp_path: Path) -> None:
    four = lines(4)
    stage = load_recipe(RECIPE).stages[0]
    recipe = tiny_recipe(
        [
            {
                "epochs": 12,
                "batch_size": 4,
                "lr": 4e-3,
                "optimizer": stage.optimizer.model_dump(),
                "schedule": stage.schedule.model_dump(),
                "select": "loss",
                "guards": [{"metric": "exact_match", "max": 0.99}],
                "losses": [{"term": "ctc"}, {"term": "flat_start", "fade": 0.2}],
            }
        ],
        dataset={
            "alphabet": load_recipe(RECIPE).dataset.alphabet,
            "case": "keep",
            "drop": "",
            "image": {"height": 64, "width": 128},
        },
        model={
            "trunk": "deep",
            "channels": [8, 12, 16, 24],
            "blocks": [1, 1, 1, 1],
            "features": 48,
            "hidden": 48,
            "dropout": 0.0,
        },
        augmentation={"rotate_deg": 0.0, "brightness": 0.0, "contrast": 0.0, "blur_sigma_px": 0.0},
    )
    record = train(tmp_path, recipe, FromMemory(part(four, torch.arange(4).repeat(30)), four))
    assert record.stopped.startswith("guard: exact_match"), record.metrics
    assert any(c in "äöüß" for text in four.texts for c in text)
