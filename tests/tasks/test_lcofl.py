"""LCOFL teaches the generator through a frozen recogniser; the official form does not."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from glyphyard.core.alphabet import Alphabet
from glyphyard.nn.swinir import SwinIR
from glyphyard.recipe.dataset import ImageConfig
from glyphyard.recipe.model import CrnnConfig, ParseqConfig, ReaderConfig
from glyphyard.recipe.super_resolution import LcoflConfig, SwinIRConfig
from glyphyard.tasks.readers import reader_of
from glyphyard.tasks.readers.base import Reader
from glyphyard.tasks.readers.lcofl import Lcofl

ALPHABET = Alphabet("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")
IMAGE = ImageConfig(height=16, width=48)
GENERATOR = SwinIRConfig(embed_dim=8, rstb=1, blocks=2, heads=2, window=4, mlp_ratio=2.0, features=8, pyramid=None)
RECOGNISERS: list[ReaderConfig] = [
    ParseqConfig(network="parseq", embed_dim=16, depth=1, heads=2, decoder_heads=2, patch=(8, 8), max_length=7),
    CrnnConfig(channels=(4, 6, 8, 10), blocks=(1, 1, 1, 1), expansion=2, features=16, hidden=16, layers=1),
]
TARGETS = {"labels": torch.tensor([[11, 12, 13, 1, 2, 3, 4], [35, 5, 14, 9, 0, 0, 0]]), "lengths": torch.tensor([7, 4])}
EVEN = torch.ones(37)


def frozen(config: ReaderConfig) -> tuple[Reader, nn.Module]:
    torch.manual_seed(3)
    reader = reader_of(config, IMAGE, ALPHABET)
    network = reader.build().requires_grad_(False).eval()
    last = network.shortcut if hasattr(network, "shortcut") else network.head
    last.weight.mul_(30)  # a fresh network hardly minds what it sees
    return reader, network


def enlarged() -> tuple[SwinIR, Tensor, Tensor]:
    torch.manual_seed(4)
    generator = SwinIR(GENERATOR, 1, 8, 24)
    return generator, generator(torch.rand(2, 1, 8, 24)), torch.rand(2, 1, 16, 48)


def gradient(form: str, config: ReaderConfig, **weights: float) -> float:
    """Return how much gradient reaches the generator."""
    reader, recogniser = frozen(config)
    generator, sr, hr = enlarged()
    loss = Lcofl(LcoflConfig(form=form, **weights), reader)(recogniser, sr, hr, TARGETS, EVEN)["lcofl"]
    assert all(p.grad is None for p in recogniser.parameters())
    if not loss.requires_grad:
        return 0.0
    loss.backward()
    assert all(p.grad is None for p in recogniser.parameters())
    return sum(float(p.grad.abs().sum()) for p in generator.parameters() if p.grad is not None)


@pytest.mark.parametrize("config", RECOGNISERS, ids=lambda c: c.network)
@pytest.mark.parametrize("term", ["classification", "layout"])
def test_character_terms_reach_the_generator_in_the_differentiable_form_only(config: ReaderConfig, term: str) -> None:
    alone = {"classification": 0.0, "layout": 0.0, "ssim": 0.0} | {term: 1.0}
    assert gradient("differentiable", config, **alone) > 1e-6
    assert gradient("official", config, **alone) == 0
    assert gradient("official", config) > 1e-6  # SSIM alone


def test_each_form_adds_its_parts_with_its_own_weights() -> None:
    reader, recogniser = frozen(RECOGNISERS[0])
    _, sr, hr = enlarged()
    for form, (classification, layout, structure) in {"differentiable": (1.0, 0.5, 0.2), "official": (1.0, 1.0, 1.0)}.items():
        found = Lcofl(LcoflConfig(form=form), reader)(recogniser, sr, hr, TARGETS, EVEN)
        parts = classification * found["classification"] + layout * found["layout"] + structure * found["ssim"]
        torch.testing.assert_close(found["lcofl"].detach(), parts)
    assert LcoflConfig(form="official", ssim=0.2).ssim == 0.2


@pytest.mark.parametrize("config", RECOGNISERS, ids=lambda c: c.network)
def test_following_lcofls_gradient_makes_the_frozen_recogniser_read_better(config: ReaderConfig) -> None:
    reader, recogniser = frozen(config)
    sr = torch.rand(2, 1, 16, 48).requires_grad_()
    lcofl = Lcofl(LcoflConfig(ssim=0.0), reader)
    optimizer = torch.optim.Adam([sr], 0.05)
    found = []
    for _ in range(10):
        terms = lcofl(recogniser, sr, sr.detach(), TARGETS, EVEN)
        optimizer.zero_grad()
        terms["lcofl"].backward()
        optimizer.step()
        found.append(terms["classification"].item())
    assert found[-1] < found[0] - 0.005


@pytest.mark.parametrize("config", RECOGNISERS, ids=lambda c: c.network)
def test_a_heavier_character_moves_the_loss_towards_its_own(config: ReaderConfig) -> None:
    reader, recogniser = frozen(config)
    images = torch.rand(2, 1, 16, 48)
    heavy = EVEN.clone()
    heavy[TARGETS["labels"][1, :4]] = 3.0
    alone = {name: value[1:] for name, value in TARGETS.items()}
    with torch.no_grad():
        even, _ = reader.character_losses(recogniser, images, TARGETS, EVEN, 0.0)
        weighed, _ = reader.character_losses(recogniser, images, TARGETS, heavy, 0.0)
        second, _ = reader.character_losses(recogniser, images[1:], alone, EVEN, 0.0)
    assert (weighed - even) * (second - even) > 0


def test_a_poor_picture_comes_before_its_characters() -> None:
    reader, recogniser = frozen(RECOGNISERS[0])
    _, sr, hr = enlarged()
    lcofl = Lcofl(LcoflConfig(classification=1.0, layout=0.0, ssim=0.0, psnr_floor=12.5), reader)
    shares = [lcofl(recogniser, sr, hr, TARGETS, EVEN, psnr)["lcofl"].item() for psnr in (None, 20.0, 6.25, 0.1)]
    full = shares[0]
    assert shares == pytest.approx([full, full, full / 2, full / 10])


def test_the_official_form_has_nothing_to_bound() -> None:
    with pytest.raises(ValidationError, match=r"form official.*q 1"):
        LcoflConfig(form="official", q=1.0)


@pytest.mark.parametrize("config", RECOGNISERS, ids=lambda c: c.network)
def test_bounded_classification_still_teaches_the_generator(config: ReaderConfig) -> None:
    reader, recogniser = frozen(config)
    _, sr, hr = enlarged()
    plain, bounded = (Lcofl(LcoflConfig(q=q), reader)(recogniser, sr, hr, TARGETS, EVEN) for q in (0.0, 1.0))
    assert bounded["classification"] < min(1.0, plain["classification"].item())
    assert gradient("differentiable", config, q=1.0, classification=1.0, layout=0.0, ssim=0.0) > 0
