"""Products of rows are those of torch's linear, by whatever way they are made."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from cg3d_training.encoders import rows


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((2048, 24), torch.float32),
        ((32, 65, 24), torch.float32),
        ((4, 8, 32, 24), torch.float32),
        ((1041, 24), torch.float32),
        ((2, 24), torch.float32),
        ((2048, 24), torch.float64),
    ],
)
def test_it_is_linear(
    monkeypatch: pytest.MonkeyPatch,
    wide: bool,
    bias: bool,
    shape: tuple[int, ...],
    dtype: torch.dtype,
) -> None:
    monkeypatch.setattr(rows, "_wide_convolutions", lambda: wide)
    generator = torch.Generator().manual_seed(0)
    sizes = [shape, (40, 24), *([(40,)] if bias else [])]
    given = [
        torch.randn(size, generator=generator, dtype=dtype, requires_grad=True) for size in sizes
    ]
    found, expected = rows.linear_rows(*given), functional.linear(*given)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-4)
    above = torch.randn(expected.shape, generator=generator, dtype=dtype)
    for mine, theirs in zip(
        torch.autograd.grad(found, given, above),
        torch.autograd.grad(expected, given, above),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-3)


def test_the_convolution_is_taken_where_it_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[tuple[int, ...]] = []
    convolve = functional.conv2d

    def watched(images: torch.Tensor, *rest: torch.Tensor | None) -> torch.Tensor:
        taken.append(tuple(images.shape))
        return convolve(images, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(functional, "conv2d", watched)
    monkeypatch.setattr(rows, "_wide_convolutions", lambda: True)
    layer = rows.RowsLinear(24, 40)
    for shape in [(2048, 24), (2047, 24), (64, 24)]:
        layer(torch.zeros(shape))
    torch.export.export(layer, (torch.zeros(2048, 24),))
    assert taken == [(16, 24, 128, 1)]
