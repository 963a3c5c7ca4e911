"""A scene and its answers as a Rerun recording, to look at in Rerun's viewer."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cg3d_runtime.dependencies import require
from cg3d_runtime.errors import InputError
from cg3d_runtime.points import Up
from cg3d_sdk.scene import SceneAnswer, ScenePoints


def require_rerun() -> Any:
    """The package that writes recordings.

    Raises:
        DependencyError: it is not installed.
    """
    return require("rerun", "rerun", "A Rerun recording")


def write_recording(
    path: str | Path,
    points: ArrayLike,
    answers: Sequence[SceneAnswer],
    *,
    colours: NDArray[np.uint8] | None = None,
    up: Up = "z",
) -> None:
    """Write a .rrd file: the scene as `scene`, the answers to question i as `answers/i`.

    Places are in metres, z up, about the mean of the scene: Rerun keeps float32.

    Args:
        path: the file; one that exists is replaced, whole or not at all.
        points: (N, 3) or wider, metres: what the scene was made of.
        answers: from `Scene.query` on these points.
        colours: (N, 3) uint8 of the points.
        up: the axis that points up in `points`.

    Raises:
        InputError: the points are no usable cloud, or the file cannot be written.
        DependencyError: Rerun is not installed.
    """
    rerun = require_rerun()
    cloud = ScenePoints.of(points, up)
    target = Path(path)
    temporary = target.with_name(f".{target.name}.new-{uuid.uuid4().hex[:8]}")
    try:
        if not target.parent.is_dir():
            raise FileNotFoundError(f"no such folder: {target.parent}")
        temporary.touch(exist_ok=False)
        recording = rerun.RecordingStream("cg3d query")
        recording.save(temporary)
        recording.log("/", rerun.ViewCoordinates.RIGHT_HAND_Z_UP, static=True)
        rgb = None if colours is None else colours[cloud.rows]
        recording.log("scene", rerun.Points3D(cloud.local, colors=rgb), static=True)
        for number, answer in enumerate(answers, 1):
            if not answer.regions:
                continue
            boxes = [region.oriented_box for region in answer.regions]
            half_yaws = [box.yaw / 2 for box in boxes]
            told = "" if answer.found else " (probably not here)"
            shown = rerun.Boxes3D(
                centers=[box.centre - cloud.origin for box in boxes],
                half_sizes=[box.size / 2 for box in boxes],
                quaternions=[[0.0, 0.0, np.sin(half), np.cos(half)] for half in half_yaws],
                labels=[f"{answer.question} {100 * r.score:.1f} %{told}" for r in answer.regions],
            )
            recording.log(f"answers/{number}", shown, static=True)
        recording.flush()
        recording.disconnect()
        temporary.replace(target)
    except OSError as error:
        raise InputError(f"{target}: the recording cannot be written ({error})") from error
    finally:
        temporary.unlink(missing_ok=True)
