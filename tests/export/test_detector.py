"""A detector's bundle is its checkpoint in numbers and in boxes, or nothing is written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from dark_pages import CANVAS, dark_recipe, page, random_places, write_pages
from torch import nn

from glyphyard.core.capacity import Capacity
from glyphyard.core.detection_metrics import Truth
from glyphyard.core.errors import BadInput, StepFailed
from glyphyard.core.yolo import BoxRule
from glyphyard.data.prepare_pages import prepare_pages
from glyphyard.edge.detector import Detector
from glyphyard.export.detector import Seen, check_parity, export_detector
from glyphyard.training.checkpoint import save_state

RECIPE = dark_recipe(Path("/pages"), export={"max_batch": 3, "golden": 2})


def raw(batch: np.ndarray) -> np.ndarray:
    """Return a head's output (N, 5, 2): two boxes on each canvas, one surer than the other."""
    one = np.array([[20, 40], [20, 40], [10, 10], [10, 12], [0.9, 0.6]], np.float32)
    return np.repeat(one[None], len(batch), axis=0)


def seen() -> Seen:
    canvas, _ = CANVAS.fit(page([(1, 1)]))
    return Seen([canvas], [Truth(np.zeros((0, 4)), np.zeros(0, np.int64))])


def changed(channel: int, box: int, by: float) -> object:
    def run(batch: np.ndarray) -> np.ndarray:
        output = raw(batch)
        output[:, channel, box] += by
        return output

    return run


def test_two_runs_that_agree_are_compared_box_by_box() -> None:
    worst, compared = check_parity(raw, raw, seen(), CANVAS, BoxRule(0.5), RECIPE, 1)
    assert worst == 0
    assert compared == 2 * (1 + 2 + 3)


@pytest.mark.parametrize(
    ("channel", "by", "problem"), [(4, 0.01, "differ by 1.00e-02"), (0, 1.0, "differ by 1.56e-02"), (2, np.nan, "differ by inf")]
)
def test_a_number_that_differs_stops_the_export(channel: int, by: float, problem: str) -> None:
    with pytest.raises(StepFailed, match=problem):
        check_parity(raw, changed(channel, 0, by), seen(), CANVAS, BoxRule(0.5), RECIPE, 1)  # type: ignore[arg-type]


def test_another_shape_stops_the_export() -> None:
    with pytest.raises(StepFailed, match=r"torch gives \(1, 5, 2\), the ONNX \(1, 5, 1\)"):
        check_parity(raw, lambda batch: raw(batch)[..., :1], seen(), CANVAS, BoxRule(0.5), RECIPE, 1)


@pytest.mark.slow
def test_a_checkpoint_becomes_a_bundle_that_finds_what_torch_finds(tmp_path: Path) -> None:
    from glyphyard.nn.yolo import build_yolo

    sides = {"train": random_places(4, 1), "val": random_places(4, 2), "test": random_places(2, 3)}
    recipe = dark_recipe(write_pages(tmp_path / "pages", sides), export={"max_batch": 3, "golden": 2})
    dataset = prepare_pages(recipe.dataset, Capacity(300), tmp_path / "store", in_process=True)
    torch.manual_seed(1)
    network = build_yolo(recipe.model, ["handwriting"])  # type: ignore[arg-type]
    for branch in network.model[-1].cv3:  # type: ignore[index, union-attr]
        nn.init.normal_(branch[-1].weight, std=0.5)  # so that some boxes are surer than others
        nn.init.zeros_(branch[-1].bias)
    weights = {f"model.{name}": value for name, value in network.state_dict().items()}
    save_state({"parts": weights, "ema": weights}, tmp_path / "best.pt")
    said: list[str] = []
    record = export_detector(recipe, tmp_path / "best.pt", dataset, tmp_path / "bundle", said.append)
    assert record.strings_compared > 0
    assert record.max_abs_difference < 1e-3
    assert set(record.files) == {"bundle.json", "model.onnx", "golden.npz"}
    assert Detector(tmp_path / "bundle").replay() == 2
    assert any("chosen on 4 validation pages" in line for line in said)
    with pytest.raises(BadInput, match="do not fit"):
        export_detector(
            recipe.model_copy(update={"model": recipe.model.model_copy(update={"size": "s"})}),
            tmp_path / "best.pt", dataset, tmp_path / "other", said.append,
        )  # fmt: skip
    assert not (tmp_path / "other").exists()
