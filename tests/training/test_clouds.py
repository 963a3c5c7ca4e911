"""Samples drawn before training: what they depend on, and the folder that keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cg3d_runtime.errors import Cg3dError
from cg3d_training.data import clouds as clouds_module
from cg3d_training.data.clouds import OrderedClouds, WithClouds, one_order


class Balls:
    """Spheres of 600 points, each another."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self.numbers = numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def points(self, index: int) -> NDArray[np.float32]:
        points = np.random.default_rng(self.numbers[index]).normal(size=(600, 3))
        return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)


def samples(clouds: OrderedClouds, index: int) -> set[bytes]:
    """Every sample of an object: sixty draws miss one of five once in a hundred thousand."""
    rng = np.random.default_rng(0)
    return {clouds.batch(np.array([index]), rng).numpy().tobytes() for _ in range(60)}


def test_samples_depend_on_the_object_and_the_seed_alone() -> None:
    alone = OrderedClouds(Balls([7]), 64, 2, 1, True, partial=3)
    third = OrderedClouds(Balls([5, 6, 7]), 64, 2, 1, True, partial=3)
    after = OrderedClouds(WithClouds(Balls([5]), [Balls([7]).points(0)]), 64, 2, 1, True, partial=3)
    assert len(samples(alone, 0)) == 5
    assert samples(alone, 0) == samples(third, 2) == samples(after, 1)
    assert not samples(alone, 0) & samples(third, 1)
    other_seed = OrderedClouds(Balls([7]), 64, 2, 2, True, partial=3)
    assert not samples(alone, 0) & samples(other_seed, 0)


def test_a_cache_gives_back_the_very_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = OrderedClouds(Balls([1, 2]), 64, 2, 1, True, partial=1)
    OrderedClouds(Balls([1, 2]), 64, 2, 1, True, partial=1, cache=tmp_path)
    monkeypatch.setattr(clouds_module, "one_order", None)  # nothing may be drawn again
    kept = OrderedClouds(Balls([2, 1]), 64, 2, 1, True, partial=1, cache=tmp_path)
    assert samples(kept, 0) == samples(fresh, 1)
    assert samples(kept, 1) == samples(fresh, 0)
    with pytest.raises(TypeError):  # other settings find nothing
        OrderedClouds(Balls([1, 2]), 64, 3, 1, True, partial=1, cache=tmp_path)


@pytest.mark.parametrize("fault", ["truncated", "another array"])
def test_a_damaged_cache_is_named(tmp_path: Path, fault: str) -> None:
    OrderedClouds(Balls([1]), 64, 1, 1, True, cache=tmp_path)
    (file,) = tmp_path.rglob("*.npy")
    if fault == "truncated":
        file.write_bytes(file.read_bytes()[:-1])
    else:
        np.save(file, np.zeros((1, 64, 3), np.float32))
    with pytest.raises(Cg3dError, match=file.name):
        OrderedClouds(Balls([1]), 64, 1, 1, True, cache=tmp_path)


def test_few_points_are_repeated() -> None:
    few = Balls([1]).points(0)[:20]
    order = one_order(few, 64, np.random.default_rng(0))
    assert order.shape == (64, 3)
    assert len(np.unique(order, axis=0)) == 20
