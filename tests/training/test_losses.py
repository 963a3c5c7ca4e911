"""The contrastive losses against their definition written out, and against torch."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from cg3d_training.losses import (
    centred_rows,
    class_positives,
    contrastive_loss,
    diagonal_positives,
    encoder_loss,
    nce,
    prompt_loss,
    text_mean,
    unit_rows,
)


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


def test_positives_by_class_and_by_the_diagonal_by_hand() -> None:
    classes = torch.tensor([3, 5, 3])
    assert class_positives(classes).tolist() == [[1, 0, 1], [0, 1, 0], [1, 0, 1]]
    assert diagonal_positives(classes).tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    a, b = (torch.nn.functional.normalize(torch.randn(3, 5), dim=1) for _ in range(2))
    logits = a @ b.T / 0.1
    down, across = logits.log_softmax(dim=0), logits.log_softmax(dim=1)
    pairs = [(0, 0, 2), (0, 2, 2), (1, 1, 1), (2, 0, 2), (2, 2, 2)]  # row, column, how many
    by_class = -sum((down[i, j] + across[i, j]) / n for i, j, n in pairs) / 3 / 2
    torch.testing.assert_close(prompt_loss(a, b, class_positives(classes), 0.1), by_class)
    alone = -sum(down[i, i] + across[i, i] for i in range(3)) / 3 / 2
    torch.testing.assert_close(prompt_loss(a, b, diagonal_positives(classes), 0.1), alone)


def test_equation_7_is_a_sum_whose_terms_can_be_left_out() -> None:
    p, i, t = (torch.nn.functional.normalize(torch.randn(6, 5), dim=1) for _ in range(3))
    eye = torch.eye(6)
    image, text = contrastive_loss(p, i, eye, 0.2), contrastive_loss(p, t, eye, 0.2)
    torch.testing.assert_close(encoder_loss(p, i, t, eye, 0.2), image + text)
    torch.testing.assert_close(encoder_loss(p, i, None, eye, 0.2), image)
    torch.testing.assert_close(encoder_loss(p, None, t, eye, 0.2), text)
