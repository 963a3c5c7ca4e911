"""What this machine has for training: each finding with the command that mends what is missing.

Nothing is downloaded and nothing is trained; every finding is read or tried on the spot.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from cg3d_runtime.cores import usable_cores
from cg3d_sdk.doctor.finding import Finding
from cg3d_sdk.doctor.machine import memory, processor
from cg3d_training.data.recognise import recognise

_GIB = 2**30
#: Less than this on the disk is too little for checkpoints and states.
_LEAST_DISK = 1 * _GIB

#: distribution, module, extra of cg3d-sdk, what for. The first ones are needed by every run.
NEEDED = (
    ("numpy", "numpy", "train", "everything"),
    ("safetensors", "safetensors", "train", "checkpoints"),
    ("PyYAML", "yaml", "train", "recipes"),
    ("tqdm", "tqdm", "train", "progress bars"),
    ("open_clip_torch", "open_clip", "train", "teachers"),
    ("timm", "timm", "train", "teachers"),
    ("pillow", "PIL", "train", "pictures"),
)
OPTIONAL = (
    ("h5py", "h5py", "hdf5", "ModelNet40 and ScanObjectNN in HDF5"),
    ("trimesh", "trimesh", "files", "mesh files for `prepare`"),
    ("DracoPy", "DracoPy", "draco", "compressed .glb files"),
    ("tensorboard", "tensorboard", "tensorboard", "--logger tensorboard"),
    ("wandb", "wandb", "wandb", "--logger wandb"),
    ("onnx", "onnx", "export", "cg3d-export"),
    ("onnxruntime", "onnxruntime", "cpu", "`evaluate` and the check of cg3d-export"),
    ("fsspec", "fsspec", "stream", "shards in an object store"),
    ("ray", "ray", "ray", "`prepare` over a cluster"),
    ("moderngl", "moderngl", "gl", "drawing views with OpenGL"),
    ("scikit-learn", "sklearn", "probe", "linear probes, `evaluate pictures --probe`"),
    ("matplotlib", "matplotlib", "plots", "`figure`, `table figure5 --plot`, `evaluate --plots`"),
    ("umap-learn", "umap", "plots", "`figure umap`, `evaluate --plots`"),
)


def examine(data: tuple[Path, ...] = (), folder: Path | None = None) -> list[Finding]:
    """Look at everything.

    Args:
        data: folders to train on, to be recognised.
        folder: where runs will be written; the disk under it is measured. Default: here.
    """
    torch, about_torch = _torch()
    parts: list[Iterable[Finding]] = [_python(), [about_torch], _packages(), _cpu(torch)]
    if torch is not None:
        parts += [_gpus(torch), _training(torch)]
    parts += [_disk(folder or Path.cwd()), map(_data, data)]
    return [finding for part in parts for finding in part]


def _python() -> Iterator[Finding]:
    version = platform.python_version()
    good = sys.version_info >= (3, 10)
    yield Finding("python", version, good, True, "" if good else "use Python 3.10 or newer")


def _torch() -> tuple[Any, Finding]:
    """The module, or None, and what to say of it: this report is for those without it too."""
    try:
        torch = importlib.import_module("torch")
    except (ImportError, OSError) as error:  # OSError: a library of CUDA's is missing
        fix = "pip install 'cg3d-sdk[train]'"
        return None, Finding("torch", f"cannot be imported: {error}", False, True, fix)
    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPUs alone"
    return torch, Finding("torch", f"{torch.__version__}, built for {build}", required=True)


def _packages() -> Iterator[Finding]:
    for distribution, module, extra, why in (*NEEDED, *OPTIONAL):
        required = (distribution, module, extra, why) in NEEDED
        line = f"pip install 'cg3d-sdk[{extra}]'"
        if importlib.util.find_spec(module):
            yield Finding(module, f"{_version(distribution)} ({why})", True, required)
        else:
            yield Finding(module, f"not installed ({why})", False, required, line)
    blender = shutil.which("blender")
    fix = "" if blender else "put Blender's executable on PATH"
    yield Finding("blender", f"{blender or 'not on PATH'} (drawing views)", bool(blender), fix=fix)


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "of another distribution"  # such as onnxruntime-gpu


def _cpu(torch: Any) -> Iterator[Finding]:
    threads = f", torch takes {torch.get_num_threads()}" if torch else ""
    yield Finding("cpu", f"{usable_cores()} cores to use{threads}, {processor()}")
    sizes = memory()
    if sizes is not None:
        yield Finding("memory", f"{sizes[0] / _GIB:.1f} GiB, {sizes[1] / _GIB:.1f} GiB free")


def _gpus(torch: Any) -> Iterator[Finding]:
    if not torch.cuda.is_available():
        fix = "" if torch.version.cuda else "install torch for CUDA: https://pytorch.org"
        yield Finding("gpu", "torch sees none; runs use the CPU", False, fix=fix)
        return
    for i in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(i)
        free, total = torch.cuda.mem_get_info(i)
        yield Finding(
            f"gpu {i}",
            f"{about.name}, compute capability {about.major}.{about.minor}, "
            f"{total / _GIB:.0f} GiB, {free / _GIB:.0f} GiB free",
        )


def _training(torch: Any) -> Iterator[Finding]:
    yield Finding("precision", ", ".join(["fp32", *_half_precisions(torch)]))
    yield _distributed(torch)
    compiler = next((c for c in ("c++", "g++", "clang++") if shutil.which(c)), None)
    if torch.cuda.is_available():
        good = importlib.util.find_spec("triton") is not None
        fix = "" if good else "pip install triton"
        yield Finding("torch.compile", "with triton" if good else "needs triton", good, fix=fix)
    else:
        fix = "" if compiler else "install a C++ compiler, such as g++"
        found = f"with {compiler}" if compiler else "needs a C++ compiler on CPUs"
        yield Finding("torch.compile", found, compiler is not None, fix=fix)


def _half_precisions(torch: Any) -> Iterator[str]:
    if torch.cuda.is_available():
        if torch.cuda.is_bf16_supported(including_emulation=False):
            yield "bf16"
        yield "fp16"
        return
    flags = Path("/proc/cpuinfo")
    text = flags.read_text(encoding="utf-8", errors="replace") if flags.is_file() else ""
    own = "amx_bf16" in text or "avx512_bf16" in text
    yield "bf16" if own else "bf16 (works on this CPU, not faster)"


def _distributed(torch: Any) -> Finding:
    if not torch.distributed.is_available():
        fix = "install a torch that is built with torch.distributed"
        return Finding("distributed", "not in this torch", False, fix=fix)
    backends = {
        "gloo": torch.distributed.is_gloo_available(),
        "nccl": torch.distributed.is_nccl_available(),
        "mpi": torch.distributed.is_mpi_available(),
    }
    return Finding("distributed", ", ".join(name for name, there in backends.items() if there))


def _disk(folder: Path) -> Iterator[Finding]:
    free = shutil.disk_usage(folder).free
    good = free >= _LEAST_DISK
    fix = "" if good else f"free some space: runs need {_LEAST_DISK / _GIB:.0f} GiB and more"
    yield Finding("disk", f"{free / _GIB:.1f} GiB free at {folder}", good, True, fix)
    if not os.access(folder, os.W_OK):
        yield Finding("folder", f"{folder} cannot be written to", False, True, "choose another")


def _data(folder: Path) -> Finding:
    name = f"data {folder}"
    if not folder.is_dir():
        return Finding(name, "no such folder", False, True, "see docs/datasets.md for the sets")
    found = recognise(folder)
    if found is None:
        return Finding(name, "not known by its files", False, True, "see docs/datasets.md")
    return Finding(name, found, required=True)
