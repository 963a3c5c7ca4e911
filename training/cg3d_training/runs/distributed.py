"""Several processes as one: `torchrun` starts them, each holds a slice of every batch.

A world of K processes computes the loss and the gradient of the joined batch: embeddings are
gathered with their gradients, and batch normalisation takes its statistics over all of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from cg3d_runtime.errors import TrainingError


@dataclass(frozen=True)
class World:
    """The processes that train together.

    Attributes:
        rank: the number of this one, from 0; size: how many there are.
    """

    rank: int
    size: int

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and shows progress."""
        return self.rank == 0

    def slice_of(self, batch: int) -> slice:
        """This process's share of a batch.

        Raises:
            TrainingError: the batch cannot be shared evenly.
        """
        if batch % self.size:
            raise TrainingError(
                f"a batch of {batch} cannot be shared evenly by {self.size} processes; choose "
                "optimiser.batch_size as a multiple"
            )
        share = batch // self.size
        return slice(self.rank * share, (self.rank + 1) * share)


#: One process by itself.
ALONE = World(0, 1)


def own_device(device: str, environment: Mapping[str, str], gpus: int) -> str:
    """The device of this process: of several on one machine, each has a GPU of its own.

    Args:
        device: what all of them were told, "cpu" or "cuda".
        environment: of the process; torchrun sets LOCAL_RANK, its number on this machine.
        gpus: how many there are on this machine.

    Raises:
        TrainingError: there are more processes than GPUs.
    """
    if device != "cuda" or "LOCAL_RANK" not in environment:
        return device
    number = int(environment["LOCAL_RANK"])
    if number >= gpus:
        raise TrainingError(
            f"process {number + 1} of this machine finds {gpus} GPUs; start one process for each "
            "GPU (torchrun --nproc-per-node)"
        )
    return f"cuda:{number}"


def backend_for(device: str) -> str:
    """What processes talk by: tensors on the CPU by gloo, those on a GPU by nccl."""
    return "cpu:gloo,cuda:nccl" if device.startswith("cuda") else "gloo"


def join_world(device: str = "cpu") -> World:
    """Join the processes that torchrun started, or stand alone where it did not.

    Args:
        device: of this process, see `own_device`.
    """
    if "WORLD_SIZE" not in os.environ:
        return ALONE
    if device.startswith("cuda"):
        torch.cuda.set_device(device)
    if not dist.is_initialized():
        dist.init_process_group(backend_for(device))
    return World(dist.get_rank(), dist.get_world_size())


def leave_world() -> None:
    """Close the connections, if there are any."""
    if dist.is_initialized():
        dist.destroy_process_group()


class _Gather(torch.autograd.Function):
    """All processes' rows in the order of their ranks; the gradient of one's own comes back."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        ctx.rows = len(rows)
        parts = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        # Every process computes the same loss, so the sum of all their parameter gradients is
        # the whole; each contributes what comes through its own rows.
        start = dist.get_rank() * ctx.rows
        return gradients[0][start : start + ctx.rows]


def gather_rows(rows: Tensor, world: World) -> Tensor:
    """(B, d) rows of this process to the (K B, d) rows of all, with gradients."""
    gathered: Tensor = rows if world.size == 1 else _Gather.apply(rows)
    return gathered


def same_start(module: nn.Module, world: World) -> None:
    """Give every process the first one's weights: other CPUs may draw them a little differently."""
    if world.size == 1:
        return
    for tensor in module.state_dict().values():
        dist.broadcast(tensor, src=0)


def sum_gradients(
    parameters: Iterable[nn.Parameter], world: World, whole: Iterable[nn.Parameter] = ()
) -> None:
    """Add up the gradients of all processes, in one message.

    Args:
        parameters: through which each process sent its own rows.
        world: the processes.
        whole: whose gradient every process has whole already, such as a temperature's, which
            comes from the loss of the joined batch; they get the mean.
    """
    if world.size == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    means = [p.grad for p in whole if p.grad is not None]
    scaled = [g / world.size for g in means]
    flat = torch.cat([g.reshape(-1) for g in (*gradients, *scaled)])
    dist.all_reduce(flat)
    gradients += means
    parts = torch.split(flat, [g.numel() for g in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))


def any_process(asked: bool, world: World) -> bool:
    """Whether this holds in one process at least. All processes call it."""
    if world.size == 1:
        return asked
    flag = torch.tensor([int(asked)])  # on the CPU, so that no GPU is waited for
    dist.all_reduce(flag, dist.ReduceOp.MAX)
    return bool(flag.item())


def gather_states(state: Tensor, world: World) -> Tensor:
    """(K, bytes) uint8 on the CPU: a state of bytes of every process."""
    if world.size == 1:
        return state[None]
    parts = [torch.empty_like(state) for _ in range(world.size)]
    dist.all_gather(parts, state)
    return torch.stack(parts)


class _SumOverProcesses(torch.autograd.Function):
    """The sum of a tensor over all processes; so is its gradient."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total


class JoinedBatchNorm1d(nn.BatchNorm1d):
    """Batch normalisation over the rows of all processes. torch's own needs a GPU."""

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def forward(self, rows: Tensor) -> Tensor:
        """(M, C) or (M, C, L), like `torch.nn.BatchNorm1d`."""
        if not self.training or dist.get_world_size() == 1:
            return super().forward(rows)
        axes = [0] if rows.ndim == 2 else [0, 2]
        wide = rows.float()
        count = torch.full((1,), wide.numel() / wide.shape[1], device=rows.device)
        sums = torch.cat([wide.sum(axes), (wide * wide).sum(axes), count])
        total: Tensor = _SumOverProcesses.apply(sums)
        channels, n = wide.shape[1], total[-1]
        mean = total[:channels] / n
        variance = (total[channels:-1] / n - mean * mean).clamp_min(0.0)
        with torch.no_grad():
            assert self.running_mean is not None
            assert self.running_var is not None
            assert self.num_batches_tracked is not None
            self.num_batches_tracked += 1
            momentum = self.momentum or 0.1
            self.running_mean.lerp_(mean, momentum)
            self.running_var.lerp_(variance * n / (n - 1), momentum)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        shape = [1, -1] if rows.ndim == 2 else [1, -1, 1]
        normal = (wide - mean.view(shape)) * scale.view(shape) + self.bias.view(shape)
        return normal.to(rows.dtype)


def join_batch_norms(module: nn.Module, world: World) -> None:
    """Let every BatchNorm1d in a module see the joined batch; parameters and keys stay."""
    if world.size == 1:
        return
    for child in module.modules():
        if type(child) is nn.BatchNorm1d:
            # The same object with other arithmetic: parameters, buffers and hooks stay in place.
            child.__class__ = JoinedBatchNorm1d
