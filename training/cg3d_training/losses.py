"""The contrastive losses of the paper (equations 4 to 7 and 9)."""

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


def contrastive_loss(
    a: Tensor, b: Tensor, positives: Tensor, temperature: Tensor | float
) -> Tensor:
    """Half the sum of NCE from a to b and from b to a (eq. 4 and 5).

    Args:
        a: (A, d) and b: (B, d), unit rows.
        positives: (A, B) weights, see `nce`.
        temperature: tau, a number or a () tensor that may take gradients.
    """
    logits = a.float() @ b.float().T / temperature
    return 0.5 * (nce(logits, positives) + nce(logits.T, positives.T))


def nameless_loss(clouds: Tensor, texts: Tensor, temperature: Tensor | float) -> Tensor:
    """What teaches that a cloud has no name: cross entropy to all texts being as likely.

    "Outlier exposure" (Hendrycks, Mazeika, Dietterich 2019).

    Args:
        clouds: (A, d) unit rows of things without a name; 0 of them give 0.
        texts: (L, d) unit rows.
        temperature: tau.
    """
    logits = clouds.float() @ texts.float().T / temperature
    uniform: Tensor = functional.log_softmax(logits, dim=1).mean(dim=1)
    return -uniform.sum() / max(1, len(clouds))


def class_positives(classes: Tensor) -> Tensor:
    """(B, B) one for every pair of the same class, as the paper has it (section 3.2).

    Args:
        classes: (B,) int64, the same number for the same class name.
    """
    return (classes[:, None] == classes[None, :]).float()


def diagonal_positives(classes: Tensor) -> Tensor:
    """(B, B) one for every object with itself alone, as the official code has it.

    Other objects of the same class count as negatives then.

    Args:
        classes: (B,), of which only the length matters.
    """
    return torch.eye(len(classes), device=classes.device)


def encoder_loss(
    points: Tensor,
    images: Tensor | None,
    texts: Tensor | None,
    positives: Tensor,
    temperature: Tensor | float,
) -> Tensor:
    """L3D, what trains the 3D encoder: point-image plus point-text (eq. 7).

    Args:
        points: (B, d) unit rows, with gradients.
        images: (B, d) unit rows; None leaves the first term out.
        texts: (B, d) unit rows; None leaves the second term out.
        positives: (B, B), see `class_positives` and `diagonal_positives`.
        temperature: tau.
    """
    terms = [
        contrastive_loss(points, other, positives, temperature)
        for other in (images, texts)
        if other is not None
    ]
    return torch.stack(terms).sum()


def prompt_loss(
    images: Tensor, texts: Tensor, positives: Tensor, temperature: Tensor | float
) -> Tensor:
    """LP, what trains the prompts: CLIP's own loss between images and texts (eq. 9).

    The equation as printed takes the logarithm of an NCE that is a logarithm already. That is a
    misprint: the text around it says "the original CLIP loss", and the official code computes
    that. Its two directions are averaged here as in equations 4 and 5.

    Args:
        images: (B, d) unit rows, with gradients to the prompts.
        texts: (B, d) unit rows.
        positives: (B, B), see `class_positives` and `diagonal_positives`.
        temperature: tau.
    """
    return contrastive_loss(images, texts, positives, temperature)


def unit_rows(x: Tensor) -> Tensor:
    """Rows of length one, in float32."""
    return functional.normalize(x.float(), dim=-1)


def centred_rows(x: Tensor, mean: Tensor) -> Tensor:
    """Unit rows, less a mean, unit again: the space in which everything is compared."""
    return unit_rows(unit_rows(x) - mean)


def text_mean(vectors: Tensor) -> Tensor:
    """(d,) mean of the unit rows of text vectors."""
    return torch.mean(unit_rows(vectors), dim=0)
