"""Segmentation learns, measures and ships what torchvision's Mask R-CNN finds."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from outlining import outlining_recipe, prepared

from glyphyard.core.errors import BadInput
from glyphyard.data.resident import load_resident
from glyphyard.nn.maskrcnn import TERMS
from glyphyard.tasks.base import Rows
from glyphyard.tasks.catalogue import task_of
from glyphyard.tasks.segmentation.outlined import detections_of, target_of
from glyphyard.tasks.segmentation.task import Segmentation


def task(**model: object) -> Segmentation:
    made = task_of(outlining_recipe(model=model))
    assert isinstance(made, Segmentation)
    return made


def rows(split: str = "train") -> Rows:
    found = load_resident(prepared(), split)
    return Rows(found.images, found.texts, found.ids, found.more)


def test_one_class_or_each_character():
    binary, alphabet = task(), task(classes="alphabet")
    assert binary.classes == ("character",)
    assert len(alphabet.classes) == 36
    batch = binary.collate(rows().take(torch.tensor([0, 1])), None)
    assert set(batch.targets["labels"].unique().tolist()) <= {0, 1}
    batch = alphabet.collate(rows().take(torch.tensor([0])), None)
    read = [alphabet.classes[i - 1] for i in batch.targets["labels"][0].tolist() if i]
    assert sorted(read) == sorted(batch.texts[0])


def test_targets_are_boxes_around_their_masks():
    some = task().collate(rows().take(torch.arange(4)), torch.Generator().manual_seed(1))
    for labels, outlines in zip(some.targets["labels"], some.targets["outlines"], strict=True):
        target = target_of(labels, outlines, 64, 128)
        assert len(target["labels"]) == int((labels > 0).sum())
        for box, mask in zip(target["boxes"], target["masks"], strict=True):
            ys, xs = torch.nonzero(mask, as_tuple=True)
            seen = torch.tensor([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
            assert (seen - box).abs().max() <= 1.5


def test_losses_are_the_five_and_reach_every_weight():
    made = task()
    torch.manual_seed(0)
    parts = made.build()
    parts.train()
    losses = made.loss(parts, made.collate(rows().take(torch.arange(2)), torch.Generator()), made.recipe.stages[0])
    assert set(losses) == set(TERMS)
    sum(losses.values()).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in parts.parameters())


def test_a_plate_with_nothing_on_it_can_be_learnt_from_and_measured():
    made = task()
    parts = made.build()
    batch = made.collate(rows().take(torch.arange(2)), None)
    batch.targets["labels"][:] = 0
    parts.train()
    losses = made.loss(parts, batch, made.recipe.stages[0])
    assert all(torch.isfinite(value) for value in losses.values())
    with torch.inference_mode():
        found = made.metrics(made.measure(parts.eval(), batch, made.recipe.stages[0]))
    assert math.isnan(found["map50"])
    assert found["loss"] > 0


class Oracle(torch.nn.Module):
    """A network that finds what it was told; in training it gives losses of one."""

    def __init__(self, answers: list[dict[str, torch.Tensor]]) -> None:
        super().__init__()
        self.answers = answers

    def forward(self, images, targets=None):
        if self.training:
            return {theirs: torch.tensor(1.0) for theirs in TERMS.values()}
        now, self.answers = self.answers[: len(images)], self.answers[len(images) :]
        return now


@pytest.mark.parametrize("classes", ["binary", "alphabet"])
def test_what_is_found_right_scores_one_and_what_is_missed_less(classes):
    made = task(classes=classes)
    every = made.collate(rows(), None)
    targets = [target_of(a, b, 64, 128) for a, b in zip(every.targets["labels"], every.targets["outlines"], strict=True)]

    def score(answers):
        oracle = torch.nn.ModuleDict({"model": Oracle(answers)}).eval()
        return made.metrics(made.measure(oracle, every, made.recipe.stages[0]))

    def answer(target, keep=slice(None)):
        count = len(target["labels"][keep])
        return {
            "boxes": target["boxes"][keep], "labels": target["labels"][keep], "scores": torch.full((count,), 0.9),
            "masks": target["masks"][keep, None].float(),
        }  # fmt: skip

    perfect = score([answer(t) for t in targets])
    assert perfect["map"] == perfect["mask_map"] == pytest.approx(1, abs=1e-6)
    assert perfect["f1"] == perfect["map50"] == pytest.approx(1, abs=1e-6)
    assert perfect["loss"] == pytest.approx(5)
    if classes == "alphabet":
        assert (perfect["exact_match"], perfect["cer"]) == (1.0, 0.0)
    else:
        assert math.isnan(perfect["exact_match"])
    worse = score([answer(t, slice(1, None)) for t in targets])
    assert worse["map50"] < 1
    if classes == "alphabet":
        assert worse["exact_match"] == 0
        assert worse["cer"] == pytest.approx(len(targets) / sum(map(len, every.texts)))


def test_the_loss_of_validation_needs_no_luck():
    made = task()
    torch.manual_seed(3)
    parts, batch = made.build().eval(), made.collate(rows().take(torch.arange(3)), None)
    with torch.inference_mode():
        first = made.measure(parts, batch, made.recipe.stages[0])
        torch.rand(7)
        state = torch.get_rng_state()
        again = made.measure(parts, batch, made.recipe.stages[0])
    assert torch.equal(first, again)
    assert torch.equal(torch.get_rng_state(), state)
    assert not parts["model"].training


@pytest.mark.parametrize(("height", "width"), [(64, 128), (48, 100)])
def test_what_is_shipped_finds_what_the_network_finds(height, width):
    image = {"height": height, "width": width, "channels": 3}
    recipe = outlining_recipe()
    made = task_of(
        recipe.model_copy(
            update={"dataset": recipe.dataset.model_copy(update={"image": recipe.dataset.image.model_copy(update=image)})}
        )
    )
    torch.manual_seed(2)
    parts = made.build().eval()
    images = torch.rand(1, 3, height, width)
    with torch.inference_mode():
        (theirs,) = parts["model"](list(images))
        boxes, labels, scores, masks = made.export_spec(parts).module(images)
    assert float(scores[-1]) == 0
    torch.testing.assert_close(boxes[:-1], theirs["boxes"], atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(scores[:-1], theirs["scores"])
    assert torch.equal(labels[:-1], theirs["labels"])
    assert masks.shape == (len(boxes), 28, 28)
    found = detections_of(theirs)
    assert found.masks is not None
    assert found.classes.tolist() == (labels[:-1] - 1).tolist()
    assert np.all(np.diff(found.scores) <= 0)


def test_rows_without_outlines_are_refused():
    bare = rows()
    bare.targets = {}
    with pytest.raises(BadInput, match="no outlines"):
        task().collate(bare, None)


def test_it_reads_and_has_examples():
    made = task(classes="alphabet")
    torch.manual_seed(1)
    parts, batch = made.build(), made.example_batch(2)
    assert [len(reading.text) == len(reading.character_confidences) for reading in made.predict(parts, batch)] == [True, True]
    assert batch.images.shape == (2, 3, 64, 128)
    assert made.targets(["A"]) == {}


def test_weights_that_are_not_there_are_said_and_those_that_are_are_loaded(tmp_path):
    made = task(pretrained="imagenet")
    parts = made.build()
    said = made.warm_start(parts)
    assert said is not None
    assert "random" in said or "starts from imagenet" in said
    torch.save(parts["model"].state_dict(), tmp_path / "own.pth")
    other = task(pretrained=str(tmp_path / "own.pth"))
    fresh = other.build()
    assert str(tmp_path / "own.pth") in (other.warm_start(fresh) or "")
    assert all(torch.equal(a, b) for a, b in zip(fresh.parameters(), parts.parameters(), strict=True))


def test_boxes_keep_their_places_in_bfloat16() -> None:
    made, seen = task(), []
    parts, batch = made.build(), made.example_batch(1)
    heads = parts["model"].roi_heads
    choose = heads.select_training_samples
    heads.select_training_samples = lambda proposals, targets: seen.append(proposals[0].dtype) or choose(proposals, targets)
    with torch.autocast("cpu", torch.bfloat16):
        made.loss(parts.train(), batch, made.recipe.stages[0])
        with torch.inference_mode():
            found = parts.eval()["model"](list(batch.images))[0]
    assert seen == [torch.float32]
    assert found["boxes"].dtype == torch.float32
