"""Task recognition with PARSeq: it learns, reads, and is shipped as the CRNN is."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from learnable import FromMemory, crops, same_weights, tiny_recipe, train

from glyphyard.core.decoding import ATTENTION, decoder_of
from glyphyard.core.errors import BadInput
from glyphyard.recipe.recipe import Recipe
from glyphyard.tasks.base import Rows, weighted_sum
from glyphyard.tasks.recognition.task import Recognition
from glyphyard.training.checkpoint import load_parts, load_state

MODEL = {"network": "parseq", "embed_dim": 32, "depth": 1, "heads": 2, "decoder_heads": 2, "patch": [8, 8], "max_length": 5}


def parseq_recipe(stages: list[dict[str, object]] | None = None, **model: object) -> Recipe:
    return tiny_recipe(stages, model=MODEL | model)


def test_a_stage_that_says_nothing_learns_what_its_network_learns_by() -> None:
    assert [term.term for term in parseq_recipe().stages[0].losses] == ["plm"]
    assert [term.term for term in tiny_recipe().stages[0].losses] == ["ctc", "flat_start"]
    assert parseq_recipe() == Recipe.model_validate({k: v for k, v in parseq_recipe().to_json().items() if k != "suite"})


def test_the_loss_reaches_every_weight_and_predictions_are_readings() -> None:
    task = Recognition(parseq_recipe())
    parts, batch = task.build(), task.example_batch(3)
    weighted_sum(task.loss(parts, batch, task.recipe.stages[0]), task.recipe.stages[0], 0.0).backward()
    assert all(p.grad is not None for p in parts.parameters())
    readings = task.predict(parts.eval(), batch)
    assert len(readings) == 3
    assert all(0 <= reading.confidence <= 1 and len(reading.text) == len(reading.character_confidences) for reading in readings)
    spec = task.export_spec(parts)
    assert spec.decode == ATTENTION
    assert spec.module(*spec.example).shape[spec.batch_axes["output"]] == len(spec.example[0])


def test_sums_of_batches_add_up_to_the_sums_of_all() -> None:
    task = Recognition(parseq_recipe())
    parts, batch = task.build().eval(), task.example_batch(6)
    rows = Rows((batch.images[:, 0] * 255).round().to(torch.uint8), batch.texts, batch.ids, batch.targets)
    stage = task.recipe.stages[0]
    with torch.inference_mode():
        pieces = [task.measure(parts, task.collate(rows.take(torch.tensor(i)), None), stage) for i in ([0, 1, 2, 3], [4, 5])]
        whole = task.measure(parts, task.collate(rows, None), stage)
    torch.testing.assert_close(sum(pieces, task.new_sums()), whole, rtol=1e-5, atol=1e-5)


def test_the_device_decodes_what_validation_counts() -> None:
    task = Recognition(parseq_recipe())
    torch.manual_seed(0)
    log_probs = (torch.randn(6, 40, 37) + torch.tensor([3.0] + [0.0] * 36)).log_softmax(-1)
    from glyphyard.tasks.readers.scoring import ended_ids

    ids, lengths = ended_ids(log_probs)
    texts = [task.alphabet.decode(row[:length]) for row, length in zip(ids.tolist(), lengths.tolist())]
    readings = decoder_of(ATTENTION)(log_probs.numpy(), task.alphabet)
    assert [reading.text for reading in readings] == texts
    assert len(set(map(len, texts))) > 3
    for n, reading in enumerate(readings):
        best = log_probs.max(-1).values[: len(reading.text) + 1, n].exp()
        np.testing.assert_allclose(reading.character_confidences, best[: len(reading.text)], rtol=1e-5)
        assert math.isclose(reading.confidence, best.prod().item(), rel_tol=1e-4)


def test_it_learns_to_read(tmp_path: Path) -> None:
    recipe = parseq_recipe(
        [{"epochs": 14, "batch_size": 32, "lr": 4e-3, "precision": "fp32"}], embed_dim=48, dropout=0.0, max_length=2
    ).model_copy(update={"augmentation": tiny_recipe(augmentation={"rotate_deg": 0, "blur_sigma_px": 0}).augmentation})
    data = FromMemory(crops(320, seed=5, length=1), crops(40, seed=6, length=1))
    record = train(tmp_path, recipe, data)
    assert record.metrics["exact_match"] > 0.9, record.metrics


def test_a_resumed_run_draws_the_same_orders(tmp_path: Path) -> None:
    from learnable import Stop, StopAfter

    recipe = parseq_recipe([{"epochs": 2, "batch_size": 8}])
    train(tmp_path / "whole", recipe)
    with pytest.raises(Stop):
        train(tmp_path / "cut", recipe, watch=StopAfter(2))
    train(tmp_path / "cut", recipe)
    whole, cut = (load_state(tmp_path / name / "stage" / "last.pt")["parts"] for name in ("whole", "cut"))
    assert same_weights(whole, cut)


def test_a_text_longer_than_the_positions_is_refused() -> None:
    task = Recognition(parseq_recipe(max_length=3))
    with pytest.raises(BadInput, match=r"4 characters.*max_length 3"):
        task.loss(task.build(), task.example_batch(2), task.recipe.stages[0])


def test_released_weights_are_loaded_once_where_a_run_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []
    monkeypatch.setattr("glyphyard.tasks.readers.permuted.load_released", lambda network, which, alphabet: loaded.append(which))
    recipe = parseq_recipe([{"steps": 2}], pretrained="weights.pt")
    record = train(tmp_path, recipe)
    assert loaded == ["weights.pt"]
    train(tmp_path, recipe)  # finished: nothing begins
    load_parts(Path(record.path), Recognition(recipe).build())  # as export does
    assert loaded == ["weights.pt"]
