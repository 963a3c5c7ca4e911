"""What builds of engines may be told: sizes, batches, the memory that is taken by default."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cg3d_export.tensorrt.options import (
    BatchRange,
    BuildOptions,
    describe_memory,
    parse_batch,
    parse_memory,
    workspace_for,
)
from cg3d_runtime.errors import InputError

GIB = 1 << 30


@given(st.lists(st.integers(1, 65536), min_size=3, max_size=3))
def test_a_batch_is_three_sizes_that_do_not_fall(sizes: list[int]) -> None:
    text = ":".join(map(str, sizes))
    if sizes == sorted(sizes):
        batch = parse_batch(text)
        assert (batch.minimum, batch.optimum, batch.maximum) == tuple(sizes)
        assert str(batch) == text
    else:
        with pytest.raises(InputError, match="do not fall"):
            parse_batch(text)


def test_one_number_is_a_fixed_batch() -> None:
    assert parse_batch("4") == BatchRange(4, 4, 4)


@pytest.mark.parametrize("text", ["", "0", "1:2", "1:2:3:4", "a:b:c", "1:8:65537", "-1:1:1", "1.5"])
def test_what_is_no_batch(text: str) -> None:
    with pytest.raises(InputError, match="MIN:OPT:MAX"):
        parse_batch(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512", 512 << 20), ("512MiB", 512 << 20), ("512 m", 512 << 20), ("2GiB", 2 * GIB),
        ("0.5g", GIB // 2), ("1", 1 << 20),
    ],
)  # fmt: skip
def test_memory(text: str, size: int) -> None:
    assert parse_memory(text) == size


@pytest.mark.parametrize("text", ["", "0", "0.5", "much", "-2GiB", "2TiB", "17000GiB", "1e3"])
def test_what_is_no_memory(text: str) -> None:
    with pytest.raises(InputError, match="512MiB or 2GiB"):
        parse_memory(text)


@given(st.integers(1 << 10, 1 << 22))
def test_what_is_described_can_be_given_again(mebibytes: int) -> None:
    size = mebibytes << 20
    again = parse_memory(describe_memory(size))
    assert abs(again - size) <= size / 1000


def test_the_default_leaves_a_board_of_8_gb_its_memory() -> None:
    assert workspace_for(8 * GIB) == 2 * GIB
    assert workspace_for(64 * GIB) == 4 * GIB
    assert workspace_for(None) == GIB


def test_the_optimization_level_is_tensorrts() -> None:
    assert BuildOptions(optimization_level=5).optimization_level == 5
    with pytest.raises(InputError, match="between 0"):
        BuildOptions(optimization_level=6)
