"""Files of points and meshes: `read_points("scan.pcd")`. One module a format or family."""

from __future__ import annotations

from cg3d_runtime.files.cloud import FileCloud
from cg3d_runtime.files.read import READERS, is_point_file, read_points

__all__ = ["READERS", "FileCloud", "is_point_file", "read_points"]
