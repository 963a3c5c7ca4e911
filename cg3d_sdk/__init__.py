"""Name things in 3D: `Recognizer("bundle").classify(points)`."""

from __future__ import annotations

from cg3d_sdk.version import __version__

__all__ = ["__version__"]
