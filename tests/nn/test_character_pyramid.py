from __future__ import annotations

import pytest
import torch

from glyphyard.core.layout import LAYOUTS
from glyphyard.nn.character_pyramid import CharacterPyramid, Gaps, Places, Strokes
from glyphyard.recipe.super_resolution import PyramidConfig


@pytest.fixture
def strokes() -> Strokes:
    torch.manual_seed(0)
    return Strokes(2, 5)


def test_each_detector_looks_along_its_own_direction(strokes: Strokes) -> None:
    image = torch.zeros(1, 2, 11, 11, requires_grad=True)
    found = strokes(image)
    for which, reach in ((0, {(0, d) for d in range(-2, 3)}), (1, {(d, 0) for d in range(-2, 3)})):
        assert seen_by(found, image, which) == reach
    diagonals = {(d, d) for d in range(-2, 3)} | {(d, -d) for d in range(-2, 3)}
    assert seen_by(found, image, 2) == diagonals


def seen_by(found: torch.Tensor, image: torch.Tensor, which: int) -> set[tuple[int, int]]:
    (gradient,) = torch.autograd.grad(found[0, 2 * which, 5, 5], image, retain_graph=True)
    assert not gradient[0, 1].any()  # a detector looks at one feature
    return {(i - 5, j - 5) for i, j in gradient[0, 0].nonzero().tolist()}


def test_gaps_are_judged_by_columns() -> None:
    torch.manual_seed(0)
    gaps = Gaps(4)
    image = torch.rand(2, 4, 6, 20)
    found = gaps(image)
    assert found.shape == (2, 1, 1, 20)
    assert ((found > 0) & (found < 1)).all()
    torch.testing.assert_close(gaps(image.flip(2)), found)


def test_gaps_can_be_learnt() -> None:
    torch.manual_seed(0)
    gaps = Gaps(4)
    image, truth = torch.zeros(8, 4, 6, 20), torch.ones(8, 1, 1, 20)
    for n in range(8):
        for start in range(n % 3, 20, 5):
            image[n, :, :, start : start + 3], truth[n, ..., start : start + 3] = 1, 0
    optimizer = torch.optim.Adam(gaps.parameters(), 5e-2)
    for _ in range(40):
        loss = torch.nn.functional.binary_cross_entropy(gaps(image), truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert ((gaps(image) > 0.5) == (truth > 0.5)).float().mean() > 0.95


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_columns_know_their_place_and_what_stands_there(layout: str) -> None:
    torch.manual_seed(0)
    places = Places(4, layout)
    slots = LAYOUTS[layout].slots or "?" * 8
    code = places(len(slots))
    assert code.shape == (1, 4, 1, len(slots))
    with torch.no_grad():
        places.kind[:, 0] += 10  # letters
    letters = ((places(len(slots)) - code)[0, :, 0] > 5).all(0)
    assert letters.tolist() == [kind == "L" for kind in slots]


def test_scales_see_further_and_at_first_nothing_changes() -> None:
    torch.manual_seed(0)
    pyramid = CharacterPyramid(4, PyramidConfig(layout="mercosur", stroke=3))
    image = torch.rand(1, 4, 10, 30)
    torch.testing.assert_close(pyramid(image), image)
    with torch.no_grad():
        pyramid.join.weight.normal_()
    wide, narrow = reach_of(pyramid, image), reach_of(pyramid_of_one_scale(pyramid), image)
    assert narrow < wide


def reach_of(pyramid: CharacterPyramid, image: torch.Tensor) -> int:
    image = image.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(pyramid(image)[0, 0, 5, 15], image)
    columns = gradient.abs().amax((0, 1, 2)).nonzero()
    return int(columns.max() - columns.min())


def pyramid_of_one_scale(like: CharacterPyramid) -> CharacterPyramid:
    one = CharacterPyramid(4, PyramidConfig(layout="mercosur", stroke=3, scales=(1.0,)))
    with torch.no_grad():
        one.join.weight.copy_(like.join.weight[:, :4])
    return one
