"""Sampling and neighbour search in plain torch: nothing to compile, exact to the official rules."""

from __future__ import annotations

import torch
from torch import Tensor

from cg3d_runtime.points.sampling import MAX_THREADS, NEAR_ORIGIN


def furthest_point_sample(points: Tensor, m: int, skip_origin: bool = True) -> Tensor:
    """Batched furthest point sampling; the rules are `cg3d_runtime`'s `furthest_point_sample`.

    Args:
        points: (B, N, 3) float32.
        m: how many to select.
        skip_origin: the rule of the official operator that points near the origin count for
            nothing.

    Returns:
        (B, m) int64 indices.
    """
    batch, n, _ = points.shape
    threads = min(MAX_THREADS, 1 << (n.bit_length() - 1))
    k = torch.arange(n, device=points.device)
    order = torch.argsort((k % threads) * n + k)
    x, y, z = points[:, order].unbind(-1)
    nearest = torch.full((batch, n), 1e10, device=points.device)
    if skip_origin:
        nearest[x * x + y * y + z * z <= float(NEAR_ORIGIN)] = -1.0
    chosen = torch.empty(batch, m, dtype=torch.long, device=points.device)
    last = torch.zeros(batch, 1, dtype=torch.long, device=points.device)
    for i in range(m):
        chosen[:, i : i + 1] = last
        dx, dy, dz = x - x.gather(1, last), y - y.gather(1, last), z - z.gather(1, last)
        nearest = torch.minimum(nearest, dx * dx + dy * dy + dz * dz)
        last = _first_argmax(nearest)
    return order[chosen]


def _first_argmax(values: Tensor) -> Tensor:
    """(B, 1) index of the first largest value; torch.argmax promises no order among equals."""
    largest = values.amax(dim=1, keepdim=True)
    return (values == largest).to(torch.int8).argmax(dim=1, keepdim=True)


def nearest_neighbours(points: Tensor, centres: Tensor, k: int) -> Tensor:
    """The k points nearest to each centre, nearest first.

    Squared distances by |a|^2 + |b|^2 - 2ab in float32, as in the official code.

    Args:
        points: (B, N, 3) float32.
        centres: (B, M, 3) float32.

    Returns:
        (B, M, k) int64 indices into the points.
    """
    device = points.device.type
    if torch.is_autocast_enabled(device):  # it would round the products, and find others nearest
        with torch.autocast(device, enabled=False):
            return nearest_neighbours(points.float(), centres.float(), k)
    cross = centres @ points.transpose(1, 2)
    distance = (centres**2).sum(-1, keepdim=True) + (points**2).sum(-1)[:, None, :] - 2.0 * cross
    # sorted=True because TensorRT refuses the unsorted form.
    return distance.topk(k, dim=-1, largest=False, sorted=True).indices


def ball_neighbours(points: Tensor, centres: Tensor, radius: float, k: int) -> Tensor:
    """The first k points in the order of their rows that lie within a radius of each centre.

    Where there are fewer, the first is repeated (PointNet++).

    Args:
        points: (B, N, 3) float32.
        centres: (B, M, 3) float32, each one of the points.

    Returns:
        (B, M, min(k, N)) int64 indices into the points.
    """
    n = points.shape[1]
    distance = -2.0 * (centres @ points.transpose(1, 2))
    distance += (centres**2).sum(-1, keepdim=True)
    distance += (points**2).sum(-1)[:, None, :]
    rows = torch.arange(n, device=points.device).expand(distance.shape)
    within = torch.where(distance > radius**2, n, rows)
    first = within.topk(min(k, n), dim=-1, largest=False, sorted=True).values
    return torch.where(first == n, first[..., :1], first)


def gather_rows(values: Tensor, indices: Tensor) -> Tensor:
    """Rows of (B, N, C) at (B, M, k), as (B, M, k, C)."""
    batch, n, channels = values.shape
    first = torch.arange(batch, device=values.device)[:, None, None] * n
    # Whole rows are copied, where torch.gather would read one index for every number.
    rows = values.reshape(batch * n, channels).index_select(0, (indices + first).reshape(-1))
    return rows.reshape(*indices.shape, channels)


def some_rows(values: Tensor, share: float) -> Tensor:
    """A share of the rows of (B, M, C), at least one, others for each of the B; torch draws."""
    batch, rows = values.shape[:2]
    kept = max(1, round(rows * share))
    drawn = torch.rand(batch, rows, device=values.device).argsort(dim=1)[:, :kept]
    return gather_rows(values, drawn[..., None]).squeeze(2)
