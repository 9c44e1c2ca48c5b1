from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from glyphyard.nn.losses import plm_loss
from glyphyard.nn.parseq import Parseq
from glyphyard.nn.permutations import blind_sight, cloze_sight, draw_orders, reading_sight, sight
from glyphyard.recipe.model import ParseqConfig

TINY = ParseqConfig(network="parseq", embed_dim=16, depth=1, heads=2, decoder_heads=4, patch=(8, 8), max_length=5, dropout=0.0)
CLASSES = 11


def small(seed: int = 0, sharp: float = 30.0, **changes: object) -> Parseq:
    """Return a little network that is sure of what it says."""
    torch.manual_seed(seed)
    model = Parseq(TINY.model_copy(update=changes), 1, 16, 32, CLASSES)
    with torch.no_grad():
        model.head.weight.mul_(sharp)
        model.tokens.weight.mul_(sharp)
        model.queries.mul_(sharp)
    return model.eval()


def images(count: int, seed: int = 1) -> Tensor:
    return torch.rand(count, 1, 16, 32, generator=torch.Generator().manual_seed(seed))


def test_the_base_configuration_has_the_published_size() -> None:
    with torch.device("meta"):
        base = Parseq(ParseqConfig(network="parseq"), 3, 32, 128, num_classes=95)
        tiny = Parseq(ParseqConfig(network="parseq", size="tiny"), 3, 32, 128, num_classes=95)
        small_cpu = Parseq(ParseqConfig(network="parseq", size="small_cpu"), 1, 32, 128, num_classes=37)
    assert sum(p.numel() for p in base.parameters()) == 23_832_671
    assert sum(p.numel() for p in tiny.parameters()) == 6_018_143
    assert sum(p.numel() for p in small_cpu.parameters()) == 990_853


def test_all_orders_in_one_pass_give_the_loss_and_gradients_of_one_pass_an_order() -> None:
    model = small(sharp=3.0).train()
    labels, lengths = torch.tensor([[3, 1, 4, 1], [5, 9, 0, 0], [2, 6, 5, 0]]), torch.tensor([4, 2, 3])
    allowed = sight(draw_orders(4, 6))
    plm_loss(model(images(3), labels, allowed), labels, lengths).backward()
    at_once = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    # One decoder pass an order, weighed by how many targets it has: positions with their END in the first two orders only.
    total, count = torch.zeros(()), 0
    for k, order in enumerate(allowed):
        logits = model(images(3), labels, order[None])[:, 0]
        for n, length in enumerate(lengths.tolist()):
            targets = labels[n, :length].tolist() + ([0] if k < 2 else [])
            log_probs = logits[n].log_softmax(-1)
            total = total - sum(log_probs[i, target] for i, target in enumerate(targets))
            count += len(targets)
    (total / count).backward()
    for name, p in model.named_parameters():
        torch.testing.assert_close(p.grad, at_once[name], atol=1e-6, rtol=1e-4, msg=lambda m, name=name: f"{name}: {m}")
    assert all(gradient.abs().sum() > 0 for gradient in at_once.values())


def test_writing_one_after_another_is_teacher_forcing_with_its_own_text() -> None:
    model = small(decode="autoregressive", refine=0)
    with torch.no_grad():
        model.head.bias[0] = -1000.0  # nothing ends: teacher forcing would not see what comes after an END
    logits = model._one_by_one(model.look(images(4)))
    written = logits.argmax(-1)
    assert len(written.unique()) > 2
    forced = model(images(4), written[:, :-1], reading_sight(model.positions))[:, 0]
    torch.testing.assert_close(logits, forced, atol=1e-4, rtol=1e-4)


def test_reading_all_at_once_sees_the_start_only() -> None:
    model = small()
    logits = model._at_once(model.look(images(4)))
    any_text = torch.randint(1, CLASSES, (4, model.positions - 1))
    torch.testing.assert_close(logits, model(images(4), any_text, blind_sight(model.positions))[:, 0], atol=1e-5, rtol=1e-4)


def test_refinement_sees_the_others_up_to_the_end() -> None:
    model = small()
    first = torch.full((2, model.positions, CLASSES), -5.0)
    for n, text in enumerate(([3, 1, 4, 1, 5, 9], [2, 7, 0, 8, 8, 8])):
        first[n, torch.arange(model.positions), torch.tensor(text)] = 5.0
    refined = model._refined(model.look(images(2)), first)
    texts = torch.tensor([[3, 1, 4, 1, 5], [2, 7, 0, 0, 0]])
    expected = model(images(2), texts, cloze_sight(model.positions))[:, 0]
    torch.testing.assert_close(refined, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("decode", ["autoregressive", "parallel"])
@pytest.mark.parametrize("refine", [0, 1])
def test_log_probabilities_are_distributions_and_end_for_good(decode: str, refine: int) -> None:
    model = small(decode=decode, refine=refine)
    log_probs = model(images(16))
    assert log_probs.shape == (model.positions, 16, CLASSES)
    torch.testing.assert_close(log_probs.exp().sum(-1), torch.ones(model.positions, 16))
    ended = (log_probs.argmax(-1) == 0).int().cumsum(0) > 0
    assert (log_probs.argmax(-1)[ended] == 0).all()
    torch.testing.assert_close(model(images(16)[3:4]), log_probs[:, 3:4], atol=1e-4, rtol=1e-4)


def test_the_end_closes_a_text() -> None:
    model = small()
    with torch.no_grad():
        model.head.bias[0] = 1000.0
    log_probs = model(images(2))
    assert (log_probs[1:, :, 1:] == -30).all()
    assert (log_probs[1:, :, 0] == 0).all()


def test_a_text_hides_what_stands_after_its_end() -> None:
    model = small()
    allowed = sight(draw_orders(4, 2))
    one = model(images(1), torch.tensor([[3, 1, 0, 0]]), allowed)
    text = model.layer.text
    assert torch.isfinite(one).all()
    model.layer.text = lambda tokens: text(torch.cat([tokens[:, :3], tokens[:, 3:] + 100], 1))  # type: ignore[method-assign]
    torch.testing.assert_close(model(images(1), torch.tensor([[3, 1, 0, 0]]), allowed), one)


def test_the_loss_of_a_uniform_guess_is_the_logarithm_of_the_classes() -> None:
    labels, lengths = torch.tensor([[3, 1], [5, 0]]), torch.tensor([2, 1])
    loss = plm_loss(torch.zeros(2, 6, 3, CLASSES), labels, lengths)
    torch.testing.assert_close(loss, torch.tensor(math.log(CLASSES)))
