"""One way to import an optional package and to say how to install it when it is missing."""

from __future__ import annotations

import importlib
from types import ModuleType

from cg3d_runtime.errors import DependencyError


def require(module: str, extra: str, why: str) -> ModuleType:
    """Import `module`, or raise naming the extra of cg3d-sdk that brings it.

    Args:
        module: the name to import, e.g. "onnxruntime".
        extra: the extra of cg3d-sdk that installs it, e.g. "cpu".
        why: what needs it, as the start of a sentence, e.g. "Running a bundle".

    Raises:
        DependencyError: the module is not installed, or fails to import.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise DependencyError(
            f"{why} needs the package {module!r}, which could not be imported ({error}). "
            f"Install it with: pip install 'cg3d-sdk[{extra}]'"
        ) from error
