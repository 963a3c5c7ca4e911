"""Fixtures that every room of the tests may use."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of data that lies beside the checkout on the project's own machines."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not (folder / "data").is_dir():
        pytest.skip("needs ../shared (household objects, CLIP text vectors, official outputs)")
    return folder
