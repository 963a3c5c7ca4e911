"""Sizes of things: the list, what is measured, and what it does to answers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cg3d_runtime.scene.boxes import oriented_box
from cg3d_runtime.scene.scoring import belief, varied
from cg3d_runtime.scene.sizes import Size, extents, known_sizes, plausibility
from cg3d_runtime.text.bank import TextBank
from cg3d_sdk.recognizer import Recognizer


def bank(*names: str, d: int = 8) -> TextBank:
    vectors = np.eye(d, dtype=np.float32)[: len(names)]
    return TextBank(names, ((),) * len(names), vectors, 10.0)


def test_the_list_is_sound_and_the_shipped_bundle_knows_its_names() -> None:
    for name, size in known_sizes().items():
        assert 0 < size.long[0] < size.long[1], name
        assert 0 <= size.tall[0] < size.tall[1], name
        assert size.tall[0] < size.long[1], name  # no side is longer than the longest
        assert size.thin > 0, name
    known = Recognizer(engine="cpu", threads=1)
    assert [name for name in known_sizes() if name not in known.bank] == []


@settings(max_examples=40, deadline=None)
@given(st.tuples(*[st.floats(0.05, 3.0)] * 3), st.floats(0, 3.1), st.integers(0, 2**31))
def test_an_extent_is_that_of_the_box(
    size: tuple[float, float, float], yaw: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)])
    box = np.concatenate([corners, rng.random((400, 3))]) * size
    turn = np.array([[np.cos(yaw), np.sin(yaw), 0], [-np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
    cloud = box @ turn
    exact = oriented_box(cloud).size.max()
    long, tall, thin = extents(cloud, [np.arange(len(cloud))])[0]
    assert long == pytest.approx(exact, rel=0.25)
    assert tall == pytest.approx(size[2], rel=1e-6)
    assert thin <= tall <= long
    upright = extents(box, [np.arange(len(box))])[0]
    assert upright == pytest.approx([max(size), size[2], min(size)], rel=1e-6)


def test_bounds_cost_nothing_inside_and_more_the_further_out() -> None:
    least, most = known_sizes()["rocking chair"].long
    at = np.array([least / 3, least / 1.5, least, most, 1.3 * most, 100 * most])
    at = np.stack([at, np.full(6, 1.0), np.full(6, 0.6)], axis=1)
    chair, unknown = plausibility(at, bank("rocking chair", "thing without a size")).T
    assert (unknown == 0).all()
    assert (chair[2:4] == 0).all()
    assert chair[0] < chair[1] < 0
    assert chair[5] < chair[4] < 0
    assert chair[5] == -6


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("carpet", (2.0, 0.02, 0.02), (2.0, 0.8, 0.7)),  # a table's extent
        ("television", (0.9, 0.6, 0.1), (1.1, 1.1, 1.05)),  # a cube
        ("picture frame", (0.8, 0.8, 0.03), (0.8, 0.8, 0.4)),  # a box
        ("coffee table", (1.1, 0.45, 0.45), (1.1, 1.0, 0.6)),  # as high as a bar
    ],
)
def test_height_and_thickness_count_too(
    name: str, right: tuple[float, float, float], wrong: tuple[float, float, float]
) -> None:
    told = plausibility(np.array([right, wrong]), bank(name))[:, 0]
    assert told[0] == 0
    assert told[1] < -2


def test_names_without_height_or_thickness_have_any() -> None:
    assert known_sizes()["coatrack"] == Size((0.8, 2.0))
    flat_and_tall = np.array([[1.5, 0.01, 0.01], [1.5, 1.5, 1.4]])
    assert (plausibility(flat_and_tall, bank("coatrack")) == 0).all()


def test_what_is_too_large_is_believed_less_and_so_are_its_rivals() -> None:
    names = bank("mug", "building", "thing")
    rows = np.repeat(np.array([[0.6, 0.6, 0.5, 0, 0, 0, 0, 0]], np.float32), 2, axis=0)
    sizes = plausibility(np.array([[0.1] * 3, [30.0] * 3]), names)
    small, large = belief(rows, names.vectors[0], names, sizes, sizes[:, 0])
    plain = belief(rows, names.vectors[0], names)
    assert plain[0] == plain[1]
    assert small > 1.5 * plain[0]  # no building is that small
    assert large < 0.02 * plain[0]


def test_second_pieces_of_a_whole_come_last() -> None:
    whole = np.array([3, -1, 3, -1, 0, 3, 0])
    assert varied([2, 5, 1, 0, 4, 3, 6], whole) == [2, 1, 4, 3, 5, 0, 6]
    assert varied([0, 1, 2], np.full(3, -1)) == [0, 1, 2]
