"""PARSeq: a training step with all K orders in one decoder pass ÷ the same step with one pass an order, as published.

    .venv/bin/python tools/bench/bench_parseq.py    # the tiny recipe's network, small_cpu, the recipes' small_cpu, the published one

Each as it is trained, and without dropout.

Same weights, images, texts and orders; the encoder runs once in both, so that a deep one over many patches leaves less to gain:
the decoder alone is timed, too. Both give the same loss, which is checked first. One thread, CPU time, in turns; the median turn counts.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from glyphyard.nn.losses import plm_loss
from glyphyard.nn.parseq import Parseq
from glyphyard.nn.permutations import draw_orders, sight
from glyphyard.recipe.model import ParseqConfig

ORDERS, CHARACTERS, LENGTH, TURNS = 6, 36, 7, 31
WANTED = 1.3


def one_pass(model: Parseq, features: Tensor, labels: Tensor, lengths: Tensor, allowed: Tensor) -> Tensor:
    """Return the loss, all orders at once."""
    return plm_loss(model.permuted(model.layer.to_image.look_up(features), labels, allowed), labels, lengths)


def one_pass_an_order(model: Parseq, features: Tensor, labels: Tensor, lengths: Tensor, allowed: Tensor) -> Tensor:
    """Return the loss as the published training loop computes it: decode, project and sum order by order."""
    ended = torch.cat([labels, torch.zeros_like(lengths)[:, None]], 1)
    place = torch.arange(ended.shape[1])
    targets = ended.masked_fill(place > lengths[:, None], -100)
    total, count, share = torch.zeros(()), 0, int((targets != -100).sum())
    for k in range(len(allowed)):
        image = model.layer.to_image.look_up(features)  # a decoder layer projects what it looks at in each pass
        logits = model.permuted(image, labels, allowed[k : k + 1])[:, 0]
        total = total + share * functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-100)
        count += share
        if k == 1:
            targets = ended.masked_fill(place >= lengths[:, None], -100)
            share = int((targets != -100).sum())
    return total / count


def measure(config: ParseqConfig, batch: int, turns: int = TURNS, say: Callable[[str], None] = print) -> float:
    """Return how many times faster one pass is."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = Parseq(config, 1, 32, 128, CHARACTERS + 1).eval()
    images, lengths = torch.rand(batch, 1, 32, 128), torch.full((batch,), LENGTH)
    labels, allowed = torch.randint(1, CHARACTERS + 1, (batch, LENGTH)), sight(draw_orders(LENGTH, ORDERS))
    encoded = model.encoder(images).detach().requires_grad_()
    torch.testing.assert_close(*(decode(model, encoded, labels, lengths, allowed) for decode in (one_pass, one_pass_an_order)))
    model.train()

    def step(decode: Callable[..., Tensor], whole: bool) -> None:
        decode(model, model.encoder(images) if whole else encoded, labels, lengths, allowed).backward()

    def faster(whole: bool) -> tuple[float, float]:
        seconds: dict[Callable[..., Tensor], list[float]] = {one_pass: [], one_pass_an_order: []}
        for _ in range(turns + 1):
            for decode, times in seconds.items():
                started = time.process_time()
                model.zero_grad(set_to_none=True)
                step(decode, whole)
                times.append(time.process_time() - started)
        one, each = (statistics.median(times[1:]) for times in seconds.values())
        return one, each

    (one, each), (one_decoded, each_decoded) = faster(whole=True), faster(whole=False)
    say(
        f"parseq {config.embed_dim}x{config.depth}, patch {config.patch[0]}x{config.patch[1]}, batch {batch}, dropout {config.dropout:g}: {each * 1e3:.0f} ms an order each"
        f" ÷ {one * 1e3:.0f} ms at once = {each / one:.2f} (wanted: {WANTED}); without the encoder {each_decoded / one_decoded:.2f}"
    )
    return each / one


if __name__ == "__main__":
    for dropout in (0.1, 0.0):
        measure(ParseqConfig(network="parseq", size="small_cpu", embed_dim=64, depth=2, dropout=dropout), 32)
        measure(ParseqConfig(network="parseq", size="small_cpu", dropout=dropout), 16)
        measure(ParseqConfig(network="parseq", size="small_cpu", patch=(8, 4), max_length=8, dropout=dropout), 64, turns=5)
        measure(ParseqConfig(network="parseq", dropout=dropout), 4, turns=5)
