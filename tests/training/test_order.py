"""The order of an epoch: every object once, in batches that do not depend on who asks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cg3d_runtime.errors import TrainingError
from cg3d_training.data.order import EpochOrder, OrderSettings


@given(
    counts=st.lists(st.integers(0, 12), min_size=1, max_size=8),
    lanes=st.integers(1, 3), share=st.integers(1, 3), window=st.integers(1, 20),
    epoch=st.integers(0, 3),
)  # fmt: skip
def test_every_batch_is_of_other_objects(
    counts: list[int], lanes: int, share: int, window: int, epoch: int
) -> None:
    settings = OrderSettings(5, share * lanes, window, lanes)
    order = EpochOrder(np.array(counts), settings, epoch)
    assert order.steps == sum(counts) // lanes // share
    batches = [order.batch(step) for step in range(order.steps)]
    rows = [row for batch in batches for row in batch.tolist()]
    assert len(set(rows)) == len(rows) == order.steps * share * lanes
    assert set(rows) <= set(range(sum(counts)))
    for step in reversed(range(order.steps)):  # of itself, without those before it
        again = EpochOrder(np.array(counts), settings, epoch).batch(step)
        np.testing.assert_array_equal(again, batches[step])


def test_a_small_set_is_shuffled_as_a_whole() -> None:
    """Neighbours in the first batch are as far apart as chance puts them."""
    counts = np.array([50, 50])
    rows = [EpochOrder(counts, OrderSettings(1, 100, 1000), epoch).batch(0) for epoch in range(40)]
    assert len({tuple(r) for r in rows}) == 40
    share = np.mean([np.mean((r[:-1] < 50) == (r[1:] < 50)) for r in rows])
    assert abs(share - 49 / 99) < 0.03


def test_of_a_large_set_few_shards_are_read_at_a_time() -> None:
    """And each of four processes that share the batches reads a quarter of the shards."""
    counts = np.full(80, 10)
    order = EpochOrder(counts, OrderSettings(1, 8, 40, 4), 0)
    shards = np.array([order.batch(step) // 10 for step in range(order.steps)])  # (steps, 8)
    assert order.steps == 100
    for start in range(0, 100, 20):  # a window of 40 objects, two a step
        for lane in range(4):
            assert len(np.unique(shards[start : start + 20, 2 * lane : 2 * lane + 2])) <= 5
    read = [set(shards[:, 2 * lane : 2 * lane + 2].flat) for lane in range(4)]
    assert all(len(own) == 20 for own in read)
    assert len(set.union(*read)) == 80
    other = EpochOrder(counts, OrderSettings(1, 8, 40, 4), 1)
    assert set(other.batch(0) // 10) != set(order.batch(0) // 10)


def test_mistakes() -> None:
    with pytest.raises(TrainingError, match="a divisor of"):
        EpochOrder(np.array([9]), OrderSettings(1, 8, 40, 3), 0)
    with pytest.raises(TrainingError, match="at least 1"):
        EpochOrder(np.array([9]), OrderSettings(1, 8, 0), 0)
