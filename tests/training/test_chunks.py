"""A batch in chunks has the loss and the gradient of the whole."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from cg3d_training.encoders import EncoderSpec, build_encoder
from cg3d_training.losses import contrastive_loss, unit_rows
from cg3d_training.runs.chunks import in_chunks

TINY = {
    "points": 64, "groups": 8, "group_size": 8, "patch_hidden": [8, 16], "patch_dim": 16,
    "width": 32, "depth": 3, "heads": 2, "embedding_dim": 12, "drop_path": 0.5,
}  # fmt: skip
TEXTS = nn.functional.normalize(torch.randn(11, 12, generator=torch.Generator().manual_seed(1)))


def loss_of(rows: Tensor) -> Tensor:
    return contrastive_loss(unit_rows(rows), TEXTS, torch.eye(11), 0.1)


def gradients(module: nn.Module) -> dict[str, Tensor]:
    return {k: p.grad.clone() for k, p in module.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("size", [2, 4, 5, 10])
def test_the_gradient_of_the_whole_batch(size: int) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(6, 20), nn.LayerNorm(20), nn.GELU(), nn.Linear(20, 12))
    points = torch.randn(11, 6)
    lengths: list[int] = []

    def forward(part: Tensor) -> Tensor:
        lengths.append(len(part))
        return module(part)

    whole = loss_of(module(points))
    whole.backward()
    expected = gradients(module)
    module.zero_grad()
    loss = loss_of(in_chunks(forward, points, size, module))
    assert torch.equal(loss, whole) or torch.isclose(loss, whole, rtol=1e-6)
    loss.backward()
    for key, value in expected.items():
        torch.testing.assert_close(gradients(module)[key], value, rtol=1e-6, atol=1e-6)
    assert max(lengths) <= size
    assert min(lengths) >= max(lengths) - 1
    assert sum(lengths) == 2 * 11  # every row twice: that is the price


def test_the_second_pass_draws_what_the_first_did() -> None:
    """Against the same chunks with all of their graphs kept: stochastic depth, statistics."""
    torch.manual_seed(0)
    encoder = build_encoder(EncoderSpec("point_transformer", TINY)).train()
    points = torch.randn(11, 64, 3) / 3
    start = {k: v.clone() for k, v in encoder.state_dict().items()}
    found = {}
    for kind in ("kept", "chunks"):
        encoder.load_state_dict(start)
        encoder.zero_grad()
        torch.manual_seed(5)
        if kind == "kept":
            parts = points.tensor_split(3)
            rows = torch.cat([encoder.embed_ordered(part) for part in parts])
        else:
            rows = in_chunks(encoder.embed_ordered, points, 4, encoder)
        loss_of(rows).backward()
        found[kind] = gradients(encoder) | dict(encoder.named_buffers()) | {"rows": rows.detach()}
        found[kind] = {k: v.clone() for k, v in found[kind].items()}
        found[kind]["next draw"] = torch.rand(3)
    for key, value in found["kept"].items():
        torch.testing.assert_close(found["chunks"][key], value, rtol=1e-5, atol=1e-6)
    counts = {int(v) for k, v in found["chunks"].items() if k.endswith("num_batches_tracked")}
    assert counts == {3}  # once a chunk, not twice


def test_all_at_once() -> None:
    """No chunk, or one large enough: nothing is computed twice."""
    calls: list[int] = []

    def forward(part: Tensor) -> Tensor:
        calls.append(len(part))
        return part * 2

    points = torch.ones(3, 2, requires_grad=True)
    for size in (0, 3, 8):
        in_chunks(forward, points, size, nn.Identity()).sum().backward()
    assert calls == [3, 3, 3]
