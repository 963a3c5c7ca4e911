"""Generated rooms and the depth camera in them, held against cast rays."""

from __future__ import annotations

import numpy as np
import pytest

from cg3d_runtime.errors import InputError, TrainingError
from cg3d_training.render.depth_camera import DepthCamera, looking_at, tour
from cg3d_training.shapes.rooms import Room, furnished_room

PERFECT = DepthCamera(width=64, height=48, fx=50, fy=52, cx=30, cy=25, noise=0, edge_loss=0)


@pytest.fixture(scope="module")
def room() -> Room:
    return furnished_room(3)


def test_things_stand_in_the_room_and_do_not_touch(room: Room) -> None:
    boxes = [room.things[i].bounds for i in room.furniture]
    half = room.size / 2
    for (low, high), i in zip(boxes, room.furniture, strict=True):
        assert (low[:2] > -half[:2]).all()
        assert (high[:2] < half[:2]).all()
        assert low[2] >= -1e-9
        assert high[2] < room.size[2]
        for other in range(i + 1 - room.building, len(boxes)):
            apart = (low >= boxes[other][1] - 1e-9) | (high <= boxes[other][0] + 1e-9)
            assert apart.any(), (room.names[i], room.names[other + room.building])
    assert room.names[:6] == ("floor", "ceiling", "wall", "wall", "wall", "wall")
    on_top = [i for i in room.furniture if room.things[i].bounds[0][2] > 0.1]
    assert [room.names[i] for i in on_top] == ["vase", "potted plant", "lamp"]


def test_a_seed_gives_the_same_room_and_another_another(room: Room) -> None:
    again, other = furnished_room(3), furnished_room(4)
    for one, same in zip(room.things, again.things, strict=True):
        np.testing.assert_array_equal(one.mesh.vertices, same.mesh.vertices)
    assert not np.array_equal(room.things[-1].bounds[0], other.things[-1].bounds[0])


def test_points_lie_on_their_things(room: Room) -> None:
    points, owner = room.sample(40.0)
    assert set(owner) == set(range(len(room.things)))
    for number, thing in enumerate(room.things):
        own = points[owner == number]
        assert len(own) >= 64
        low, high = thing.bounds
        assert (own > low - 1e-5).all()
        assert (own < high + 1e-5).all()


def test_faults() -> None:
    with pytest.raises(InputError, match="do not fit"):
        furnished_room(0, (2.0, 2.0, 2.5), ("bookcase",) * 8, (), ())
    with pytest.raises(InputError, match="table to stand on"):
        furnished_room(0, free=(), wall_side=())
    with pytest.raises(TrainingError, match="unicorn"):
        furnished_room(0, free=("unicorn",))


def along_rays(corners: np.ndarray, rays: np.ndarray) -> np.ndarray:
    """(n,) how far rays from the origin go to the first of (f, 3, 3) triangles (Moeller and
    Trumbore 1997)."""
    a, one, two = corners[:, 0], corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    nearest = np.full(len(rays), np.inf)
    with np.errstate(divide="ignore", invalid="ignore"):
        for i, ray in enumerate(rays):
            p = np.cross(ray, two)
            scale = 1 / np.einsum("fk,fk->f", one, p)
            u = np.einsum("fk,fk->f", -a, p) * scale
            q = np.cross(-a, one)
            v = (q @ ray) * scale
            t = np.einsum("fk,fk->f", two, q) * scale
            hit = (u >= 0) & (v >= 0) & (u + v <= 1) & (t > 0)
            nearest[i] = t[hit].min(initial=np.inf)
    return nearest


def test_depth_is_that_of_rays(room: Room) -> None:
    pose = tour(room, 7)[2]
    frame = PERFECT.look(room, pose, np.random.default_rng(0))
    rows, columns = np.random.default_rng(1).integers((48, 64), size=(120, 2)).T
    rays = np.stack([(columns - 30) / 50, (rows - 25) / 52, np.ones(len(rows))], axis=1)
    nearest, owner = np.full(len(rows), np.inf), np.full(len(rows), -1)
    for number, thing in enumerate(room.things):
        corners = (thing.mesh.vertices[thing.mesh.faces] - pose[:3, 3]) @ pose[:3, :3]
        away = along_rays(corners, rays)
        owner[away < nearest] = number
        nearest = np.minimum(nearest, away)
    depth, instance = frame.depth[rows, columns], frame.instance[rows, columns]
    seen = depth > 0
    assert seen.mean() > 0.9  # the rest is seen at a slant or out of range
    # A ray through an edge may fall to either side of it.
    right = np.abs(depth - nearest) < 0.002
    assert right[seen].mean() > 0.99
    assert (instance == owner)[seen & right].all()
    assert (instance[~seen] == -1).all()


def test_points_of_all_frames_meet_on_the_surfaces(room: Room) -> None:
    for pose in tour(room, 3):
        frame = PERFECT.look(room, pose, np.random.default_rng(0))
        world = frame.points @ pose[:3, :3].T + pose[:3, 3]
        for number in np.unique(frame.owners):
            low, high = room.things[number].bounds
            own = world[frame.owners == number]
            assert (own > low - 0.002).all()
            assert (own < high + 0.002).all()
    organised = frame.organised
    assert organised.shape == (48, 64, 3)
    np.testing.assert_array_equal(np.isnan(organised[..., 2]), frame.depth == 0)


def test_errors_grow_with_distance_and_edges_go_missing() -> None:
    empty = furnished_room(0, (8.0, 8.0, 2.6), (), (), ())
    camera = DepthCamera(64, 48, 60, 60, 31.5, 23.5, noise=0.004, edge_loss=1.0, grazing=20.0)
    wall = {}
    for away in (1.0, 3.0):
        pose = looking_at([4.0 - away, 0, 1.3], [4.0, 0, 1.3])
        frame = camera.look(empty, pose, np.random.default_rng(0))
        own = frame.depth[frame.instance == 5]
        assert own.mean() == pytest.approx(away, abs=0.01)
        wall[away] = own.std()
        far = camera.furthest + 5 * camera.noise * camera.furthest**2
        assert frame.depth.max() < far
    assert wall[1.0] == pytest.approx(0.004, rel=0.1)
    assert wall[3.0] == pytest.approx(0.036, rel=0.1)
    # The floor far away is seen at a slant of less than 20 degrees.
    floor = camera.look(empty, looking_at([0, 0, 1], [3, 0, 0.9]), np.random.default_rng(0))
    assert floor.depth[floor.instance == 0].max() < 1 / np.tan(np.radians(20)) + 0.2
    table = furnished_room(0, (5.0, 5.0, 2.6), (), ("table",), ())
    pose = tour(table, 5)[0]
    sharp = DepthCamera(64, 48, 60, 60, 31.5, 23.5, noise=0, edge_loss=0)
    lost = [c.look(table, pose, np.random.default_rng(0)).depth == 0 for c in (sharp, camera)]
    assert lost[1].sum() > lost[0].sum() + 20


def test_a_wall_right_before_and_behind_the_lens() -> None:
    """Faces with corners behind the camera are cut, not left out."""
    empty = furnished_room(0, (4.0, 4.0, 2.6), (), (), ())
    frame = PERFECT.look(empty, looking_at([0, 0, 1.3], [2, 0.4, 1.2]), np.random.default_rng(0))
    assert (frame.depth > 0).all()
    assert set(np.unique(frame.instance)) <= {0, 1, 3, 5}
