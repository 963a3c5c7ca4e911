"""Augmentation of batches of clouds, as in the paper: scale, rotation, drop, perturbation.

The official code adds jitter and translation; all have their own switch in `Augmentation`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cg3d_training.bounds import number


@dataclass(frozen=True)
class Augmentation:
    """How much of what. Lengths are shares of the unit sphere's radius, angles radians.

    Attributes:
        probability: the chance of each of yaw, perturb, jitter and drop, cloud by cloud
            (official: 0.3); scale and shift always happen.
        yaw: largest rotation about the up axis.
        perturb: standard deviation of small rotations about all three axes (cut at 3 sigma).
        jitter: standard deviation of noise on every coordinate (cut at 5 sigma).
        drop: largest share of points to drop; they are replaced by repeats of others.
        scale: lowest and highest factor of each axis.
        shift: largest translation along each axis.
        renormalise: bring the cloud back into the unit sphere, as every cloud is at inference.
    """

    probability: float = number(0.3, most=1)
    yaw: float = number(3.14159265)
    perturb: float = number(0.06)
    jitter: float = number(0.01)
    drop: float = number(0.1, most=1)
    scale: tuple[float, float] = (0.6667, 1.5)
    shift: float = number(0.2)
    renormalise: bool = False


def augment(clouds: Tensor, config: Augmentation, generator: torch.Generator) -> Tensor:
    """Augment each cloud by itself.

    Args:
        clouds: (B, N, 3) float32, y up, in the unit sphere, in furthest point order; the order
            holds for what is left after dropping.
        generator: the only source of randomness.
    """
    batch = len(clouds)

    def uniform(*shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        return torch.rand(shape, generator=generator) * (high - low) + low

    def normal(*shape: int, sigma: float, cut: float) -> Tensor:
        noise = torch.randn(shape, generator=generator) * sigma
        return noise.clamp(-cut * sigma, cut * sigma)

    def some() -> Tensor:
        return (uniform(batch, 1, 1) < config.probability).float()

    yaw = uniform(batch, low=-config.yaw, high=config.yaw) * some()[:, 0, 0]
    tilt = normal(batch, 3, sigma=config.perturb, cut=3) * some()[:, 0]
    clouds = clouds @ (_rotation(tilt) @ _rotation(_about_y(yaw))).transpose(1, 2)
    clouds = clouds + normal(*clouds.shape, sigma=config.jitter, cut=5) * some()
    clouds = _drop(clouds, uniform(batch, 1) * config.drop * some()[:, 0], generator)
    clouds = clouds * uniform(batch, 1, 3, low=config.scale[0], high=config.scale[1])
    clouds = clouds + uniform(batch, 1, 3, low=-config.shift, high=config.shift)
    if config.renormalise:
        clouds = clouds - clouds.mean(dim=1, keepdim=True)
        clouds = clouds / clouds.norm(dim=-1).amax(dim=1)[:, None, None]
    return clouds


def _about_y(angle: Tensor) -> Tensor:
    zero = torch.zeros_like(angle)
    return torch.stack([zero, angle, zero], dim=1)


def _rotation(angles: Tensor) -> Tensor:
    """(B, 3) angles about x, y, z, in turn, to (B, 3, 3) rotation matrices."""
    (cx, cy, cz), (sx, sy, sz) = angles.cos().unbind(1), angles.sin().unbind(1)
    one, zero = torch.ones_like(cx), torch.zeros_like(cx)

    def matrix(*entries: Tensor) -> Tensor:
        return torch.stack(entries, dim=1).reshape(-1, 3, 3)

    x = matrix(one, zero, zero, zero, cx, -sx, zero, sx, cx)
    y = matrix(cy, zero, sy, zero, one, zero, -sy, zero, cy)
    z = matrix(cz, -sz, zero, sz, cz, zero, zero, zero, one)
    return z @ y @ x


def _drop(clouds: Tensor, share: Tensor, generator: torch.Generator) -> Tensor:
    """Drop a share of each cloud's points; the rest moves up, repeats of it fill the end."""
    batch, n, _ = clouds.shape
    kept = torch.rand(batch, n, generator=generator) >= share
    kept[:, 0] = True
    order = kept.int().argsort(dim=1, descending=True, stable=True)
    left = kept.sum(dim=1, keepdim=True)
    source = order.gather(1, torch.arange(n).expand(batch, n) % left)
    return clouds.gather(1, source[..., None].expand(-1, -1, 3))
