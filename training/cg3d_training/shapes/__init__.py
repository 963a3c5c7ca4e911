"""Everyday objects made of a few solids: `generate("chair", seed=7)`. One module a family."""

from __future__ import annotations

from cg3d_training.shapes.registry import SHAPES, build, generate

__all__ = ["SHAPES", "build", "generate"]
