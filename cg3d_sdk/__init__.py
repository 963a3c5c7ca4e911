"""Name things in 3D: `Recognizer().classify(points)`."""

from __future__ import annotations

from cg3d_runtime.errors import (
    BundleError,
    Cg3dError,
    DependencyError,
    EngineError,
    InputError,
    VocabularyError,
)
from cg3d_runtime.scene.map_settings import MapSettings
from cg3d_sdk.newest import Newest, Served
from cg3d_sdk.recognizer import Recognizer
from cg3d_sdk.results import UNKNOWN, Classification, Ranked
from cg3d_sdk.scene import Region, Scene, SceneAnswer
from cg3d_sdk.scene_map import MapAnswer, MapObject, SceneMap
from cg3d_sdk.shape_index import ShapeIndex
from cg3d_sdk.timings import Timings
from cg3d_sdk.version import __version__

__all__ = [
    "UNKNOWN",
    "BundleError",
    "Cg3dError",
    "Classification",
    "DependencyError",
    "EngineError",
    "InputError",
    "MapAnswer",
    "MapObject",
    "MapSettings",
    "Newest",
    "Ranked",
    "Recognizer",
    "Region",
    "Scene",
    "SceneAnswer",
    "SceneMap",
    "Served",
    "ShapeIndex",
    "Timings",
    "VocabularyError",
    "__version__",
]
