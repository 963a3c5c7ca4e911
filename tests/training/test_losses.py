"""The contrastive losses against their definition written out, and against torch."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from cg3d_training.losses import centred_rows, contrastive_loss, nce, text_mean, unit_rows


def unit(n: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return functional.normalize(torch.randn(n, 16, generator=generator), dim=1)


def test_with_the_diagonal_it_is_clips_loss() -> None:
    a, b = unit(12, 0), unit(12, 1)
    logits = a @ b.T / 0.07
    target = torch.arange(12)
    clip = (
        functional.cross_entropy(logits, target) + functional.cross_entropy(logits.T, target)
    ) / 2
    torch.testing.assert_close(contrastive_loss(a, b, torch.eye(12), 0.07), clip)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 7), st.integers(1, 9), st.integers(0, 10_000))
def test_equation_6_written_out(rows: int, columns: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(rows, columns)) * 5
    positives = (rng.random((rows, columns)) < 0.4).astype(float)
    positives[0, 0] = 1
    terms = []
    for i in range(rows):
        if positives[i].any():
            exponents = np.exp(logits[i])
            terms.append(np.mean([-np.log(exponents[j] / exponents.sum())
                                  for j in range(columns) if positives[i, j]]))  # fmt: skip
    found = nce(torch.tensor(logits), torch.tensor(positives))
    np.testing.assert_allclose(found.item(), np.mean(terms), rtol=1e-9)


def test_rows_without_a_positive_take_no_part() -> None:
    logits = torch.randn(4, 5)
    positives = torch.zeros(4, 5)
    positives[1, 2] = positives[3, 0] = 1
    torch.testing.assert_close(nce(logits, positives), nce(logits[[1, 3]], positives[[1, 3]]))


def test_the_space_of_comparison_is_the_runtimes() -> None:
    from cg3d_runtime.text.space import TextSpace

    vectors = torch.randn(50, 16) + 2
    mean = text_mean(vectors)
    space = TextSpace.fit(vectors.numpy())
    np.testing.assert_allclose(mean.numpy(), space.mean, atol=1e-6)
    np.testing.assert_allclose(
        centred_rows(vectors, mean).numpy(), space.apply(vectors.numpy()), atol=1e-5
    )
    torch.testing.assert_close(unit_rows(vectors).norm(dim=1), torch.ones(50))
