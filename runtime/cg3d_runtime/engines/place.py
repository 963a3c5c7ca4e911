"""Where a bundle's TensorRT plans lie, and the command that builds them."""

from __future__ import annotations

import shlex

from cg3d_runtime.bundle.reader import Bundle

#: The command that builds a bundle's plans for the machine it runs on.
REBUILD = "cg3d-export BUNDLE --trt"


def rebuild_command(bundle: Bundle) -> str:
    """The command that builds this bundle's plans, as a shell takes it."""
    return REBUILD.replace("BUNDLE", shlex.quote(str(bundle.root)))
