"""A page of clouds to turn and what they were recognised as, in one HTML file."""

from __future__ import annotations

from cg3d_sdk.page.writer import PageEntry, write_page

__all__ = ["PageEntry", "write_page"]
