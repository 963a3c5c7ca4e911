"""What a SceneMap tells of a place: its things, its answers, and the time that a frame took."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.scene.boxes import Box, axis_aligned_box, fitted_box
from cg3d_sdk.thing import Thing


@dataclass(frozen=True, eq=False, kw_only=True)
class MapObject(Thing):
    """A thing of the map, as it was when it was asked for; `Thing` has its names, score and boxes.

    Its points are the mean places of its voxels, in the map's frame.

    Attributes:
        id: stays the same while the thing is in the map, also after saving and opening.
        base: height of what it stands on, metres in the map's frame; of its lowest point where
            it hangs or nothing is known.
        voxel: edge of a voxel of the map, metres.
        embedding: (d,) float32 unit, averaged over its views.
        views: how many views were embedded.
        first, last: numbers of the frames in which it was found first and seen last.
    """

    id: int
    base: float
    voxel: float = field(repr=False)
    embedding: NDArray[np.float32] = field(repr=False)
    views: int
    first: int
    last: int

    @cached_property
    def box(self) -> Box:
        """The box along the axes of the map, down to what the thing stands on, metres."""
        return axis_aligned_box(self.points).down_to(self.base)

    @cached_property
    def oriented_box(self) -> Box:
        """The upright box with its sides along what was seen, down to what it stands on, metres."""
        return fitted_box(self.points, self.voxel).down_to(self.base)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without points and embedding."""
        return {
            "id": self.id,
            **super().to_dict(),
            "base": self.base,
            "voxels": len(self.points),
            "views": self.views,
            "first": self.first,
            "last": self.last,
        }


@dataclass(frozen=True)
class MapAnswer:
    """What a map answers to a question.

    Attributes:
        question: as it was asked.
        asked: the names that it was reduced to.
        objects: the best answers, the best first, even if nothing was found.
        found: whether the best reaches `threshold`.
        threshold: the score from which an answer counts.
        seconds: that the answer took.
    """

    question: str
    asked: tuple[str, ...]
    objects: tuple[MapObject, ...]
    found: bool
    threshold: float
    seconds: float = field(default=0.0, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "question": self.question,
            "asked": list(self.asked),
            "found": self.found,
            "threshold": self.threshold,
            "objects": [thing.to_dict() for thing in self.objects],
        }


@dataclass(frozen=True)
class MapTimings:
    """Seconds that one `SceneMap.add` took, stage by stage.

    Attributes:
        fuse: checking the points, turning them into the map's frame, adding them to its voxels.
        cut: finding the things anew; 0 in frames that do not.
        embed: the encoder, for the views that are worth it.
        views: how many these were.
    """

    fuse: float
    cut: float
    embed: float
    views: int

    @property
    def total(self) -> float:
        """Seconds of all stages."""
        return self.fuse + self.cut + self.embed
