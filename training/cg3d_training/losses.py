"""The contrastive losses of the paper (equations 4 to 6)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def nce(logits: Tensor, positives: Tensor) -> Tensor:
    """NCE from rows to columns (eq. 6), the mean over rows that have a positive.

    With several positives in a row, each is scored against all columns and they share the row
    by their weights (the paper: positives are the pairs of the same class).

    Args:
        logits: (A, B) similarities over the temperature.
        positives: (A, B) weights >= 0; a row of zeros takes no part.
    """
    weight = positives.sum(dim=1)
    rows = weight > 0
    log_probability = functional.log_softmax(logits[rows], dim=1)
    return -((positives[rows] / weight[rows, None]) * log_probability).sum(dim=1).mean()


def contrastive_loss(a: Tensor, b: Tensor, positives: Tensor, temperature: float) -> Tensor:
    """Half the sum of NCE from a to b and from b to a (eq. 4 and 5).

    Args:
        a: (A, d) and b: (B, d), unit rows.
        positives: (A, B) weights, see `nce`.
    """
    logits = a.float() @ b.float().T / temperature
    return 0.5 * (nce(logits, positives) + nce(logits.T, positives.T))


def unit_rows(x: Tensor) -> Tensor:
    """Rows of length one, in float32."""
    return functional.normalize(x.float(), dim=-1)


def centred_rows(x: Tensor, mean: Tensor) -> Tensor:
    """Unit rows, less a mean, unit again: the space in which everything is compared."""
    return unit_rows(unit_rows(x) - mean)


def text_mean(vectors: Tensor) -> Tensor:
    """(d,) mean of the unit rows of text vectors."""
    return torch.mean(unit_rows(vectors), dim=0)
