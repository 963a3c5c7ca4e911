"""Pages to look at, each one HTML file: clouds with their names, and a scene with its answers."""

from __future__ import annotations

from cg3d_sdk.page.cards import PageEntry, write_page
from cg3d_sdk.page.scene import write_scene_page

__all__ = ["PageEntry", "write_page", "write_scene_page"]
