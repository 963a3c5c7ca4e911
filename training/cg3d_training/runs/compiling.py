"""`torch.compile` for encoders, or an error: never silently without."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable

import torch
from torch import Tensor

from cg3d_runtime.errors import DependencyError

Function = Callable[[Tensor], Tensor]


def compiled(function: Function, device: str, whole: bool = True) -> Function:
    """A function compiled, which happens at its first call.

    It is the function that is compiled, not its module: the names of the weights stay.

    Args:
        function: to compile; of points in furthest point order, so that it has no sampling loop.
        device: kind of device, "cpu" or "cuda".
        whole: as one graph, or else it is an error; with several processes, batch normalisation
            talks to the others and stays outside.

    Raises:
        DependencyError: there is nothing to compile with.
    """
    if device == "cpu":
        compilers = [os.environ.get("CXX"), "g++", "clang++", "cl"]
        if not any(shutil.which(name) for name in compilers if name):
            raise DependencyError(
                "compile: true needs a C++ compiler, and there is none on the PATH: install g++ "
                "(such as `apt install g++`), name one in CXX, or leave compile out"
            )
    elif importlib.util.find_spec("triton") is None:
        raise DependencyError(
            "compile: true needs triton on a GPU: pip install triton, or leave compile out"
        )
    made: Function = torch.compile(function, fullgraph=whole)
    return made
