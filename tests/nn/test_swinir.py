from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from glyphyard.nn.swinir import SwinIR, SwinLayer
from glyphyard.nn.windows import PLAIN, READING, SHIFTED, SizedCells, relative_places, shift_mask, to_windows
from glyphyard.recipe.super_resolution import SwinIRConfig

PUBLISHED = {"refine": False, "skip": False, "pyramid": None}
SMALL = SwinIRConfig(embed_dim=8, rstb=2, blocks=2, heads=2, window=4, mlp_ratio=2.0, features=8, pyramid=None)


def size_of(config: SwinIRConfig, channels: int = 3) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in SwinIR(config, channels, 16, 48).parameters())


def test_the_published_sizes_give_the_published_number_of_parameters() -> None:
    medium = SwinIRConfig(embed_dim=180, rstb=6, blocks=6, heads=6, window=8, mlp_ratio=2.0, scale=4, **PUBLISHED)
    assert size_of(medium) == 11_900_199
    assert size_of(SwinIRConfig(**PUBLISHED)) == 9_955_667
    assert size_of(SwinIRConfig(scale=4, **PUBLISHED)) == 10_103_379
    assert size_of(SwinIRConfig(preset="lightweight", **PUBLISHED)) == 1_528_595


def test_the_seeds_presets_have_these_sizes() -> None:
    assert size_of(SwinIRConfig()) == 9_955_667 + 73_856 + 341_211 + 144 * 8
    assert size_of(SwinIRConfig(scale=4)) == 10_103_379 + 2 * 73_856 + 341_211 + 144 * 8
    assert size_of(SwinIRConfig(preset="lightweight")) == 1_528_595 + 73_856


@given(st.integers(1, 3), st.integers(1, 3), st.sampled_from([2, 4]))
def test_windows_hold_neighbours_in_reading_order(rows: int, columns: int, side: int) -> None:
    x = torch.rand(2, rows * side, columns * side, 3)
    cut = to_windows(x, side)
    assert cut.shape == (2, rows * columns, side * side, 3)
    assert torch.equal(cut[:, 0], x[:, :side, :side].reshape(2, side * side, 3))
    assert torch.equal(cut[:, -1], x[:, -side:, -side:].reshape(2, side * side, 3))


@given(st.integers(1, 3), st.integers(1, 3), st.sampled_from([2, 4]))
def test_cells_go_from_any_order_to_any_other_and_gradients_go_back(rows: int, columns: int, side: int) -> None:
    height, width = rows * side, columns * side
    cells = SizedCells(side, height, width)(height, width)
    image = torch.rand(2, height, width, 3)
    rolled = image.roll((-(side // 2), -(side // 2)), (1, 2))
    standing = {
        READING: image.flatten(1, 2),
        PLAIN: to_windows(image, side).flatten(1, 2),
        SHIFTED: to_windows(rolled, side).flatten(1, 2),
    }
    for here, x in standing.items():
        for there, expected in standing.items():
            learning = x.clone().requires_grad_()
            moved = cells.move(learning, here, there)
            assert torch.equal(moved, expected)
            assert torch.equal(torch.autograd.grad(moved, learning, expected)[0], x), "a gradient lands where its cell came from"
            with torch.no_grad():
                assert torch.equal(cells.move(x, here, there), expected)


@given(st.integers(2, 4), st.integers(2, 4), st.sampled_from([2, 4, 6]))
def test_a_shifted_window_lets_only_old_neighbours_look_at_each_other(rows: int, columns: int, side: int) -> None:
    height, width, shift = rows * side, columns * side, side // 2
    cell = torch.arange(height * width).reshape(1, height, width, 1)
    shifted = to_windows(cell.roll((-shift, -shift), (1, 2)), side)[0, :, :, 0]
    mask = shift_mask(height, width, side, shift)[:, 0]
    down = (shifted // width)[:, :, None] - (shifted // width)[:, None, :]
    across = (shifted % width)[:, :, None] - (shifted % width)[:, None, :]
    together = (down.abs() < side) & (across.abs() < side)
    assert torch.equal(mask == 0, together)


def test_each_relative_place_has_a_bias_of_its_own() -> None:
    places = relative_places(3)
    assert places.shape == (9, 9)
    assert len(places.unique()) == 25
    assert (places.diagonal() == 12).all()
    assert places[0, 1] == places[3, 4] == places[7, 8]
    assert places[0, 1] != places[1, 0]


@settings(max_examples=12)
@given(st.integers(4, 13), st.integers(4, 21), st.sampled_from([2, 4]), st.sampled_from([1, 3]))
def test_any_size_comes_out_enlarged(height: int, width: int, scale: int, channels: int) -> None:
    torch.manual_seed(0)
    model = SwinIR(SMALL.model_copy(update={"scale": scale}), channels, 8, 16)
    assert model(torch.rand(2, channels, height, width)).shape == (2, channels, height * scale, width * scale)


def test_it_begins_as_enlargement_and_all_of_it_learns() -> None:
    torch.manual_seed(0)
    model = SwinIR(SwinIRConfig(**{**SMALL.model_dump(), "pyramid": {}}), 1, 8, 16)
    low, high = torch.rand(2, 1, 8, 16), torch.rand(2, 1, 16, 32)
    torch.testing.assert_close(model(low), model.enlarged(low))
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    losses = []
    for _ in range(6):
        loss = (model(low) - high).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_a_shifted_layer_is_plain_attention_within_the_windows_of_the_shifted_image() -> None:
    torch.manual_seed(1)
    layer = SwinLayer(SMALL, shifted=True).eval()
    x = torch.rand(1, 8, 12, 8)
    cells = SizedCells(4, 8, 12)(8, 12)
    found = layer(cells.move(x.flatten(1, 2), READING, SHIFTED), cells.mask_G1MM)
    found = cells.move(found, SHIFTED, READING).reshape(1, 8, 12, 8)
    shifted = x.roll((-2, -2), (1, 2))
    # The window at the lower right corner holds four pieces that never were neighbours: each looks at itself alone.
    piece = shifted[:, 4:6, 8:10].reshape(1, 1, 4, 8)
    attention, inner = layer.attention, [0, 1, 4, 5]
    queries, keys, values = attention.projections(layer.norm1(piece)).chunk(3, -1)
    heads = []
    for head in range(2):
        q, k, v = (t[0, 0, :, head * 4 : head * 4 + 4] for t in (queries, keys, values))
        bias = attention.bias[attention.places[inner][:, inner], head]
        heads.append((q @ k.T / 2 + bias).softmax(-1) @ v)
    y = piece[0, 0] + attention.mix(torch.cat(heads, -1))
    y = y + layer.mlp(layer.norm2(y))
    torch.testing.assert_close(found.roll((-2, -2), (1, 2))[0, 4:6, 8:10].reshape(4, 8), y, atol=1e-5, rtol=1e-4)


def test_masks_and_orders_are_made_once_for_each_size() -> None:
    cells = SizedCells(4, 7, 9)
    assert cells.size == (8, 12)
    assert cells(8, 12).mask_G1MM is cells.mask
    assert cells(16, 16) is cells(16, 16)
    assert not cells.state_dict()


@pytest.mark.parametrize("preset", ["max", "lightweight"])
def test_a_preset_gives_way_to_what_is_stated(preset: str) -> None:
    config = SwinIRConfig.model_validate({"preset": preset, "embed_dim": 48})
    assert config.embed_dim == 48
    assert config.heads == {"max": 8, "lightweight": 6}[preset]
    assert SwinIRConfig.model_validate(config.model_dump(mode="json")) == config
