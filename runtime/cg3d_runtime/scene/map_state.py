"""Everything that a `SceneMap` knows, and the steps that change it. The SceneMap locks."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.scene.map_cut import Cut, cut_map
from cg3d_runtime.scene.map_match import match
from cg3d_runtime.scene.map_settings import MapSettings
from cg3d_runtime.scene.map_things import Things
from cg3d_runtime.scene.voxel_map import NOBODY, VoxelMap
from cg3d_runtime.text.bank import TextBank

#: Points that a view has at least: nobody would know it by fewer.
_LEAST_VIEW = 48

#: A view that would change the average by less than this share is not worth the encoder.
_LEAST_GAIN = 0.02

#: Points from which a view does not gain by more, and the distance at which it is worth half.
_ENOUGH, _HALF_WORTH = 512, 3.0

#: The quality of a view that is made of a thing's voxels: they are coarser than a frame.
_OF_VOXELS = 0.5

#: A cut reaches so far beyond the sensor's range, metres.
_MARGIN = 1.0

#: Voxels that were never sure are forgotten after so many cuts without being seen.
_NOISE_CUTS = 5

#: A thing that shares less than this with what it was begins a new average.
_SAME_SHAPE = 0.5


@dataclass(frozen=True, eq=False)
class View:
    """What one frame shows of a thing.

    Attributes:
        id: of the thing.
        points: (n, 3) float32, metres about the map's origin, z up.
        quality: the weight of its embedding.
    """

    id: int
    points: NDArray[np.float32]
    quality: float


@dataclass(frozen=True, eq=False)
class Piece:
    """A copy of the sure voxels about the newest pose, to be cut without holding the map.

    Attributes:
        keys: (n,) int64 of the voxels.
        xyz: (n, 3) float32 their places.
        hits: (n,) int32 the frames that each was seen in.
        size: of a voxel.
    """

    keys: NDArray[np.int64]
    xyz: NDArray[np.float32]
    hits: NDArray[np.int32]
    size: float

    def cut(self) -> Cut:
        """The thing of each voxel, and what each stands on."""
        return cut_map(self.xyz, self.hits, self.size)


@dataclass(eq=False)
class MapState:
    """Voxels, things and the newest pose. Not safe for several threads.

    Attributes:
        settings: sizes, bounds and rates.
        grid: the voxels, about `origin`.
        things: what the last cut found, with the views of each.
        origin: (3,) float64 where the map began: float32 has too few digits for map coordinates.
        position: (3,) float64 of the newest pose, about `origin`.
        frame: how many frames there were.
    """

    settings: MapSettings
    grid: VoxelMap
    things: Things
    origin: NDArray[np.float64]
    position: NDArray[np.float64]
    frame: int

    @classmethod
    def empty(cls, settings: MapSettings, dim: int) -> MapState:
        """Nothing seen yet; `dim` is the size of embeddings."""
        nowhere = np.zeros(3)
        grid = VoxelMap.empty(settings.voxel)
        return cls(settings, grid, Things.none(dim), nowhere, nowhere, 0)

    @property
    def bytes(self) -> int:
        """Memory of all arrays."""
        return self.grid.bytes + self.things.bytes

    def copied(self) -> MapState:
        """A copy that shares nothing, without what is kept for questions."""
        things = replace(self.things, _bank=None, _logits=None, _stale=None)
        return deepcopy(replace(self, things=things))

    def fuse(self, xyz: NDArray[np.floating], pose: NDArray[np.float64]) -> NDArray[np.float32]:
        """Add points (n, 3) of a sensor at a pose (4, 4).

        Returns:
            (n, 3) float32 the points about `origin`, in the map's axes.
        """
        origin = np.floor(pose[:3, 3]) if self.frame == 0 else self.origin
        position = pose[:3, 3] - origin
        turn = pose[:3, :3].astype(np.float32)
        local = np.asarray(xyz, np.float32) @ turn.T + position.astype(np.float32)
        self.grid.add(local, self.frame + 1)
        self.origin, self.position, self.frame = origin, position, self.frame + 1
        if len(self.grid) > self.settings.most_voxels:
            self.grid.limit(self.settings.most_voxels)
            self.things.keep(np.unique(self.grid.owner))
        return local

    def cut_is_due(self) -> bool:
        """Whether this frame is one after which the map is cut."""
        every = self.settings.cut_every
        return every > 0 and self.frame % every == 0

    def piece_to_cut(self) -> Piece:
        """Forget what is far away or noise, and copy what is to be cut."""
        grid, settings = self.grid, self.settings
        place = self.position.astype(np.float32)
        patience = _NOISE_CUTS * max(1, settings.cut_every)
        stale = (grid.hits < settings.sure) & (self.frame - grid.seen > patience)
        far = (np.abs(grid.places - place) > settings.reach).any(axis=1)
        grid.keep(~(stale | far))
        self.things.keep(np.unique(grid.owner))
        away = np.abs(grid.places - place).max(axis=1, initial=0.0)
        near = (grid.hits >= settings.sure) & (away <= settings.range + _MARGIN)
        # A thing that lies across the border is cut as a whole.
        across = np.unique(grid.owner[near])
        near |= np.isin(grid.owner, across[across != NOBODY])
        return Piece(grid.keys[near], grid.places[near], grid.hits[near], grid.size)

    def apply(self, piece: Piece, cut: Cut) -> None:
        """Give the voxels of a piece to the things of its cut; a known thing keeps its id."""
        grid, things = self.grid, self.things
        rows = grid.rows_of(piece.keys)
        here = rows >= 0
        rows, labels = rows[here], cut.labels[here]
        ids = np.full(int(labels.max(initial=-1)) + 2, NOBODY, np.int32)
        for pair in match(grid.owner[rows], labels):
            ids[pair.new] = pair.old
            if pair.kept < _SAME_SHAPE:
                things.forget_views(pair.old)
        for number in np.flatnonzero(ids[:-1] == NOBODY):
            ids[number] = things.begin(self.frame)
        things.stand(ids[:-1], cut.bases[: len(ids) - 1])
        grid.owner[rows] = ids[labels]
        things.keep(np.unique(grid.owner))
        things.outlived(np.unique(ids[:-1]))

    def worth_looking(self, local: NDArray[np.float32]) -> list[View]:
        """The views that change averages most, the best first.

        The quality of a view is the share of the thing's voxels that it shows, less for few points
        and for a long distance. A settled thing that no frame has shown since it was found is
        looked at by its voxels: it may have come off another when it was out of sight already.

        Args:
            local: (n, 3) float32 the points of the newest frame about `origin`.
        """
        seen = self._seen(local)
        things, shown = self.things, {view.id for _, view in seen}
        waiting = things.ids[(things.cuts >= self.settings.settled) & (things.views == 0)]
        for id in waiting.tolist():
            places = self.grid.places[self.grid.owner == id]
            if id not in shown and len(places) >= _LEAST_VIEW:
                seen.append((1.0, View(id, places, _OF_VOXELS * min(1, len(places) / _ENOUGH))))
        seen.sort(key=lambda one: -one[0])
        return [view for gain, view in seen[: self.settings.views_per_frame] if gain >= _LEAST_GAIN]

    def _seen(self, local: NDArray[np.float32]) -> list[tuple[float, View]]:
        """What the newest frame shows of things, and by how much that changes their averages."""
        grid, things = self.grid, self.things
        rows = grid.rows_of(grid.keys_of(local))
        owner = np.where(rows >= 0, grid.owner[rows], NOBODY) if len(grid) else rows
        chosen = np.flatnonzero(owner >= 0)
        if not len(chosen):
            return []
        owner, count = things.rows(owner[chosen]), len(things)
        whole = np.bincount(things.rows(grid.owner[grid.owner >= 0]), minlength=count)
        shown = np.bincount(things.rows(grid.owner[np.unique(rows[chosen])]), minlength=count)
        points = np.bincount(owner, minlength=count)
        away = np.linalg.norm(local[chosen] - self.position.astype(np.float32), axis=1)
        things.last[points > 0] = self.frame
        enough = np.flatnonzero(points >= _LEAST_VIEW)
        mean = np.bincount(owner, away, count)[enough] / points[enough]
        quality = shown[enough] / whole[enough] * np.minimum(1, points[enough] / _ENOUGH)
        quality = quality / (1 + (mean / _HALF_WORTH) ** 2)
        gain = quality / (quality + things.weight[enough])
        best = np.argsort(-gain, kind="stable")[: self.settings.views_per_frame]
        return [
            (
                float(gain[i]),
                View(
                    int(things.ids[enough[i]]), local[chosen[owner == enough[i]]], float(quality[i])
                ),
            )
            for i in best
        ]

    def look(self, views: list[View], embeddings: NDArray[np.float32]) -> None:
        """Add the embeddings (n, d) of views to the averages of their things."""
        for view, embedding in zip(views, embeddings, strict=True):
            self.things.look(view.id, embedding, view.quality)

    def settled(self) -> NDArray[np.int64]:
        """Rows of `things` that were looked at and have outlived enough cuts, by their ids."""
        things = self.things
        return np.flatnonzero((things.cuts >= self.settings.settled) & (things.views > 0))

    def embeddings(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """(k, d) float32 unit averages of things."""
        return self.things.embeddings(rows)

    def logits(self, rows: NDArray[np.int64], bank: TextBank) -> NDArray[np.float32]:
        """(k, L) float32 scaled cosines of things to the names of a bank."""
        return self.things.logits(rows, bank)

    def points_of(self, id: int) -> NDArray[np.float64]:
        """(n, 3) float64 places of a thing's voxels in the map's frame, metres."""
        return np.asarray(self.grid.places[self.grid.owner == id] + self.origin)

    def base_of(self, id: int) -> float:
        """The height of what a thing stands on, metres in the map's frame."""
        row = int(self.things.rows(np.array([id]))[0])
        return float(self.things.bases[row] + self.origin[2])
