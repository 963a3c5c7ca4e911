"""ShapeNet's folders for `cg3d-train prepare`: named by synset, all of it or one of its lists."""

from __future__ import annotations

from pathlib import Path

from cg3d_runtime.errors import TrainingError
from cg3d_training.data.lists import read_list
from cg3d_training.data.mesh_list import MeshItem
from cg3d_training.data.shapenet import CLOUD_FILE, list_shapenet_core, synset_names

_CLOUDS = "shapenet_pc"


def shapenet_items(folder: Path, listing: Path | None = None) -> list[MeshItem] | None:
    """What a folder of ShapeNet holds, sorted by file.

    Args:
        folder: ShapeNetCore v2 (SYNSET/MODEL/models/model_normalized.obj), or the pack
            ShapeNet-55 (shapenet_pc/SYNSET-MODEL.npy).
        listing: what to take, SYNSET-MODEL.npy a line, such as CG3D's `train_img.txt`; what it
            has and the folder lacks is an item too, and is reported as broken. None: everything.

    Returns:
        None where the folder is neither.

    Raises:
        TrainingError: a list or a taxonomy is damaged, or a synset has no name.
    """
    pack = (folder / _CLOUDS).is_dir()
    if not pack and next(folder.glob("[0-9]" * 8 + "/*/models"), None) is None:
        return None
    if listing is None and not pack:
        core = list_shapenet_core(folder)
        named = [(o.path, o.name) for o in core.objects]
        names = synset_names(folder)
        named += [(path, names[path.parts[-4]][0]) for path in core.missing]
        return _sorted(folder, named)
    if listing is None:
        lines = tuple(sorted(path.name for path in (folder / _CLOUDS).glob("*.npy")))
        where = str(folder / _CLOUDS)
    else:
        lines, where = read_list(listing), str(listing)
    names = synset_names(folder)
    named = []
    for line in lines:
        match = CLOUD_FILE.fullmatch(line)
        if match is None:
            raise TrainingError(
                f"{where}: {line[:80]!r} is not SYNSET-MODEL.npy, such as "
                "02691156-1a04e3eab45ca15dd86060f189eb133.npy"
            )
        if match[1] not in names:
            raise TrainingError(f"{where}: {line}: the synset has no name; add taxonomy.json")
        mesh = folder / match[1] / match[2] / "models" / "model_normalized.obj"
        named.append((folder / _CLOUDS / line if pack else mesh, names[match[1]][0]))
    return _sorted(folder, named)


def _sorted(folder: Path, named: list[tuple[Path, str]]) -> list[MeshItem]:
    items = [MeshItem(path.relative_to(folder).as_posix(), name) for path, name in named]
    return sorted(items, key=lambda item: item.file)
