"""The workers of a run and what they say to each other: one process alone, or a torch.distributed group."""

from __future__ import annotations

import warnings
from typing import Any, Protocol, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

T = TypeVar("T")


class Ranks(Protocol):
    """Who this process is among the workers, and the few collectives that training needs; all ranks call them together."""

    rank: int
    world: int
    device: torch.device

    def sum_(self, values: Tensor) -> Tensor:
        """Add `values` up over all ranks, in place."""
        ...

    def lead_(self, values: Tensor) -> Tensor:
        """Overwrite `values` by rank 0's, in place."""
        ...

    def gather(self, value: T) -> list[T]:
        """Return every rank's value, by rank, on every rank."""
        ...

    def barrier(self) -> None:
        """Wait for all ranks."""
        ...

    def wrap(self, module: nn.Module) -> nn.Module:
        """Return the module with gradients averaged over ranks."""
        ...


class SingleRank:
    """One process, nobody to talk to."""

    rank, world = 0, 1

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)

    def sum_(self, values: Tensor) -> Tensor:
        """Return `values`."""
        return values

    def lead_(self, values: Tensor) -> Tensor:
        """Return `values`."""
        return values

    def gather(self, value: T) -> list[T]:
        """Return the one value."""
        return [value]

    def barrier(self) -> None:
        """Return at once."""

    def wrap(self, module: nn.Module) -> nn.Module:
        """Return the module."""
        return module


class TorchRanks:
    """The ranks of an initialised torch.distributed group (gloo or nccl)."""

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self.rank, self.world = dist.get_rank(), dist.get_world_size()

    def sum_(self, values: Tensor) -> Tensor:
        """Add `values` up over all ranks, in place."""
        # nccl only talks about tensors on its GPU; sums are small and live on the CPU.
        placed = values.to(self.device)
        dist.all_reduce(placed)
        return values.copy_(placed)

    def lead_(self, values: Tensor) -> Tensor:
        """Overwrite `values` by rank 0's, in place; they lie on the rank's device."""
        dist.broadcast(values, src=0)
        return values

    def gather(self, value: T) -> list[T]:
        """Return every rank's value, by rank, on every rank."""
        values: list[Any] = [None] * self.world
        dist.all_gather_object(values, value)
        return values

    def barrier(self) -> None:
        """Wait for all ranks."""
        dist.barrier()

    def wrap(self, module: nn.Module) -> nn.Module:
        """Return the module in DDP; batch-norm statistics follow rank 0. One rank alone has nobody to average with."""
        if self.world == 1:
            return module
        # A one-channel convolution's gradient is the same bytes under other strides; torch warns of a copy that costs nothing.
        warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
        ids = [self.device.index or 0] if self.device.type == "cuda" else None
        return DistributedDataParallel(module, device_ids=ids, gradient_as_bucket_view=True)
