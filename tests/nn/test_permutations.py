from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from glyphyard.nn.permutations import blind_sight, cloze_sight, draw_orders, reading_sight, sight

LENGTHS = st.integers(1, 12)
COUNTS = st.integers(1, 6).map(lambda pairs: 2 * pairs)


@given(LENGTHS, COUNTS, st.integers(0, 1000))
def test_orders_are_permutations_that_start_with_the_start_and_come_in_mirrored_pairs(length: int, count: int, seed: int) -> None:
    torch.manual_seed(seed)
    orders = draw_orders(length, count)
    assert all(sorted(order) == list(range(length + 2)) for order in orders.tolist())
    assert (orders[:, 0] == 0).all()
    assert orders[0].tolist() == list(range(length + 2))
    if length == 1:
        return
    assert 2 <= len(orders) <= count
    assert orders[1].tolist() == [0, *range(length + 1, 0, -1)]
    assert torch.equal(orders[2::2, 1:-1], orders[3::2, 1:-1].flip(-1))
    assert (orders[2:, -1] == length + 1).all()
    if length > 4:
        assert len(orders) == count


def test_short_texts_draw_every_order_once() -> None:
    for length, orders in ((2, 2), (3, 6), (4, 24)):
        drawn = draw_orders(length, 24)
        assert len(drawn) == orders
        assert len({tuple(order) for order in drawn[:, 1:].tolist()}) == orders


@given(LENGTHS, st.integers(0, 1000))
def test_a_position_sees_exactly_what_comes_before_it_in_its_order(length: int, seed: int) -> None:
    torch.manual_seed(seed)
    orders = draw_orders(length, 6)
    seen = sight(orders)
    for order, allowed in zip(orders.tolist(), seen):
        for position in range(1, length + 2):  # the character or END at this position is token `position`
            before = order[: order.index(position)]
            assert allowed[position - 1].nonzero().flatten().tolist() == sorted(set(before) - {length + 1})
    assert torch.equal(seen[:1], reading_sight(length + 1))


def test_the_sights_of_decoding() -> None:
    assert blind_sight(3)[0].tolist() == [[True, False, False]] * 3
    assert cloze_sight(3)[0].tolist() == [[True, False, True], [True, True, False], [True, True, True]]
