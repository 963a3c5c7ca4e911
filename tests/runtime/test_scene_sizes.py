"""Sizes of things: the list, what is measured, and what it does to answers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cg3d_runtime.scene.boxes import oriented_box
from cg3d_runtime.scene.scoring import belief, varied
from cg3d_runtime.scene.sizes import known_sizes, lengths, plausibility
from cg3d_runtime.text.bank import TextBank
from cg3d_sdk.recognizer import Recognizer


def bank(*names: str, d: int = 8) -> TextBank:
    vectors = np.eye(d, dtype=np.float32)[: len(names)]
    return TextBank(names, ((),) * len(names), vectors, 10.0)


def test_the_list_is_sound_and_the_shipped_bundle_knows_its_names() -> None:
    assert all(0 < least < most for least, most in known_sizes().values())
    known = Recognizer(engine="cpu", threads=1)
    assert [name for name in known_sizes() if name not in known.bank] == []


@settings(max_examples=40, deadline=None)
@given(st.tuples(*[st.floats(0.05, 3.0)] * 3), st.floats(0, 3.1), st.integers(0, 2**31))
def test_a_length_is_that_of_the_box(
    size: tuple[float, float, float], yaw: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)])
    box = np.concatenate([corners, rng.random((400, 3))]) * size
    turn = np.array([[np.cos(yaw), np.sin(yaw), 0], [-np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
    cloud = box @ turn
    exact = oriented_box(cloud).size.max()
    assert lengths(cloud, [np.arange(len(cloud))])[0] == pytest.approx(exact, rel=0.25)
    upright = lengths(box, [np.arange(len(box))])[0]
    assert upright == pytest.approx(max(size), rel=1e-6)


def test_bounds_cost_nothing_inside_and_more_the_further_out() -> None:
    least, most = known_sizes()["chair"]
    at = np.array([least / 3, least / 1.5, least, most, 1.3 * most, 100 * most])
    chair, unknown = plausibility(at, bank("chair", "thing without a size")).T
    assert (unknown == 0).all()
    assert (chair[2:4] == 0).all()
    assert chair[0] < chair[1] < 0
    assert chair[5] < chair[4] < 0
    assert chair[5] == -6


def test_what_is_too_large_is_believed_less_and_so_are_its_rivals() -> None:
    names = bank("mug", "building", "thing")
    rows = np.repeat(np.array([[0.6, 0.6, 0.5, 0, 0, 0, 0, 0]], np.float32), 2, axis=0)
    sizes = plausibility(np.array([0.1, 30.0]), names)
    small, large = belief(rows, names.vectors[0], names, sizes, sizes[:, 0])
    plain = belief(rows, names.vectors[0], names)
    assert plain[0] == plain[1]
    assert small > 1.5 * plain[0]  # no building is that small
    assert large < 0.02 * plain[0]


def test_second_pieces_of_a_whole_come_last() -> None:
    whole = np.array([3, -1, 3, -1, 0, 3, 0])
    assert varied([2, 5, 1, 0, 4, 3, 6], whole) == [2, 1, 4, 3, 5, 0, 6]
    assert varied([0, 1, 2], np.full(3, -1)) == [0, 1, 2]
