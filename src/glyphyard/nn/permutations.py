"""Orders in which a text is learnt, and what each order lets a character see (Bautista & Atienza, 2022, section 3).

A text of L - 1 characters has L positions to read: its characters and the END. What they may see are L tokens: the
start, then the characters. K is the number of orders.
"""

from __future__ import annotations

from itertools import permutations

import torch
from torch import Tensor

POOLED = 4  # texts up to this length have so few orders that they are drawn from a list of all, none twice


def draw_orders(length: int, count: int) -> Tensor:
    """Return up to `count` (even) orders of `length` characters with start and END, (K, length + 2) int64, on the CPU.

    Token 0 is the start, always first; tokens 1…length are the characters; length + 1 is the END, last but in the
    second order. The first order is the reading order, the second its mirror with the END first: all that follows sees
    the right side only. Half of the orders are mirrors of the other half. torch's global dice are used.
    """
    if length == 1:
        return torch.tensor([[0, 1, 2]])
    half = torch.stack([torch.arange(length), *_random_orders(length, count // 2 - 1)])
    orders = torch.stack([half, half.flip(-1)], 1).flatten(0, 1) + 1
    ends = torch.full((len(orders), 1), length + 1)
    orders = torch.cat([torch.zeros_like(ends), orders, ends], 1)
    orders[1, 1:] = length + 1 - torch.arange(length + 1)
    return orders


def _random_orders(length: int, count: int) -> list[Tensor]:
    if length > POOLED:
        return [torch.randperm(length) for _ in range(count)]
    # One of each pair of mirrors; the first is the reading order.
    pool = [order for order in permutations(range(length)) if order[0] < order[-1]][1:]
    return [torch.tensor(pool[i]) for i in torch.randperm(len(pool))[:count].tolist()]


def sight(orders_KM: Tensor) -> Tensor:
    """Return what each position may see, (K, L, L) bool with L = M - 1: the tokens that come before it in its order."""
    turns_KM = orders_KM.argsort(1)
    return turns_KM[:, None, :-1] < turns_KM[:, 1:, None]


def reading_sight(length: int) -> Tensor:
    """Return the sight of the plain reading order, (1, L, L): what was read before."""
    return torch.ones(1, length, length, dtype=torch.bool).tril()


def blind_sight(length: int) -> Tensor:
    """Return the sight of reading all at once, (1, L, L): nothing but the start."""
    return (torch.arange(length) == 0).expand(1, length, length)


def cloze_sight(length: int) -> Tensor:
    """Return the sight of refinement, (1, L, L): everything but the position's own character, which is token i + 1."""
    return ~torch.diag(torch.ones(length - 1, dtype=torch.bool), 1)[None]
