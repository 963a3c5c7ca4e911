"""The sizes of an encoder that trains in no time, for every test that needs one to train."""

from __future__ import annotations

from typing import Any

TINY: dict[str, Any] = {
    "points": 64, "groups": 8, "group_size": 8, "patch_hidden": [8, 16], "patch_dim": 16,
    "width": 32, "depth": 1, "heads": 2,
}  # fmt: skip
