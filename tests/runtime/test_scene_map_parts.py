"""The rooms of a scene map: voxels that grow and are forgotten, cuts, ids, files."""

from __future__ import annotations

import json
import os
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_map import block, small_room
from support.dying import die_at

from cg3d_runtime.errors import InputError
from cg3d_runtime.retrieval import Origin
from cg3d_runtime.scene.map_files import MAP, MapFiles, open_map, save_map
from cg3d_runtime.scene.map_match import match
from cg3d_runtime.scene.map_settings import MapSettings
from cg3d_runtime.scene.map_state import MapState
from cg3d_runtime.scene.map_things import Things
from cg3d_runtime.scene.voxel_map import VoxelMap
from cg3d_runtime.text.bank import TextBank

ORIGIN = Origin("test bundle", "ab" * 32)
NOWHERE = np.eye(4)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.02, 0.1, 1.0]))
def test_voxels_are_what_a_dictionary_says(seed: int, size: float) -> None:
    rng = np.random.default_rng(seed)
    grid = VoxelMap.empty(size)
    hits: dict[tuple[int, ...], int] = {}
    last: dict[tuple[int, ...], int] = {}
    for frame in range(1, 5):
        xyz = rng.normal(0, 0.5, (rng.integers(0, 60), 3)).astype(np.float32)
        rows = grid.add(xyz, frame)
        cells = np.floor(xyz / np.float32(size)).astype(int)
        for cell in set(map(tuple, cells.tolist())):
            hits[cell] = hits.get(cell, 0) + 1
            last[cell] = frame
        assert len(rows) == len(xyz)
        np.testing.assert_allclose(grid.corners()[rows], cells * size, atol=1e-4)
        assert (np.abs(grid.places[rows] - xyz) <= size * 1.01).all()
    assert len(grid) == len(hits)
    assert (np.diff(grid.keys) > 0).all()
    cells = np.round(grid.corners() / size).astype(int)
    assert {tuple(c): int(h) for c, h in zip(cells.tolist(), grid.hits, strict=True)} == hits
    assert {tuple(c): int(s) for c, s in zip(cells.tolist(), grid.seen, strict=True)} == last


def test_the_oldest_voxels_go_first() -> None:
    grid = VoxelMap.empty(1.0)
    for frame in range(1, 11):
        grid.add(np.array([[frame + 0.5, 0, 0]], np.float32), frame)
    grid.add(np.array([[1.5, 0, 0]], np.float32), 11)  # seen again
    grid.limit(4)
    assert sorted(grid.corners()[:, 0].tolist()) == [1, 8, 9, 10]
    assert grid.rows_of(np.array([grid.keys[2], 5])).tolist() == [2, -1]
    with pytest.raises(InputError, match="million voxels"):
        grid.add(np.array([[2e6, 0, 0]], np.float32), 12)


def test_matching_keeps_what_stayed_and_gives_splits_to_the_larger_part() -> None:
    old = np.array([7] * 10 + [9] * 6 + [-1] * 4, np.int32)
    new = np.array([0] * 7 + [1] * 3 + [2] * 6 + [2] * 4, np.int32)
    found = {pair.old: (pair.new, round(pair.kept, 2)) for pair in match(old, new)}
    assert found == {7: (0, 0.7), 9: (2, 0.6)}
    merged = match(np.array([1, 1, 1, 2, 2], np.int32), np.zeros(5, np.int32))
    assert [(pair.old, pair.new) for pair in merged] == [(1, 0)]
    assert match(old, np.full(20, -1, np.int32)) == ()


def test_averages_weigh_views_and_ids_are_never_given_twice() -> None:
    things = Things.none(2)
    one, two = things.begin(1), things.begin(1)
    things.look(one, np.array([1, 0], np.float32), 0.9)
    things.look(one, np.array([0, 1], np.float32), 0.3)
    np.testing.assert_allclose(
        things.embeddings(np.array([0]))[0], np.array([3, 1]) / np.sqrt(10), atol=1e-6
    )
    bank = TextBank(("a", "b"), ((), ()), np.eye(2, dtype=np.float32), 10.0)
    rows = np.array([0, 1])
    before = things.logits(rows, bank).copy()
    things.look(two, np.array([0, 1], np.float32), 0.5)  # what was kept is renewed
    after = things.logits(rows, bank)
    np.testing.assert_array_equal(after[0], before[0])
    np.testing.assert_allclose(after[1], [0, 10], atol=1e-5)
    things.keep(np.array([two]))
    assert things.begin(2) == 3
    things.look(one, np.array([1, 0], np.float32), 1.0)  # gone meanwhile
    assert things.ids.tolist() == [2, 3]


@pytest.mark.parametrize("seed", range(8))
def test_what_is_kept_for_questions_follows_every_change(seed: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = np.linalg.qr(rng.normal(size=(4, 4)))[0].astype(np.float32)
    bank = TextBank(("a", "b", "c", "d"), ((),) * 4, vectors, 10.0)
    things = Things.none(4)
    for frame in range(60):
        step = rng.integers(0, 6)
        if step < 2 or not len(things):
            things.begin(frame)
        elif step < 4:
            things.look(int(rng.choice(things.ids)), rng.normal(size=4).astype(np.float32), 0.5)
        elif step == 4:
            things.forget_views(int(rng.choice(things.ids)))
        else:
            things.keep(things.ids[rng.random(len(things)) < 0.8])
        if rng.random() < 0.6:
            rows = np.flatnonzero(rng.random(len(things)) < 0.7)
            expected = 10.0 * things.embeddings(rows) @ vectors.T
            np.testing.assert_allclose(things.logits(rows, bank), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("field", "value"),
    [("voxel", 0), ("voxel", float("nan")), ("range", "4"), ("sure", 0), ("cut_every", -1),
     ("most_voxels", 1.5), ("views_per_frame", True)],
)  # fmt: skip
def test_settings_that_cannot_be_meant(field: str, value: object) -> None:
    with pytest.raises(InputError, match=field):
        MapSettings(**{field: value})  # type: ignore[arg-type]


def filled(seed: int = 0, frames: int = 6) -> MapState:
    """The small room, looked at; embeddings of dimension 8 that tell the seed."""
    state = MapState.empty(MapSettings(range=20.0), 8)
    xyz, _ = small_room()
    pose = NOWHERE.copy()
    pose[:3, 3] = [100.25, -40.5, 0]
    for _ in range(frames):
        local = state.fuse(xyz - [0, 0, 0], pose)
    piece = state.piece_to_cut()
    for _ in range(3):
        state.apply(piece, piece.cut())
    views = state.worth_looking(local)
    rng = np.random.default_rng(seed)
    state.look(views, rng.normal(size=(len(views), 8)).astype(np.float32))
    return state


def tiny() -> MapState:
    """A few voxels of two things, for what is done with files again and again."""
    state = MapState.empty(MapSettings(range=20.0), 8)
    state.fuse(block((0, 0, 0), (0.2, 0.2, 0.2), 0.05).astype(np.float32), NOWHERE)
    ids = [state.things.begin(1), state.things.begin(1)]
    state.grid.owner[:] = ids[0]
    state.grid.owner[::2] = ids[1]
    state.things.look(1, np.full(8, 0.35, np.float32), 0.5)
    return state


def test_a_thing_keeps_its_id_and_places_are_of_the_map() -> None:
    state = filled()
    assert state.things.ids.tolist() == [1, 2, 3]
    assert len(state.settled()) == 2  # as many views as a frame may have
    stool = max(state.things.ids, key=lambda i: state.points_of(int(i))[:, 0].mean())
    np.testing.assert_allclose(
        state.points_of(int(stool)).mean(axis=0), [104.43, -36.32, 0.26], atol=0.05
    )


def test_what_was_never_looked_at_is_seen_by_its_voxels_when_it_is_out_of_sight() -> None:
    state = filled()
    (left,) = state.things.ids[state.things.views == 0].tolist()
    views = state.worth_looking(np.empty((0, 3), np.float32))
    assert [view.id for view in views] == [left]
    np.testing.assert_allclose(views[0].points + state.origin, state.points_of(left), atol=1e-4)
    assert 0 < views[0].quality <= 0.5
    state.look(views, np.ones((1, 8), np.float32))
    assert state.worth_looking(np.empty((0, 3), np.float32)) == []
    assert len(state.settled()) == 3


def test_what_is_far_away_is_forgotten_with_its_things() -> None:
    state = filled()
    pose = NOWHERE.copy()
    pose[:3, 3] = [130, -40, 0]
    state.fuse(np.zeros((0, 3), np.float32), pose)
    state.piece_to_cut()
    assert len(state.grid) == 0
    assert len(state.things) == 0


def test_voxels_are_bounded_in_every_frame() -> None:
    state = MapState.empty(MapSettings(most_voxels=5000), 8)
    rng = np.random.default_rng(0)
    for _ in range(8):
        state.fuse(rng.uniform(-3, 3, (3000, 3)).astype(np.float32), NOWHERE)
        assert len(state.grid) <= 5000
    assert state.grid.seen.min() >= 7


def same(one: MapState, other: MapState) -> None:
    for name in ("keys", "places", "hits", "seen", "owner"):
        np.testing.assert_array_equal(getattr(one.grid, name), getattr(other.grid, name))
    for name in ("ids", "sums", "weight", "views", "first", "last", "cuts", "next_id"):
        np.testing.assert_array_equal(getattr(one.things, name), getattr(other.things, name))
    np.testing.assert_array_equal(one.origin, other.origin)
    assert (one.settings, one.frame) == (other.settings, other.frame)


def test_a_map_comes_back_and_goes_on(tmp_path: Path) -> None:
    state = tiny()
    save_map(tmp_path / "map", MapFiles(state, ORIGIN))
    again = open_map(tmp_path / "map")
    assert again.origin == ORIGIN
    same(again.state, state)
    again.state.fuse(np.ones((5, 3), np.float32), NOWHERE)  # not mapped from the file
    save_map(tmp_path / "map", again)
    assert len(list((tmp_path / "map").glob("*.npy"))) == 5
    save_map(tmp_path / "none", MapFiles(MapState.empty(MapSettings(), 8), ORIGIN))
    assert len(open_map(tmp_path / "none").state.grid) == 0


def test_any_byte_of_a_map_that_changed_is_noticed(tmp_path: Path) -> None:
    save_map(tmp_path, MapFiles(tiny(), ORIGIN))
    draw = random.Random(0)
    for file in sorted(tmp_path.glob("[a-z]*")):
        data = file.read_bytes()
        for _ in range(8):
            damaged = bytearray(data)
            damaged[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
            file.write_bytes(damaged)
            with pytest.raises(InputError, match=r"damaged|format is"):
                open_map(tmp_path)
        file.write_bytes(data[:-1])
        with pytest.raises(InputError, match="damaged"):
            open_map(tmp_path)
        file.write_bytes(data)
    open_map(tmp_path)


@pytest.mark.parametrize("what", ["keys", "places", "hits", "owner", "seen", "ids", "sums"])
def test_a_hostile_map_with_right_hashes_is_refused(tmp_path: Path, what: str) -> None:
    state = tiny()
    grid, things = state.grid, state.things
    if what == "keys":
        grid.keys = grid.keys[::-1]
    elif what == "places":
        grid.places = grid.places + np.float32(1)
    elif what == "hits":
        grid.hits = grid.hits * 0
    elif what == "owner":
        grid.owner = grid.owner + 50
    elif what == "seen":
        grid.seen = grid.seen + 1000
    elif what == "ids":
        things.ids = things.ids + 100
    else:
        things.sums = things.sums * np.float32(np.nan)
    save_map(tmp_path, MapFiles(state, ORIGIN))
    with pytest.raises(InputError, match="damaged"):
        open_map(tmp_path)


def test_contents_that_cannot_be_are_refused(tmp_path: Path) -> None:
    from cg3d_runtime.bundle.fields import sealed

    save_map(tmp_path, MapFiles(tiny(), ORIGIN))
    value = json.loads((tmp_path / MAP).read_text())
    del value["digest"]
    for field, bad in (
        ("origin", [0.0]), ("frame", -1), ("voxels", 10**15), ("next_id", 0), ("format", 9),
        ("settings", {**value["settings"], "voxel": -1.0}), ("things", 7), ("version", "../x"),
    ):  # fmt: skip
        (tmp_path / MAP).write_bytes(sealed({**value, field: bad}))
        with pytest.raises(InputError):
            open_map(tmp_path)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_kill_at_every_step_of_a_save_leaves_the_old_map_or_the_new_one(tmp_path: Path) -> None:
    state = tiny()
    save_map(tmp_path, MapFiles(replace(state, frame=1000), ORIGIN))
    seen = [1000]
    finished = False
    for step in range(200):
        child = os.fork()
        if child == 0:
            die_at(step)
            save_map(tmp_path, MapFiles(replace(state, frame=1001 + step), ORIGIN))
            os._exit(0)
        finished = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        seen.append(open_map(tmp_path).state.frame)
        assert seen[-1] in ({1001 + step} if finished else {seen[-2], 1001 + step})
        if finished:
            break
    assert finished
    assert step > 8
    assert len(list(tmp_path.glob("*.npy"))) == 5
