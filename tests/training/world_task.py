"""What each of several processes computes for `test_world`, started by torchrun."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from cg3d_training.losses import class_positives, encoder_loss, unit_rows
from cg3d_training.runs.chunks import in_chunks
from cg3d_training.runs.distributed import (
    ALONE,
    World,
    any_process,
    gather_rows,
    join_batch_norms,
    join_world,
    leave_world,
    same_start,
    sum_gradients,
)
from cg3d_training.temperature import Temperature

BATCH, WIDTH = 12, 10


class Small(nn.Sequential):
    """Points to rows, with batch normalisation or with layer normalisation."""

    def __init__(self, batch_norm: bool) -> None:
        norm = nn.BatchNorm1d(WIDTH) if batch_norm else nn.LayerNorm(WIDTH)
        super().__init__(nn.Linear(6, WIDTH), norm, nn.GELU(), nn.Linear(WIDTH, WIDTH))


def compute(batch_norm: bool, chunk: int, world: World = ALONE) -> dict[str, Tensor]:
    """Loss of a joined batch, its gradients, and the running statistics after it."""
    torch.manual_seed(world.rank)  # other weights in every process, before the same start
    module = Small(batch_norm)
    join_batch_norms(module, world)
    same_start(module, world)
    temperature = Temperature(0.2, learnt=True)
    draw = torch.Generator().manual_seed(7)
    points = torch.randn(BATCH, 6, generator=draw)
    images, texts = (unit_rows(torch.randn(BATCH, WIDTH, generator=draw)) for _ in range(2))
    positives = class_positives(torch.arange(BATCH) // 3)
    rows = in_chunks(module, points[world.slice_of(BATCH)], chunk, module)
    joined = gather_rows(unit_rows(rows), world)
    loss = encoder_loss(joined, images, texts, positives, temperature())
    loss.backward()
    sum_gradients(module.parameters(), world, temperature.parameters())
    found = {f"gradient.{k}": p.grad for k, p in module.named_parameters()}
    assert temperature.log_scale is not None
    found["gradient.temperature"] = temperature.log_scale.grad
    found |= dict(module.named_buffers())
    return {k: v.clone() for k, v in found.items() if v is not None} | {"loss": loss.detach()}


CASES = {"batch norm": (True, 0), "layer norm": (False, 0), "in chunks": (False, 2)}


def main(folder: Path) -> None:
    """Write what this process found for every case."""
    world = join_world()
    found = {
        f"{name}/{key}": value
        for name, case in CASES.items()
        for key, value in compute(*case, world).items()
    }
    asked = [any_process(world.rank == 1, world), any_process(False, world)]
    found["asked"] = torch.tensor(asked)
    save_file(found, folder / f"{world.rank}.safetensors")
    leave_world()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
