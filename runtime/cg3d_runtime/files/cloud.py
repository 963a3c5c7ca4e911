"""What a file of points or a mesh turns into."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class FileCloud:
    """The points of one file, as written there: no axis is turned, nothing is dropped.

    Attributes:
        points: (n, 3) float32 or float64, n >= 1, in the file's own unit (metres for most clouds
            and glTF). Doubles stay doubles: map coordinates need their digits until a cloud is
            centred. Rows with NaN are kept: an organised scan has them where the sensor saw
            nothing.
        path: the file that was read.
        kind: its format, the suffix without the dot, e.g. "pcd".
        faces: triangles of the mesh that was sampled; 0 where the file holds points.
    """

    points: NDArray[np.floating]
    path: Path
    kind: str
    faces: int
