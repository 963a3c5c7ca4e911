"""Reading files of torch.save from strangers: tensors and plain values, no code."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TypeGuard

import torch
from torch import Tensor

from cg3d_runtime.errors import TrainingError

#: Before this version a crafted file could get past the restricted reader (CVE-2025-32434).
_SAFE_TORCH = "2.6"


def read_torch_file(path: Path, allow: Sequence[type] = ()) -> object:
    """What `torch.save` wrote, tensors on the CPU and mapped from the file where that is possible.

    Args:
        allow: classes that may be rebuilt besides tensors and plain containers; they must be
            mere holders of values.

    Raises:
        TrainingError: no such file, a damaged one, one that asks for anything else to be run, or
            a torch that cannot tell.
    """
    if not path.is_file():
        raise TrainingError(f"{path}: no such file")
    if torch.__version__ < _SAFE_TORCH:
        raise TrainingError(
            f"{path} is not read: torch {torch.__version__} cannot read such files safely. Take "
            f"torch {_SAFE_TORCH} or newer, or weights in .safetensors."
        )
    try:
        with torch.serialization.safe_globals(list(allow)):
            return torch.load(
                path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
            )
    except Exception as error:  # a damaged or hostile pickle may raise anything
        raise TrainingError(
            f"{path} is not read: {_reason(str(error))}. Only tensors, numbers, strings and "
            "containers of them are. Where you trust the file, convert its weights to "
            ".safetensors."
        ) from error


def read_state_dict(path: Path, allow: Sequence[type] = ()) -> dict[str, Tensor]:
    """A state dict from such a file: what is in its `state_dict`, or else all of it.

    Raises:
        TrainingError: as `read_torch_file`, or it holds no state dict.
    """
    content = read_torch_file(path, allow)
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(state, dict) or not state:
        raise TrainingError(f"{path} holds no state_dict, that is, no dict of tensors by name")
    for key, value in state.items():
        if not isinstance(key, str) or not is_plain(value):
            raise TrainingError(
                f"{path} holds no state_dict: {key!r:.80} is not the name of a plain tensor"
            )
    return state


def is_plain(value: object) -> TypeGuard[Tensor]:
    """Whether it is a tensor with all its numbers in the file.

    A crafted one could claim a shape that no memory holds.
    """
    return (
        isinstance(value, Tensor)
        and value.layout == torch.strided
        and value.device.type == "cpu"
        and value.numel() * value.element_size() <= value.untyped_storage().nbytes()
    )


def _reason(message: str) -> str:
    wanted = re.search(r"GLOBAL ([\w.]+)", message)
    if wanted:
        return f"it asks for {wanted[1]}, which is code"
    if "TorchScript" in message:
        return "it is a TorchScript archive, which is a program"
    return "it is damaged, or torch.save did not write it"
