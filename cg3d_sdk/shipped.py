"""The bundles that ship with the package, and how they are called."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import resources
from os import PathLike
from pathlib import Path

from cg3d_runtime.errors import BundleError

#: By size; the first is the one that is used where none is named.
SHIPPED = ("household-small", "household-tiny")


def default_bundle() -> Path:
    """The folder of the bundle that is used where none is named."""
    return _folder(SHIPPED[0])


def bundle_folder(bundle: str | Path | None) -> Path:
    """The folder that a caller means.

    Args:
        bundle: a folder; or one of `SHIPPED`, where no folder of that name is at hand; or None.

    Raises:
        BundleError: a misspelt name of `SHIPPED`, or neither a path nor a name.
    """
    if bundle is None:
        return default_bundle()
    if not isinstance(bundle, (str, PathLike)):
        raise BundleError(
            f"a bundle is given as its folder, or by name ({', '.join(SHIPPED)}), not as "
            f"{bundle!r}. Names to choose from are labels=[...]."
        )
    named = str(bundle)
    if Path(bundle).exists():
        return Path(bundle)
    if named in SHIPPED:
        return _folder(named)
    if near := get_close_matches(named, SHIPPED, 1):
        raise BundleError(f"there is no folder {named!r}; the bundle that ships is {near[0]!r}")
    return Path(bundle)


def _folder(name: str) -> Path:
    return Path(str(resources.files("cg3d_sdk") / "bundles" / name))
