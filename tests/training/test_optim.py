from __future__ import annotations

import copy

import pytest
import torch

from glyphyard.recipe.stage import OptimizerConfig
from glyphyard.training.ema import Ema
from glyphyard.training.optim import build_optimizer, clip_gradients, set_lr


def module() -> torch.nn.Sequential:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 1))


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd"])
def test_each_optimiser_learns_and_its_state_survives(name: str) -> None:
    net, x = module(), torch.randn(16, 4)
    config = OptimizerConfig(name=name)
    optimizer = build_optimizer(config, net.parameters(), 0.05)

    def steps(net: torch.nn.Module, optimizer: torch.optim.Optimizer, count: int) -> float:
        for _ in range(count):
            loss = (net(x) - x.sum(1, keepdim=True)).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return float(loss)

    first = steps(net, optimizer, 1)
    twin = copy.deepcopy(net)
    twin_optimizer = build_optimizer(config, twin.parameters(), 0.05)
    twin_optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert steps(net, optimizer, 30) < first
    steps(twin, twin_optimizer, 30)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), twin.parameters()))


def test_only_matrices_decay() -> None:
    optimizer = build_optimizer(OptimizerConfig(weight_decay=0.1), module().parameters(), 1.0)
    assert {p.ndim > 1: group["weight_decay"] for group in optimizer.param_groups for p in group["params"]} == {
        True: 0.1,
        False: 0.0,
    }


def test_the_rate_of_every_group_is_set() -> None:
    optimizer = build_optimizer(OptimizerConfig(), module().parameters(), 1.0)
    set_lr(optimizer, 0.25)
    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.25]


def test_gradients_are_clipped_to_the_limit_and_not_at_all_at_zero() -> None:
    weight = torch.nn.Parameter(torch.zeros(4))
    for limit, kept in ((0.0, 10.0), (1.0, 1.0), (20.0, 10.0)):
        weight.grad = torch.full((4,), 5.0)
        assert float(clip_gradients([weight], limit)) == pytest.approx(10)
        assert float(weight.grad.norm()) == pytest.approx(kept, rel=1e-4)


def test_the_average_follows_slowly_and_takes_buffers_as_they_are() -> None:
    parts = torch.nn.ModuleDict({"model": module()})
    ema = Ema(parts, decay=0.9)
    before = ema.parts["model"][0].weight.clone()
    with torch.no_grad():
        parts["model"][0].weight += 1.0
        parts["model"][1].running_mean += 3.0
    for _ in range(200):
        ema.update(parts)
    assert torch.allclose(ema.parts["model"][0].weight, before + 1, atol=1e-3)
    young = Ema(parts, decay=0.999)
    with torch.no_grad():
        parts["model"][0].weight += 1.0
    young.update(parts)
    moved = (young.parts["model"][0].weight - (before + 1)).mean()
    assert 0.5 < moved < 1  # the first updates count for more than 1 - decay
    assert torch.equal(ema.follow_buffers(parts)["model"][1].running_mean, parts["model"][1].running_mean)
