"""A depth camera that looks into generated rooms: occlusion, noise, missing returns.

Frames are as ROS has them: the optical frame is x right, y down, z forward; depth is along z,
metres, 0 where nothing came back.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cg3d_training.render.rasterise import rasterise
from cg3d_training.shapes.rooms import Room

_NEAR_CUT = 0.02  # metres; surfaces nearer to the lens are cut off
_STEP = 0.001  # metres; depth cameras report millimetres


@dataclass(frozen=True)
class DepthCamera:
    """A pinhole depth camera.

    The error along z has a standard deviation of `noise` * z^2, as of stereo and structured light.
    A pixel gives no return where the surface is seen at a slant below `grazing`, out of range, and
    with the chance `edge_loss` where its neighbour lies further away or nearer by 5 %.

    Attributes:
        width, height: of the picture, pixels.
        fx, fy, cx, cy: focal lengths and centre, pixels; the middle of the first pixel is (0, 0),
            as in `sensor_msgs/CameraInfo`.
        nearest, furthest: range, metres.
        noise: standard deviation at 1 m, metres.
        grazing: degrees between surface and line of sight.
        edge_loss: a share.
    """

    width: int = 320
    height: int = 240
    fx: float = 290.0
    fy: float = 290.0
    cx: float = 159.5
    cy: float = 119.5
    nearest: float = 0.3
    furthest: float = 6.0
    noise: float = 0.002
    grazing: float = 8.0
    edge_loss: float = 0.7

    @property
    def matrix(self) -> NDArray[np.float64]:
        """(3, 3) intrinsic matrix K."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1.0]])

    def look(self, room: Room, pose: ArrayLike, rng: np.random.Generator) -> DepthFrame:
        """What the camera sees.

        Args:
            room: where it is.
            pose: (4, 4) from the optical frame to the room's, see `looking_at`.
            rng: draws the errors; the same state gives the same frame.
        """
        placed = np.asarray(pose, np.float64)
        vertices, faces, owner = _in_front(room, placed, self)
        pixels = self.height * self.width
        depth, instance = np.zeros(pixels, np.float32), np.full(pixels, -1, np.int16)
        if len(faces):
            z = vertices[:, 2]
            # `rasterise` has (0, 0) at the outer corner of the first pixel.
            x = self.fx * vertices[:, 0] / z + self.cx + 0.5
            y = self.fy * vertices[:, 1] / z + self.cy + 0.5
            screen = np.stack([x, y, z], axis=1)
            hits = rasterise(screen, faces, (self.width, self.height))
            true = np.zeros(pixels, np.float32)
            true[hits.pixel] = hits.depth
            instance[hits.pixel] = owner[hits.face]
            corners = vertices[faces]
            normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
            normal /= np.linalg.norm(normal, axis=1, keepdims=True).clip(min=1e-12)
            ray = self._rays()[hits.pixel]
            slant = np.abs(np.einsum("nk,nk->n", normal[hits.face], ray))
            slant /= np.sqrt(np.einsum("nk,nk->n", ray, ray))
            kept = slant > np.sin(np.radians(self.grazing))
            kept &= (hits.depth >= self.nearest) & (hits.depth <= self.furthest)
            edge = _edges(true.reshape(self.height, self.width)).reshape(-1)[hits.pixel]
            kept &= ~edge | (rng.random(len(edge)) >= self.edge_loss)
            error = self.noise * hits.depth**2 * rng.standard_normal(len(kept))
            measured = np.round((hits.depth + error) / _STEP) * _STEP
            depth[hits.pixel[kept]] = measured[kept]
            instance[depth <= 0] = -1
        shape = (self.height, self.width)
        return DepthFrame(self, depth.reshape(shape), instance.reshape(shape), placed)

    def _rays(self) -> NDArray[np.float64]:
        """(h w, 3) where each pixel looks, with z = 1."""
        down, across = np.mgrid[: self.height, : self.width]
        rays = [(across - self.cx) / self.fx, (down - self.cy) / self.fy, np.ones(down.shape)]
        return np.stack(rays, axis=2).reshape(-1, 3)


@dataclass(frozen=True, eq=False)
class DepthFrame:
    """One picture of a depth camera.

    Attributes:
        camera: that took it.
        depth: (h, w) float32 metres along the optical axis, 0 for no return.
        instance: (h, w) int16 the thing of the room that is seen, -1 for no return.
        pose: (4, 4) float64 from the optical frame to the room's.
    """

    camera: DepthCamera
    depth: NDArray[np.float32]
    instance: NDArray[np.int16]
    pose: NDArray[np.float64]

    @property
    def organised(self) -> NDArray[np.float32]:
        """(h, w, 3) float32 points in the optical frame, metres, NaN for no return."""
        depth = np.where(self.depth > 0, self.depth, np.float32(np.nan))
        rays = self.camera._rays().astype(np.float32).reshape(*depth.shape, 3)
        return np.asarray(rays * depth[..., None])

    @property
    def points(self) -> NDArray[np.float32]:
        """(n, 3) float32 the returns alone, in the optical frame, metres, row by row."""
        return self.organised[self.depth > 0]

    @property
    def owners(self) -> NDArray[np.int64]:
        """(n,) int64 the instance of each of `points`."""
        return self.instance[self.depth > 0].astype(np.int64)


def looking_at(eye: ArrayLike, target: ArrayLike) -> NDArray[np.float64]:
    """(4, 4) pose of a camera that is not tilted sideways: optical frame to the room's (z up).

    Args:
        eye, target: (3,) metres; not one straight above the other.
    """
    start = np.asarray(eye, np.float64)
    forward = np.asarray(target, np.float64) - start
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    pose[:3, 3] = start
    return pose


def tour(room: Room, frames: int, height: float = 1.5) -> NDArray[np.float64]:
    """(frames, 4, 4) poses of a camera that goes once around the middle of a room.

    It looks across the middle, a little down, to the furniture on the other side.

    Args:
        room: to go about in.
        frames: how many poses.
        height: of the camera, metres.
    """
    turn = 2 * np.pi * np.arange(frames) / frames
    half = room.size[:2] / 2
    way = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    poses = [looking_at([*(0.45 * half * w), height], [*(-0.8 * half * w), 0.35]) for w in way]
    return np.stack(poses)


def _in_front(
    room: Room, pose: NDArray[np.float64], camera: DepthCamera
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int16]]:
    """Vertices in the optical frame, all before the lens, faces, and the thing of each face."""
    turn, eye = pose[:3, :3], pose[:3, 3]
    all_vertices, all_faces, owners, start = [], [], [], 0
    # Slopes of the picture's borders: outside of one of them with all corners is out of sight.
    right = (camera.width - camera.cx) / camera.fx
    left = (camera.cx + 1) / camera.fx
    below = (camera.height - camera.cy) / camera.fy
    above = (camera.cy + 1) / camera.fy
    for number, thing in enumerate(room.things):
        seen = np.einsum("nk,kd->nd", thing.mesh.vertices - eye, turn)
        x, y, z = seen.T
        outside = (
            (z < _NEAR_CUT).all()
            or (x > right * z).all()
            or (x < -left * z).all()
            or (y > below * z).all()
            or (y < -above * z).all()
        )
        if not outside:
            seen, faces = _cut(seen, thing.mesh.faces)
            all_vertices.append(seen)
            all_faces.append(faces + start)
            owners.append(np.full(len(faces), number, np.int16))
            start += len(seen)
    if not all_vertices:
        return np.empty((0, 3)), np.empty((0, 3), np.int64), np.empty(0, np.int16)
    return np.concatenate(all_vertices), np.concatenate(all_faces), np.concatenate(owners)


def _cut(
    vertices: NDArray[np.float64], faces: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Triangles without what lies behind z = `_NEAR_CUT`."""
    front = vertices[:, 2] > _NEAR_CUT
    count = front[faces].sum(axis=1)
    kept = [faces[count == 3]]
    new, start = [vertices], len(vertices)
    for inside in (1, 2):
        cut = faces[count == inside]
        if not len(cut):
            continue
        # The corner that is alone on its side comes first; the turn of the triangle stays.
        alone = front[cut] if inside == 1 else ~front[cut]
        roll = (alone.argmax(axis=1)[:, None] + np.arange(3)) % 3
        a, b, c = np.take_along_axis(cut, roll, axis=1).T
        ab, ac = (_crossing(vertices[a], vertices[other]) for other in (b, c))
        first = start + np.arange(len(cut))
        second = first + len(cut)
        new += [ab, ac]
        start += 2 * len(cut)
        if inside == 1:
            kept.append(np.stack([a, first, second], axis=1))
        else:
            kept += [np.stack([first, b, c], axis=1), np.stack([first, c, second], axis=1)]
    return np.concatenate(new), np.concatenate(kept)


def _crossing(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    share = (_NEAR_CUT - one[:, 2]) / (other[:, 2] - one[:, 2])
    found: NDArray[np.float64] = one + share[:, None] * (other - one)
    found[:, 2] = _NEAR_CUT
    return found


def _edges(depth: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(h, w) pixels beside one that lies further away or nearer by 5 %, or where nothing is."""
    edge = np.zeros(depth.shape, np.bool_)
    for one, other in (
        (np.s_[:, 1:], np.s_[:, :-1]),
        (np.s_[1:], np.s_[:-1]),
    ):
        jump = np.abs(depth[one] - depth[other]) > 0.05 * np.minimum(depth[one], depth[other])
        edge[one] |= jump
        edge[other] |= jump
    return edge
