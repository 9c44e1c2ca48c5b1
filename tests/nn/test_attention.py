"""Attention written out is torch's own, forward and backward."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from glyphyard.nn.attention import Attention, Vit, attended, start_small


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 5e-2)])
def test_written_out_it_is_torchs_own_with_all_its_gradients(biased: bool, dtype: torch.dtype, tolerance: float) -> None:
    torch.manual_seed(2)
    shapes = [(2, 6, 16, 4)] * 3 + [(1, 6, 16, 16)] * biased
    inputs = [torch.randn(shape).to(dtype).requires_grad_() for shape in shapes]
    exact = [one.detach().float().requires_grad_() for one in inputs]
    with torch.no_grad():  # as it is shipped
        torch.testing.assert_close(attended(*inputs), scaled_dot_product_attention(*inputs, scale=1.0))
    ours, torchs = attended(*inputs), scaled_dot_product_attention(*exact, scale=1.0)
    torch.testing.assert_close(ours.float(), torchs, atol=tolerance, rtol=tolerance)
    weights = torch.randn_like(torchs)
    found = torch.autograd.grad(ours, inputs, weights.to(dtype))
    expected = torch.autograd.grad(torchs, exact, weights)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.float(), other, atol=4 * tolerance, rtol=4 * tolerance)


def test_looking_at_itself_is_asking_for_what_it_looked_up() -> None:
    torch.manual_seed(0)
    attention, x = Attention(8, 2), torch.randn(3, 5, 8)
    everything = torch.ones(5, 5, dtype=torch.bool)
    asked = attention(x, attention.look_up(x), everything)  # with a mask that hides nothing: torch's own
    torch.testing.assert_close(attention.to_itself(x), asked)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(attention.to_itself(x).float(), asked, atol=2e-2, rtol=2e-2)


@pytest.mark.parametrize("patch", [(8, 8), (4, 8), (2, 1)])
def test_a_stem_gives_a_feature_vector_a_patch(patch: tuple[int, int]) -> None:
    cut = Vit(3, (16, 32), patch, 16, 1, 2, 2.0)
    stem = Vit(3, (16, 32), patch, 16, 1, 2, 2.0, convolutions=True)
    images = torch.rand(2, 3, 16, 32)
    assert stem(images).shape == cut(images).shape
    # What lies in another patch, and no neighbour of its, a convolution's feature does not see.
    other = images.clone()
    other[..., 24:] = 0
    stem.eval()
    left = 16 // patch[1]
    torch.testing.assert_close(stem.patches(images)[..., :left], stem.patches(other)[..., :left])


def test_a_stem_is_begun_by_its_fan_in_and_the_rest_small() -> None:
    vit = Vit(1, (32, 128), (8, 8), 64, 1, 2, 2.0, convolutions=True)
    start_small(vit)
    assert vit.patches[0].weight.std() > 0.1  # 3×3 pixels of grey
    assert vit.layers[0].mlp[0].weight.std() < 0.03
