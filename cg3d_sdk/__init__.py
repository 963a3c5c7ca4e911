"""Name things in 3D: `Recognizer().classify(points)`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from cg3d_runtime.errors import (
    BundleError,
    Cg3dError,
    DependencyError,
    EngineError,
    InputError,
    VocabularyError,
)
from cg3d_sdk.version import __version__

if TYPE_CHECKING:
    from cg3d_runtime.scene.map_settings import MapSettings
    from cg3d_sdk.map_results import MapAnswer, MapObject
    from cg3d_sdk.newest import Newest, Served
    from cg3d_sdk.recognizer import Recognizer
    from cg3d_sdk.results import UNKNOWN, Classification, Ranked
    from cg3d_sdk.scene import Region, Scene, SceneAnswer
    from cg3d_sdk.scene_map import SceneMap
    from cg3d_sdk.shape_index import ShapeIndex
    from cg3d_sdk.timings import Timings

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

#: Where the names live that need numpy. They are imported when they are asked for: `cg3d --help`
#: asks for none, and takes a third of the time.
_HOMES = {
    "UNKNOWN": "cg3d_sdk.results",
    "Classification": "cg3d_sdk.results",
    "MapAnswer": "cg3d_sdk.map_results",
    "MapObject": "cg3d_sdk.map_results",
    "MapSettings": "cg3d_runtime.scene.map_settings",
    "Newest": "cg3d_sdk.newest",
    "Ranked": "cg3d_sdk.results",
    "Recognizer": "cg3d_sdk.recognizer",
    "Region": "cg3d_sdk.scene",
    "Scene": "cg3d_sdk.scene",
    "SceneAnswer": "cg3d_sdk.scene",
    "SceneMap": "cg3d_sdk.scene_map",
    "Served": "cg3d_sdk.newest",
    "ShapeIndex": "cg3d_sdk.shape_index",
    "Timings": "cg3d_sdk.timings",
}


# Not for type checkers: to them it would mean that there is any name.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = globals()[name] = getattr(import_module(_HOMES[name]), name)
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
