"""What kind of data a folder holds, told by the names of its files alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class _Kind:
    """How one kind is known.

    Attributes:
        name: what it is.
        use: the verb and setting that take it.
        marks: patterns of files or folders, which must all be there.
        lines: a file with a line an object; None where they are not counted.
    """

    name: str
    use: str
    marks: tuple[str, ...]
    lines: str | None = None


#: Tried in this order.
_KINDS = (
    _Kind("triplet shards", "pretrain-triplets, data.shards", ("index.jsonl", "*.tar"),
          "index.jsonl"),
    _Kind("household set", "pretrain, data.household; finetune, data.set=household",
          ("points.npz", "objects.jsonl"), "objects.jsonl"),
    _Kind("CLIP text vectors", "pretrain, data.clip_text; text", ("names.json", "*.npz")),
    _Kind("labelled clouds", "finetune, data.set=npz", ("classes.txt", "train.npz", "test.npz")),
    _Kind("ModelNet40 as text", "finetune, data.set=modelnet40",
          ("modelnet40_shape_names.txt",), "modelnet40_train.txt"),
    _Kind("ModelNet as HDF5", "finetune, data.set=modelnet40", ("shape_names.txt", "*.h5")),
    _Kind("ModelNet as meshes", "finetune, data.set=modelnet40 or modelnet10",
          ("*/train/*.off", "*/test/*.off")),
    _Kind("ScanObjectNN", "finetune, data.set=scanobjectnn",
          ("main_split/*objectdataset*.h5",)),
    _Kind("ScanObjectNN, objects alone", "finetune, data.set=scanobjectnn_obj_only",
          ("main_split_nobg/*objectdataset*.h5",)),
    _Kind("ShapeNet-55", "prepare --renderer depth", ("shapenet_pc/*.npy",)),
    _Kind("ShapeNetCore v2", "prepare", ("*/*/models/model_normalized.obj",)),
    *(_Kind(f"meshes (.{suffix})", "prepare", (f"**/*.{suffix}",))
      for suffix in ("obj", "glb", "gltf", "ply", "stl", "off")),
)  # fmt: skip


def recognise(folder: Path) -> str | None:
    """What a folder holds, how many objects where that is quick to count, and what takes it.

    Returns:
        None where no kind fits.
    """
    for kind in _KINDS:
        if all(next(folder.glob(mark), None) for mark in kind.marks):
            return f"{kind.name}{_count(folder, kind)}, for {kind.use}"
    return None


def _count(folder: Path, kind: _Kind) -> str:
    file = folder / kind.lines if kind.lines else None
    if file is None or not file.is_file():
        return ""
    with file.open("rb") as lines:
        return f" of {sum(1 for line in lines if line.strip())} objects"
