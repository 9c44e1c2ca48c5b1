from __future__ import annotations

import math

import pytest
import torch
from learnable import tiny_recipe

from glyphyard.core.errors import BadInput
from glyphyard.tasks.base import Rows, weighted_sum
from glyphyard.tasks.catalogue import task_of
from glyphyard.tasks.recognition.task import Recognition


@pytest.fixture
def task() -> Recognition:
    return Recognition(tiny_recipe(dataset={"equivalences": ["0O"]}))


def test_the_catalogue_builds_the_task_of_a_recipe() -> None:
    assert isinstance(task_of(tiny_recipe()), Recognition)


def test_targets_are_folded_and_padded(task: Recognition) -> None:
    targets = task.targets(["AO", "0", "A00B"])
    assert targets["lengths"].tolist() == [2, 1, 4]
    assert targets["labels"][0].tolist() == [11, 1, 0, 0]
    assert targets["labels"][1].tolist() == [1, 0, 0, 0]


def test_a_character_outside_the_alphabet_is_refused(task: Recognition) -> None:
    with pytest.raises(BadInput, match="Ä"):
        task.targets(["AÄ"])


def test_sums_of_batches_add_up_to_the_sums_of_all(task: Recognition) -> None:
    parts, stage, batch = task.build().eval(), task.recipe.stages[0], task.example_batch(6)
    whole = task.measure(parts, batch, stage)
    rows = Rows((batch.images[:, 0] * 255).round().to(torch.uint8), batch.texts, batch.ids, batch.targets)
    pieces = [task.measure(parts, task.collate(rows.take(torch.tensor(i)), None), stage) for i in ([0, 1, 2, 3], [4, 5])]
    torch.testing.assert_close(
        sum(pieces, task.new_sums()), task.measure(parts, task.collate(rows, None), stage), rtol=1e-5, atol=1e-5
    )
    assert whole[1] == 6
    assert set(task.metrics(whole)) == set(task.metric_names)


def test_metrics_of_nothing_are_nan(task: Recognition) -> None:
    assert all(map(math.isnan, task.metrics(task.new_sums()).values()))


def test_the_loss_learns_and_what_is_shipped_is_the_model(task: Recognition) -> None:
    parts, batch = task.build(), task.example_batch(3)
    weighted_sum(task.loss(parts, batch, task.recipe.stages[0]), task.recipe.stages[0], 0.0).backward()
    assert all(p.grad is not None for p in parts.parameters())
    spec = task.export_spec(parts)
    output = spec.module(*spec.example)
    assert output.shape[spec.batch_axes["output"]] == spec.example[0].shape[spec.batch_axes["input"]]
    assert len(task.predict(parts.eval(), batch)) == 3


def test_augmentation_needs_dice(task: Recognition) -> None:
    rows = Rows(torch.randint(0, 256, (4, 32, 64), dtype=torch.uint8), ["A"] * 4, torch.arange(4), {})
    plain = task.collate(rows, None).images
    torch.testing.assert_close(plain[:, 0] * 255, rows.images.float())
    assert not torch.equal(task.collate(rows, torch.Generator().manual_seed(1)).images, plain)


def test_a_width_that_steps_do_not_divide_is_refused() -> None:
    with pytest.raises(BadInput, match="multiple of 4"):
        Recognition(tiny_recipe(dataset={"image": {"width": 66}}))
