"""Augmentation does what each switch says, and nothing without one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cg3d_runtime.points import furthest_point_order, unit_sphere
from cg3d_training.data.augment import Augmentation, augment

OFF = Augmentation(1.0, yaw=0, perturb=0, jitter=0, drop=0, scale=(1, 1), shift=0)


def clouds(batch: int = 6, n: int = 128) -> torch.Tensor:
    rng = np.random.default_rng(0)
    made = []
    for _ in range(batch):
        xyz = unit_sphere(rng.normal(size=(n, 3)) * [1, 0.5, 0.2]).xyz
        made.append(xyz[furthest_point_order(xyz, n)])
    return torch.from_numpy(np.stack(made))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def changed(**switches: object) -> torch.Tensor:
    return augment(clouds(), Augmentation(**{**vars(OFF), **switches}), seeded())  # type: ignore[arg-type]


def test_with_everything_off_nothing_changes() -> None:
    torch.testing.assert_close(augment(clouds(), OFF, seeded()), clouds())


def test_the_seed_decides() -> None:
    config = Augmentation()
    torch.testing.assert_close(
        augment(clouds(), config, seeded(1)), augment(clouds(), config, seeded(1)), rtol=0, atol=0
    )
    assert not torch.equal(
        augment(clouds(), config, seeded(1)), augment(clouds(), config, seeded(2))
    )


def test_yaw_keeps_heights_and_distances() -> None:
    turned = changed(yaw=3.14)
    torch.testing.assert_close(turned[..., 1], clouds()[..., 1])
    torch.testing.assert_close(torch.cdist(turned, turned), torch.cdist(clouds(), clouds()),
                               rtol=0, atol=2e-3)  # fmt: skip
    assert (turned - clouds()).abs().amax(dim=(1, 2)).min() > 1e-3


def test_perturbation_is_a_small_rotation() -> None:
    tilted = changed(perturb=0.06)
    torch.testing.assert_close(tilted.norm(dim=-1), clouds().norm(dim=-1))
    assert 1e-4 < (tilted - clouds()).abs().max() < 3 * 0.18 * 1.8


def test_jitter_is_bounded() -> None:
    assert 0 < (changed(jitter=0.01) - clouds()).abs().max() <= 0.05 + 1e-6


def test_dropping_keeps_the_order_and_repeats_the_rest() -> None:
    for before, after in zip(clouds(), changed(drop=0.6), strict=True):
        kept, first = np.unique(after.numpy(), axis=0, return_index=True)
        assert len(kept) < len(before)
        survivors = [row for row in before.tolist() if row in after.tolist()]
        assert after[: len(kept)].tolist() == survivors
        assert sorted(first) == list(range(len(kept)))


def test_scale_and_shift_hold_their_bounds() -> None:
    ratio = changed(scale=(0.5, 2.0)) / clouds()
    assert ratio.min() >= 0.5 - 1e-3
    assert ratio.max() <= 2 + 1e-3
    torch.testing.assert_close(ratio, ratio[:, :1].expand_as(ratio), rtol=1e-3, atol=1e-3)
    assert 0 < (changed(shift=0.2) - clouds()).abs().max() <= 0.2 + 1e-6


def test_renormalising_returns_to_the_unit_sphere() -> None:
    moved = changed(scale=(0.5, 2.0), shift=0.2, renormalise=True)
    torch.testing.assert_close(moved.norm(dim=-1).amax(dim=1), torch.ones(6))
    assert moved.mean(dim=1).abs().max() < 1e-6


def test_probability_is_per_cloud() -> None:
    many = clouds(2).repeat(200, 1, 1)
    config = Augmentation(**{**vars(OFF), "probability": 0.3, "jitter": 0.01})
    touched = (augment(many, config, seeded()) != many).flatten(1).any(dim=1).float().mean()
    assert touched.item() == pytest.approx(0.3, abs=0.08)
