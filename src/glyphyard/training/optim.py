"""Optimisers: weight decay on matrices only, one pass over all weights per step."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from glyphyard.recipe.stage import OptimizerConfig

BETA2, EPSILON = 0.999, 1e-8


def build_optimizer(config: OptimizerConfig, parameters: Iterable[nn.Parameter], lr: float) -> Optimizer:
    """Return the optimiser over `parameters`; biases and norms (one dimension) do not decay."""
    learning = [p for p in parameters if p.requires_grad]
    groups = [
        {"params": [p for p in learning if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in learning if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if config.name == "sgd":
        return SGD(groups, lr=lr, momentum=config.momentum, nesterov=config.nesterov and config.momentum > 0, fused=True)
    kind = AdamW if config.name == "adamw" else Adam
    return kind(groups, lr=lr, betas=(config.momentum, BETA2), eps=EPSILON, fused=True)


def set_lr(optimizer: Optimizer, lr: float) -> None:
    """Set the learning rate of every group."""
    for group in optimizer.param_groups:
        group["lr"] = lr


def clip_gradients(parameters: list[nn.Parameter], limit: float) -> Tensor:
    """Scale gradients down to a norm of `limit` (0: leave them) and return the norm they had, on their device."""
    norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None], foreach=True)
    if limit:
        torch.nn.utils.clip_grads_with_norm_(parameters, limit, norm, foreach=True)
    return norm
