"""The bundles that ship with the package, and how they are called."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

#: By size; the first is the one that is used where none is named.
SHIPPED = ("household-small", "household-tiny")


def default_bundle() -> Path:
    """The folder of the bundle that is used where none is named."""
    return _folder(SHIPPED[0])


def bundle_folder(bundle: str | Path | None) -> Path:
    """The folder that a caller means.

    Args:
        bundle: a folder; or one of `SHIPPED`, where no folder of that name is at hand; or None.
    """
    if bundle is None:
        return default_bundle()
    named = str(bundle)
    return _folder(named) if named in SHIPPED and not Path(named).exists() else Path(bundle)


def _folder(name: str) -> Path:
    return Path(str(resources.files("cg3d_sdk") / "bundles" / name))
