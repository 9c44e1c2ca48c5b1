"""The super-resolution task: what learns in which stage, how it is measured, and that both sides of a pair move alike."""

from __future__ import annotations

import pytest
import torch
from restoring import GENERATOR, RECOGNISER, STAGES, restoring_recipe

from glyphyard.core.errors import BadInput
from glyphyard.data.augment import to_float
from glyphyard.recipe.stage import LossTerm
from glyphyard.tasks.base import Rows, weighted_sum
from glyphyard.tasks.catalogue import task_of
from glyphyard.tasks.super_resolution.pairs import Pairs, pair_up
from glyphyard.tasks.super_resolution.task import SUMS, SuperResolution
from glyphyard.training.parts import choose_parts, set_modes

STAGE = {stage["name"]: i for i, stage in enumerate(STAGES)}


def made(name: str) -> tuple[SuperResolution, torch.nn.ModuleDict, object]:
    torch.manual_seed(0)
    task = task_of(recipe := restoring_recipe())
    assert isinstance(task, SuperResolution)
    stage = recipe.stages[STAGE[name]]
    parts = task.build()
    set_modes(parts, choose_parts(parts, stage))
    return task, parts, stage


@pytest.mark.parametrize("name", list(STAGE))
def test_only_the_parts_of_a_stage_get_a_gradient(name: str) -> None:
    task, parts, stage = made(name)
    batch = task.example_batch(3)
    terms = task.loss(parts, batch, stage)
    weighted_sum(terms, stage, 0.5).backward()
    assert {term.term for term in stage.losses} <= set(terms)
    learnt = {n for n, part in parts.items() if any(p.grad is not None and p.grad.abs().sum() > 0 for p in part.parameters())}
    assert learnt == set(stage.train)
    assert (batch.misread is not None) == (name == "hard_mining")
    if batch.misread is not None:
        assert batch.misread.shape == (3,)
        assert ((batch.misread >= 0) & (batch.misread <= 1)).all()


def test_reading_alone_never_makes_a_low_side() -> None:
    task, parts, stage = made("pretrain")
    batch = task.example_batch(2)
    broken = Pairs(batch.images, batch.texts, batch.ids, batch.targets, make_low=lambda: 1 / 0)
    assert set(task.loss(parts, broken, stage)) == {"plm"}
    metrics = task.metrics(task.measure(parts.eval(), broken, stage))
    assert metrics["psnr"] != metrics["psnr"]  # NaN: no picture was made
    assert 0 <= metrics["char_acc"] <= 1


@pytest.mark.parametrize("reader", [RECOGNISER, {"network": "crnn", "channels": [4, 4, 4, 4], "features": 16, "hidden": 16}])
def test_sums_add_up_over_batches(reader: dict) -> None:
    recipe = restoring_recipe(model={"generator": {"scale": 2, **GENERATOR}, "recogniser": reader})
    task, stage = task_of(recipe), recipe.stages[STAGE["lcofl"]]
    torch.manual_seed(0)
    parts = task.build().eval()
    whole = task.example_batch(6)
    with torch.inference_mode():
        at_once = task.measure(parts, whole, stage)
        in_two = sum(
            task.measure(
                parts,
                Pairs(whole.images[s], whole.texts[s], whole.ids[s], {k: v[s] for k, v in whole.targets.items()}, make_low=lambda s=s: whole.low[s]),
                stage,
            )
            for s in (slice(0, 3), slice(3, 6))
        )  # fmt: skip
    counted = [SUMS.index(n) for n in ("samples", "pictures", "psnr", "ssim", "exact", "edits", "characters")]
    assert torch.allclose(at_once[counted], in_two[counted], rtol=1e-4)
    assert torch.equal(at_once[len(SUMS) :], in_two[len(SUMS) :])
    assert at_once[len(SUMS) :].sum() >= 6 * 4


@pytest.mark.parametrize("name", ["pretrain", "finetune"])
def test_the_loss_of_a_validation_weighs_what_is_read_as_training_does(name: str) -> None:
    task, parts, stage = made(name)
    batch = task.example_batch(3)
    found = []
    for weight in (0.0, 1.0, 3.0):
        losses = (*(term for term in stage.losses if term.term != "plm"), LossTerm(term="plm", weight=weight))
        sums = task.measure(parts.eval(), batch, stage.model_copy(update={"losses": losses}))
        found.append(task.metrics(sums)["loss"])
    assert found[1] > found[0]
    assert found[2] - found[0] == pytest.approx(3 * (found[1] - found[0]), rel=1e-4)


def test_the_loss_of_a_validation_knows_nothing_of_the_one_before() -> None:
    task, parts, stage = made("lcofl")
    batch, books = task.example_batch(3), parts["confusion"]
    found = []
    confused = torch.zeros(task.alphabet.num_classes, task.alphabet.num_classes)
    first, second = batch.targets["labels"].unique()[-2:].tolist()
    confused[first, second], confused[first, first], confused[second, second] = 3, 1, 4  # one of the characters is misread
    for counts, psnr_db in ((torch.zeros_like(confused), 30.0), (confused, 5.0)):  # above and far below the floor
        books.take(counts, psnr_db)
        found.append((task.measure(parts.eval(), batch, stage), task.loss(parts, batch, stage)["lcofl"]))
    assert torch.equal(found[0][0], found[1][0])
    assert found[1][1] < found[0][1]  # training alone turns to the picture
    assert books.weights().max() > 1  # and to what is confused


@pytest.mark.parametrize(("form", "mining"), [("differentiable", {"reweight_interval": 1}), ("official", None)])
def test_a_recogniser_that_learns_is_looked_at_without_learning_from_that(form: str, mining: dict | None) -> None:
    network = {"network": "crnn", "channels": [4, 6, 8, 10], "blocks": [1, 1, 1, 1], "features": 16, "hidden": 16, "dropout": 0.2}
    recipe = restoring_recipe(model={"generator": {"scale": 2, **GENERATOR}, "recogniser": network, "lcofl": {"form": form}})
    task = task_of(recipe)
    stage = recipe.stages[STAGE["finetune"]].model_copy(update={"losses": (LossTerm(term="l1"), LossTerm(term="lcofl"))})
    mined = stage.model_copy(update={"hard_mining": recipe.stages[STAGE["hard_mining"]].hard_mining}) if mining else stage
    plain = stage if mining else stage.model_copy(update={"losses": (LossTerm(term="l1"),)})
    batch = task.example_batch(4)
    seen = []
    for each in (plain, mined):
        torch.manual_seed(0)
        parts = task.build()
        set_modes(parts, choose_parts(parts, each))
        task.loss(parts, batch, each)
        assert parts["recogniser"].training
        seen.append({name: value.clone() for name, value in parts["recogniser"].named_buffers()})
    assert all(torch.equal(seen[0][name], value) for name, value in seen[1].items())


def test_the_confusion_is_taken_once_and_only_where_pictures_are_made() -> None:
    task, parts, stage = made("lcofl")
    classes = task.alphabet.num_classes
    sums = task.new_sums()
    counts = torch.eye(classes, dtype=torch.float64) * 10
    counts[1, 2] = 30  # the first character is misread three times in four
    sums[SUMS.index("samples")] = sums[SUMS.index("pictures")] = 5
    sums[SUMS.index("psnr")] = 5 * 11.0
    sums[len(SUMS) :] = counts.flatten()
    task.remember(parts, sums, made("pretrain")[2])
    assert (parts["confusion"].weights() == 1).all()
    task.remember(parts, sums, stage)
    weights = parts["confusion"].weights()
    assert weights.argmax() == 1
    assert parts["confusion"].psnr_db == pytest.approx(11.0)


def test_both_sides_of_a_pair_turn_alike_and_the_rest_is_made() -> None:
    recipe = restoring_recipe(augmentation={"rotate_deg": 30, "blur_sigma_px": 0, "brightness": 0.5, "contrast": 0})
    high = torch.zeros(2, 16, 48, 3, dtype=torch.uint8)
    high[:, 4:12, 20:28] = 200
    low = high[:, ::2, ::2].contiguous()
    targets = {"low": low, "paired": torch.tensor([True, False])}
    rows = Rows(high, ["A", "B"], torch.tensor([1, 2]), targets, epoch=3)
    pair = pair_up(rows, recipe, torch.Generator().manual_seed(5))
    shrunk = torch.nn.functional.avg_pool2d(pair.images, 2)
    assert (shrunk[0] - pair.low[0]).abs().mean() < 0.03
    assert not torch.equal(pair.images[0], high[0].permute(2, 0, 1) / 255)
    assert (shrunk[1] - pair.low[1]).abs().mean() > 0.01  # noise: nobody gave a side
    still = pair_up(rows, recipe, None)
    assert torch.equal(still.low[0], low[0].permute(2, 0, 1) / 255)


def test_both_sides_of_a_pair_change_colour_alike_whatever_else_is_drawn() -> None:
    recipe = restoring_recipe(
        augmentation={"rotate_deg": 0, "blur_sigma_px": 0, "brightness": 0, "contrast": 0, "saturation": 0.9, "noise_std": 0.01}
    )
    high = torch.zeros(2, 16, 48, 3, dtype=torch.uint8)
    high[..., 0] = torch.tensor([200, 90], dtype=torch.uint8).view(2, 1, 1)
    high[..., 1] = 100
    targets = {"low": high[:, ::2, ::2].contiguous(), "paired": torch.tensor([True, True])}
    pair = pair_up(Rows(high, ["A", "B"], torch.tensor([1, 2]), targets, epoch=3), recipe, torch.Generator().manual_seed(5))
    means = [side.mean((2, 3)) for side in (pair.images, pair.low)]
    assert torch.allclose(*means, atol=0.02)
    assert not torch.allclose(means[1], to_float(high).mean((2, 3)), atol=0.02)


def test_the_high_side_is_neither_blurred_nor_noisy_whatever_the_recipe_says() -> None:
    recipe = restoring_recipe(
        augmentation={"rotate_deg": 0, "brightness": 0, "contrast": 0, "blur_sigma_px": 3, "noise_std": 0.3, "downscale": 0.5}
    )
    high = torch.randint(0, 256, (2, 16, 48, 3), dtype=torch.uint8)
    pair = pair_up(Rows(high, ["A", "B"], torch.tensor([1, 2]), {}, epoch=3), recipe, torch.Generator().manual_seed(5))
    assert torch.equal(pair.images, to_float(high))


def test_a_text_that_the_layout_cannot_hold_is_refused() -> None:
    generator = {"scale": 2, **GENERATOR, "pyramid": {"layout": "mercosur"}}
    task = task_of(restoring_recipe(model={"generator": generator, "recogniser": RECOGNISER}))
    task.targets(["ABC1D23"])
    with pytest.raises(BadInput, match=r"GY054.*ABC1234.*mercosur"):
        task.targets(["ABC1D23", "ABC1234"])
