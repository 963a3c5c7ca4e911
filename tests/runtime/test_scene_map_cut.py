"""Cutting the voxels of a map into things: what is one thing, and what each stands on."""

from __future__ import annotations

import numpy as np
import pytest
from small_map import block, small_room

from cg3d_runtime.scene.map_cut import Cut, cut_map


def cut(xyz: np.ndarray, size: float = 0.03) -> Cut:
    return cut_map(np.asarray(xyz, np.float32), np.full(len(xyz), 3, np.int32), size)


def test_a_cut_finds_what_stands_free_and_what_stands_on_a_top() -> None:
    xyz, things = small_room()
    labels = cut(xyz).labels
    assert labels.max() == 2, "three things and nothing of floor and walls"
    for thing in things:
        centre = (thing.min(axis=0) + thing.max(axis=0)) / 2
        near = [
            number for number in range(3)
            if np.abs((xyz[labels == number].min(0) + xyz[labels == number].max(0)) / 2 - centre)
            .max() < 0.06
        ]  # fmt: skip
        assert len(near) == 1


def test_the_back_of_a_chair_stays_with_its_seat() -> None:
    floor = block((0, 0, -0.03), (4, 4, 0))
    seat = block((2, 2, 0.42), (2.45, 2.45, 0.48))
    back = block((2, 2.39, 0.03), (2.45, 2.45, 0.96))
    front = block((2, 2, 0.03), (2.45, 2.06, 0.42))
    labels = cut(np.concatenate([floor, seat, back, front])).labels
    assert labels.max() == 0


def test_nothing_and_too_little_is_no_thing() -> None:
    assert len(cut(np.empty((0, 3))).labels) == 0
    assert (cut(np.random.default_rng(0).random((20, 3))).labels < 0).all()


def base_at(xyz: np.ndarray, found: Cut, where: tuple[float, float, float]) -> float:
    """Of the thing that a place belongs to."""
    nearest = int(np.linalg.norm(xyz - np.array(where), axis=1).argmin())
    assert found.labels[nearest] >= 0
    return float(found.bases[found.labels[nearest]])


def test_things_stand_on_the_floor_or_on_a_top() -> None:
    xyz, _ = small_room()
    found = cut(xyz)
    assert len(found.bases) == 3
    np.testing.assert_allclose(base_at(xyz, found, (2.0, 2.4, 0.72)), 0, atol=0.03)
    np.testing.assert_allclose(base_at(xyz, found, (2.6, 2.4, 1.1)), 0.75, atol=0.03)
    np.testing.assert_allclose(base_at(xyz, found, (4.1, 4.1, 0.4)), 0, atol=0.03)


def test_what_hides_behind_something_stands_on_the_floor_and_a_picture_hangs() -> None:
    xyz, _ = small_room()
    case = block((1, 4.6, 0.6), (1.9, 4.9, 1.8))  # its lower part is out of sight, and the wall
    hidden = (xyz[:, 1] > 4.9) & (xyz[:, 0] > 1) & (xyz[:, 0] < 1.9) & (xyz[:, 2] < 1.8)
    picture = block((3, 4.85, 1.2), (3.8, 4.91, 1.7))
    xyz = np.concatenate([xyz[~hidden], case, picture])
    found = cut(xyz)
    assert len(found.bases) == 5
    np.testing.assert_allclose(base_at(xyz, found, (1.5, 4.6, 1.5)), 0, atol=0.03)
    np.testing.assert_allclose(base_at(xyz, found, (3.4, 4.85, 1.4)), 1.2, atol=0.06)


def test_a_bed_is_no_floor() -> None:
    floor = block((0, 0, -0.03), (4.5, 4, 0))
    bed = block((1, 1, 0.03), (3.1, 2.8, 0.51))
    xyz = np.concatenate([floor, bed])
    labels = cut(xyz).labels
    on_top = (xyz[:, 2] > 0.45) & (xyz[:, 0] > 1.1)
    assert (labels[on_top] == 0).all()


def test_legs_whose_upper_ends_are_out_of_sight_stay_with_the_table() -> None:
    floor = block((0, 0, -0.03), (4.5, 4.5, 0))
    top = block((2, 2, 0.69), (3.2, 2.8, 0.75))
    legs = [block((x, y, 0.03), (x + 0.06, y + 0.06, 0.24)) for x in (2, 3.14) for y in (2, 2.74)]
    stool = block((0.5, 0.5, 0.03), (0.9, 0.9, 0.45))
    xyz = np.concatenate([floor, top, *legs, stool])
    found = cut(xyz)
    assert len(found.bases) == 2
    own = found.labels == found.labels[int(np.linalg.norm(xyz - [2.6, 2.4, 0.75], axis=1).argmin())]
    assert xyz[own, 2].min() < 0.1
    np.testing.assert_allclose(base_at(xyz, found, (2.6, 2.4, 0.75)), 0, atol=0.03)


def test_a_frame_of_legs_does_not_carry_its_seat_but_a_stool_carries_its_vase() -> None:
    floor = block((0, 0, -0.03), (5, 5, 0))
    seat = block((2, 2, 0.45), (2.45, 2.45, 0.51))
    back = block((2, 2.39, 0.51), (2.45, 2.45, 0.96))
    legs = [block((x, y, 0.03), (x + 0.06, y + 0.06, 0.36)) for x in (2, 2.39) for y in (2, 2.39)]
    bars = [block((2, y, 0.3), (2.45, y + 0.06, 0.36)) for y in (2, 2.39)]
    sides = [block((x, 2, 0.3), (x + 0.06, 2.45, 0.36)) for x in (2, 2.39)]
    stool = block((4, 4, 0.03), (4.36, 4.36, 0.45))
    vase = block((4.09, 4.09, 0.54), (4.27, 4.27, 0.9))  # its foot is out of sight
    xyz = np.concatenate([floor, seat, back, *legs, *bars, *sides, stool, vase])
    found = cut(xyz)
    assert len(found.bases) == 3
    np.testing.assert_allclose(base_at(xyz, found, (2.2, 2.45, 0.9)), 0, atol=0.03)
    np.testing.assert_allclose(base_at(xyz, found, (4.18, 4.18, 0.9)), 0.45, atol=0.03)


def test_the_front_of_a_dresser_is_no_wall_though_nothing_was_seen_behind_it() -> None:
    floor = block((0.5, 0, -0.03), (5, 5, 0))
    walls = [block((0.5, 5, 0), (5, 5.03, 1.8)), block((0.5, -0.03, 0), (5, 0, 1.8))]
    front = block((0.47, 2, 0.03), (0.5, 3.5, 1.2))
    xyz = np.concatenate([floor, *walls, front])
    found = cut(xyz)
    assert len(found.bases) == 1
    np.testing.assert_allclose(base_at(xyz, found, (0.5, 2.7, 0.6)), 0, atol=0.03)


DRESSER, VASE = block((2, 2, 0.03), (3.5, 2.5, 1.05)), block((2.5, 2.06, 1.05), (2.8, 2.36, 1.5))
OTHER, ITS_VASE = (
    block((2, 2, 0.03), (3.2, 2.5, 1.11)), block((2.5, 2.2, 1.11), (2.71, 2.41, 1.5))
)  # fmt: skip


@pytest.mark.parametrize(
    ("dresser", "vase"),
    [
        (DRESSER[(DRESSER[:, 1] < 2.3) & ((DRESSER[:, 2] < 1.02) | (DRESSER[:, 1] < 2.2))], VASE),
        (
            OTHER[(OTHER[:, 2] < 1.08) | (OTHER[:, 1] < 2.1) | (OTHER[:, 1] > 2.38)],
            ITS_VASE,
        ),
    ],
    ids=["its front is seen", "its top is out of sight"],
)
def test_a_vase_comes_off_a_dresser(dresser: np.ndarray, vase: np.ndarray) -> None:
    floor = block((0, 0, -0.03), (4.5, 4.5, 0))
    xyz = np.concatenate([floor, dresser, vase])
    found = cut(xyz)
    assert len(found.bases) == 2
    foot = float(vase[:, 2].min()) - 0.015
    np.testing.assert_allclose(base_at(xyz, found, (2.6, vase[0, 1], 1.45)), foot, atol=0.06)


def test_back_and_arms_of_a_wide_armchair_stay_with_its_seat() -> None:
    floor = block((0, 0, -0.03), (4, 4, 0))
    seat = block((1.5, 1.5, 0.03), (2.4, 2.31, 0.42))
    back = block((1.5, 2.1, 0.42), (2.4, 2.25, 0.9))
    arms = [block((x, 1.6, 0.42), (x + 0.12, 2.1, 0.63)) for x in (1.5, 2.28)]
    assert cut(np.concatenate([floor, seat, back, *arms])).labels.max() == 0


def test_a_wall_that_noise_made_thick_is_where_most_frames_saw_it() -> None:
    floor = block((0, 0, -0.03), (5, 5, 0))
    sheets = [block((0, y, 0), (5, y + 0.03, 2.4)) for y in (4.91, 4.94, 4.97, 5.0, 5.03, 5.06)]
    box = block((2, 4.5, 0.03), (2.6, 4.86, 0.6))
    hits = [np.full(len(s), n) for s, n in zip(sheets, (4, 9, 30, 9, 4, 4), strict=True)]
    xyz = np.concatenate([floor, box, *sheets]).astype(np.float32)
    counts = np.concatenate([np.full(len(floor) + len(box), 20), *hits]).astype(np.int32)
    labels = cut_map(xyz, counts, 0.03).labels
    assert labels.max() == 0
    own = xyz[labels == 0]
    np.testing.assert_allclose(own.max(axis=0), box.max(axis=0), atol=0.04)
