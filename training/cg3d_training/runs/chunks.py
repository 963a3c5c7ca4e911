"""A batch larger than memory: embedded in chunks, with the loss of the whole batch.

A contrastive loss sets every row against all others, so that the mean over small batches' losses is
another loss. Here the rows of all chunks are computed without keeping what the backward pass
needs, the loss is that of the whole batch, and every chunk is computed a second time when the
backward pass reaches it, from the same random numbers ("GradCache", Gao et al. 2021). It costs a
second forward pass and holds the activations of one chunk.

The gradient is that of the whole batch, with one exception: batch normalisation in training mode
takes its statistics over a chunk (and over the chunks of the other processes at the same time).
Its running statistics move once for every chunk, and not again in the second pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def in_chunks(
    function: Callable[[Tensor], Tensor], rows: Tensor, size: int, module: nn.Module
) -> Tensor:
    """`function(rows)`, of at most `size` rows at a time; equal shares, so that none is tiny.

    Args:
        function: works on every row by itself (batch normalisation apart).
        rows: (B, ...).
        size: 0 for all at once.
        module: what `function` runs; its running statistics are looked after.

    Returns:
        (B, ...), with gradients to the parameters that `function` uses.
    """
    if not size or len(rows) <= size:
        return function(rows)
    parts = rows.tensor_split(-(-len(rows) // size))

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _statistics_kept(module)

    return torch.cat(
        [checkpoint(function, part, use_reentrant=False, context_fn=contexts) for part in parts]
    )


@contextmanager
def _statistics_kept(module: nn.Module) -> Iterator[None]:
    """Let batch normalisation move copies of its running statistics, which are dropped."""
    norms = [m for m in module.modules() if isinstance(m, _BatchNorm)]
    held = [dict(norm._buffers) for norm in norms]
    for norm in norms:
        norm._buffers.update({k: b if b is None else b.clone() for k, b in norm._buffers.items()})
    try:
        yield
    finally:
        for norm, buffers in zip(norms, held, strict=True):
            norm._buffers.update(buffers)
