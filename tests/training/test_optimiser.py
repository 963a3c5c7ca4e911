"""The optimisers of a recipe."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import Parameter

from cg3d_runtime.errors import TrainingError
from cg3d_training.config import OptimiserConfig
from cg3d_training.encoders import create_encoder
from cg3d_training.runs.optimiser import make_optimiser


def muon(**fields: float) -> tuple[torch.optim.Optimizer, dict[str, Parameter]]:
    torch.manual_seed(0)
    shapes = {"matrix": (32, 24), "thin": (32, 3), "kernel": (8, 4, 1), "bias": (32,)}
    held = {name: Parameter(torch.randn(shape)) for name, shape in shapes.items()}
    config = OptimiserConfig(kind="muon", lr=1e-3, matrix_lr=0.02, **fields)  # type: ignore[arg-type]
    decay = [held["matrix"], held["thin"], held["kernel"]]
    return make_optimiser(config, decay, [held["bias"]]), held


def one_step(optimiser: torch.optim.Optimizer, held: dict[str, Parameter]) -> dict[str, Tensor]:
    before = {name: p.detach().clone() for name, p in held.items()}
    generator = torch.Generator().manual_seed(1)
    for p in held.values():
        p.grad = torch.randn(p.shape, generator=generator)
    optimiser.step()
    return {name: (p - before[name]).detach() for name, p in held.items()}


def test_muon_takes_orthogonal_steps_of_matrices() -> None:
    optimiser, held = muon(weight_decay=0.0)
    moved = one_step(optimiser, held)
    gradient = held["matrix"].grad
    assert gradient is not None
    u, _, v = torch.linalg.svd(gradient, full_matrices=False)
    towards = -(u @ v)
    step = moved["matrix"]
    # Newton and Schulz's iteration ends within a third of orthogonal, in bfloat16.
    assert torch.linalg.svdvals(step).min() > 0.5 * 0.02
    assert torch.nn.functional.cosine_similarity(step.flatten(), towards.flatten(), dim=0) > 0.95


def test_everything_else_moves_as_adamw_moves_it() -> None:
    optimiser, held = muon(weight_decay=0.1)
    twin = {name: Parameter(p.detach().clone()) for name, p in held.items()}
    adamw = torch.optim.AdamW(
        [
            {"params": [twin["thin"], twin["kernel"]], "weight_decay": 0.1},
            {"params": [twin["bias"]], "weight_decay": 0.0},
        ],
        1e-3,
    )
    moved, expected = one_step(optimiser, held), one_step(adamw, twin | {"matrix": twin["matrix"]})
    for name in ("thin", "kernel", "bias"):
        assert torch.equal(moved[name], expected[name])


def test_weights_shrink_alike_under_both() -> None:
    optimiser, held = muon(weight_decay=0.1)
    before = {name: p.detach().clone() for name, p in held.items()}
    for p in held.values():
        p.grad = torch.zeros_like(p)
    optimiser.step()
    for name in ("matrix", "thin", "kernel"):
        torch.testing.assert_close(held[name].detach(), before[name] * (1 - 1e-3 * 0.1))


def test_the_schedule_reaches_matrices_by_its_factor() -> None:
    optimiser, held = muon(weight_decay=0.0)
    for group in optimiser.param_groups:
        group["lr"] = 0.0 * group.get("factor", 1.0)
    assert all(not step.any() for step in one_step(optimiser, held).values())
    assert [g.get("factor", 1.0) for g in optimiser.param_groups] == pytest.approx([20.0, 1.0, 1.0])


@pytest.mark.parametrize("encoder", ["point_mlp", "point_mlp_elite"])
def test_muon_without_a_matrix_is_refused(encoder: str) -> None:
    parameters = list(create_encoder(encoder).parameters())
    decay, rest = ([p for p in parameters if (p.ndim > 1) is more] for more in (True, False))
    with pytest.raises(TrainingError, match=r"network has none.*Set optimiser\.kind=adamw"):
        make_optimiser(OptimiserConfig(kind="muon"), decay, rest)
    make_optimiser(OptimiserConfig(kind="adamw"), decay, rest)
