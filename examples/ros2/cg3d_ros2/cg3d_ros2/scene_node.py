"""What the node does, without ROS: clouds with poses in, detections and answers out.

Everything here runs and is tested on machines that have no ROS; `node.py` adds topics, services
and transforms.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.sensors import PointCloud2
from cg3d_sdk import Cg3dError, MapObject, MapSettings, Recognizer, SceneMap

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Parameters:
    """The node's parameters, by the names that they have in ROS.

    Attributes:
        bundle: folder of the model bundle; "" for the one that ships with cg3d-sdk.
        engine: as `Recognizer` takes it: "auto", "cpu", "cuda", "tensorrt", ...
        threads: CPU threads of the engine.
        labels: what is reported; none for every name of the bundle, which is many.
        min_score: a detection has at least this score.
        map_frame: the fixed frame that detections are given in; z is up.
        map_folder: the map is opened from here at the start if there is one, and saved here when
            the node stops and by the service; "" for neither.
        voxel, range, reach, most_voxels, views_per_frame, cut_every: see `MapSettings`.
    """

    bundle: str = ""
    engine: str = "auto"
    threads: int = 2
    labels: tuple[str, ...] = ()
    min_score: float = 0.3
    map_frame: str = "map"
    map_folder: str = ""
    voxel: float = 0.03
    range: float = 4.0
    reach: float = 15.0
    most_voxels: int = 600_000
    views_per_frame: int = 2
    cut_every: int = 10

    @property
    def settings(self) -> MapSettings:
        """Of the map."""
        return MapSettings(
            voxel=self.voxel,
            range=self.range,
            reach=self.reach,
            most_voxels=self.most_voxels,
            views_per_frame=self.views_per_frame,
            cut_every=self.cut_every,
        )


@dataclass(frozen=True, eq=False)
class Detection:
    """One entry of a `vision_msgs/Detection3DArray`, in plain values.

    Attributes:
        id: of the thing; it stays.
        label, score: its best name, for `results[0].hypothesis`.
        centre: (3,) float64 of its box, metres, in the map frame.
        size: (3,) float64 of the box along its own axes.
        orientation: (4,) quaternion x, y, z, w of the box: a turn about the vertical.
    """

    id: int
    label: str
    score: float
    centre: NDArray[np.float64]
    size: NDArray[np.float64]
    orientation: NDArray[np.float64]

    @classmethod
    def of(cls, thing: MapObject) -> Detection:
        """A thing of the map as a detection."""
        box, half = thing.oriented_box, thing.oriented_box.yaw / 2
        turn = np.array([0.0, 0.0, np.sin(half), np.cos(half)])
        return cls(thing.id, thing.label, thing.score, box.centre, box.size, turn)


@dataclass(frozen=True)
class Answer:
    """The reply of the query service.

    Attributes:
        found: whether the thing is there, by the bundle's threshold.
        detections: the best first; there even if nothing was found.
        message: for people: what was asked, or why it cannot be.
    """

    found: bool
    detections: tuple[Detection, ...]
    message: str


@dataclass
class Counts:
    """What became of the clouds.

    Attributes:
        added: to the map.
        refused: clouds that could not be used; the last reason is `why`.
    """

    added: int = 0
    refused: int = 0
    why: str = field(default="")


class SceneNode:
    """The node without ROS. Its methods may be called from several threads.

    Args:
        parameters: see `Parameters`.
        recognizer: instead of one made from the parameters.

    Raises:
        Cg3dError: the bundle, a label or the saved map cannot be used.
    """

    def __init__(self, parameters: Parameters, recognizer: Recognizer | None = None) -> None:
        self.parameters = parameters
        if recognizer is None:
            recognizer = Recognizer(
                parameters.bundle or None, engine=parameters.engine, threads=parameters.threads
            )
        if parameters.labels:
            recognizer.set_labels(parameters.labels)
        folder = parameters.map_folder
        if folder and (Path(folder) / "map.json").exists():
            self.map = SceneMap.open(folder, recognizer)
        else:
            self.map = SceneMap(recognizer, parameters.settings)
        self.counts = Counts()

    def on_cloud(self, message: object, pose: NDArray[np.float64]) -> tuple[Detection, ...] | None:
        """Add a cloud; what the map then holds, or None where the cloud could not be used.

        Args:
            message: `sensor_msgs/PointCloud2`, of rclpy or of a bag, or our own `PointCloud2`.
            pose: (4, 4) from the frame of the cloud to the map frame at its stamp.
        """
        try:
            cloud = (
                message if isinstance(message, PointCloud2) else PointCloud2.from_message(message)
            )
            self.map.add(cloud.frame().points, pose)
        except Cg3dError as error:
            # A bad cloud must not stop a robot.
            self.counts.refused += 1
            self.counts.why = str(error)
            _LOG.warning("cloud left out: %s", error)
            return None
        self.counts.added += 1
        return self.detections()

    def detections(self) -> tuple[Detection, ...]:
        """The things of the map whose best label has at least `min_score`, by their ids."""
        least = self.parameters.min_score
        return tuple(Detection.of(thing) for thing in self.map.objects if thing.score >= least)

    def on_query(self, text: str, top: int = 3) -> Answer:
        """Answer the query service; a question that cannot be asked is told in the message."""
        try:
            answer = self.map.query(text, top)
        except Cg3dError as error:
            return Answer(False, (), str(error))
        asked = ", ".join(answer.asked)
        said = f"{asked}: {'found' if answer.found else 'not found'}"
        return Answer(answer.found, tuple(map(Detection.of, answer.objects)), said)

    def save(self) -> str:
        """Save the map to `map_folder`; a line for people.

        Raises:
            Cg3dError: there is no such parameter, or the disk refused.
        """
        folder = self.parameters.map_folder
        if not folder:
            raise Cg3dError("the parameter map_folder is empty, so there is no place to save to")
        self.map.save(folder)
        return f"{self.map.voxels} voxels and {len(self.map.objects)} things saved to {folder}"
