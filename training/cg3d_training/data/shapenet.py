"""ShapeNet (Chang et al., 2015): named shapes for pre-training, as clouds and as meshes.

- ShapeNet-55, the pack of clouds of Point-BERT: `shapenet_pc/SYNSET-MODEL.npy`, (N, 3) with 8,192
  points, y up, and lists of them, one `SYNSET-MODEL.npy` a line: CG3D's `train_img.txt` and
  `test_img.txt`, or Point-BERT's `train.txt` and `test.txt`. The lists may lie in the folder
  itself, in `shapenet_render/` or in `ShapeNet-55/`.
- ShapeNetCore v2: `SYNSET/MODEL/models/model_normalized.obj`, y up.

Names come from ShapeNetCore's `taxonomy.json` where it lies in the folder or in `shapenet_render/`,
else from the 55 first names below.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from cg3d_runtime.errors import InputError, TrainingError
from cg3d_runtime.files import read_points
from cg3d_training.data.labelled import Split
from cg3d_training.data.lists import read_list

#: Which list files say what is trained and tested on: they are different splits.
Lists = Literal["cg3d", "point-bert"]
_LIST_FILES: dict[tuple[Lists, Split], str] = {
    ("cg3d", "train"): "train_img.txt",
    ("cg3d", "test"): "test_img.txt",
    ("point-bert", "train"): "train.txt",
    ("point-bert", "test"): "test.txt",
}
_LIST_FOLDERS = (".", "shapenet_render", "ShapeNet-55")
_TAXONOMY_FOLDERS = (".", "shapenet_render")

# Synsets whose first WordNet name is not what people say; CG3D renames the same three.
RENAMED = {"display": "monitor", "vessel": "ship", "ashcan": "trashcan"}

#: The 55 synsets of ShapeNetCore and their first names in WordNet.
SYNSETS = dict(
    entry.split(" ", 1)
    for entry in (
        "02691156 airplane;02747177 ashcan;02773838 bag;02801938 basket;02808440 bathtub;"
        "02818832 bed;02828884 bench;02843684 birdhouse;02871439 bookshelf;02876657 bottle;"
        "02880940 bowl;02924116 bus;02933112 cabinet;02942699 camera;02946921 can;02954340 cap;"
        "02958343 car;02992529 cellular telephone;03001627 chair;03046257 clock;"
        "03085013 computer keyboard;03207941 dishwasher;03211117 display;03261776 earphone;"
        "03325088 faucet;03337140 file;03467517 guitar;03513137 helmet;03593526 jar;"
        "03624134 knife;03636649 lamp;03642806 laptop;03691459 loudspeaker;03710193 mailbox;"
        "03759954 microphone;03761084 microwave;03790512 motorcycle;03797390 mug;03928116 piano;"
        "03938244 pillow;03948459 pistol;03991062 pot;04004475 printer;04074963 remote control;"
        "04090263 rifle;04099429 rocket;04225987 skateboard;04256520 sofa;04330267 stove;"
        "04379243 table;04401088 telephone;04460130 tower;04468005 train;04530566 vessel;"
        "04554684 washer"
    ).split(";")
)

_SYNSET = re.compile(r"\d{8}")
#: A line of the lists. Point-BERT's train.txt holds one cloud without an id, 02747177-.npy.
CLOUD_FILE = re.compile(r"(\d{8})-([0-9A-Za-z_-]*)\.npy")
_LARGEST_TAXONOMY = 64_000_000


@dataclass(frozen=True)
class ShapeNetObject:
    """One shape, without its points.

    Attributes:
        synset: its class, eight digits of WordNet 3.0.
        model: its id.
        names: what the class is called, the usual name first.
        path: the cloud (.npy) or mesh (.obj).
    """

    synset: str
    model: str
    names: tuple[str, ...]
    path: Path

    @property
    def name(self) -> str:
        """The usual name of the class, for captions."""
        return self.names[0]


@dataclass(frozen=True)
class ShapeNetClouds:
    """Named clouds that stay on disk; iterating gives each object with its points.

    Attributes:
        objects: n objects, in the order of the list.
    """

    objects: tuple[ShapeNetObject, ...]

    def __len__(self) -> int:
        return len(self.objects)

    def points(self, index: int) -> NDArray[np.float32]:
        """(N, 3) float32, y up, as the pack stores them: neither centred nor scaled.

        Raises:
            TrainingError: the file is damaged or no cloud of finite (N, 3) numbers.
        """
        path = self.objects[index].path
        try:
            points = read_points(path).points.astype(np.float32)
        except InputError as error:
            raise TrainingError(f"{error}. Unpack or fetch the file again.") from error
        if not np.isfinite(points).all():
            raise TrainingError(f"{path} holds NaN or infinity. Unpack or fetch the file again.")
        return points

    def __iter__(self) -> Iterator[tuple[ShapeNetObject, NDArray[np.float32]]]:
        for index, entry in enumerate(self.objects):
            yield entry, self.points(index)


@dataclass(frozen=True)
class ShapeNetMeshes:
    """The meshes of a ShapeNetCore v2 folder.

    Attributes:
        objects: those that are there, by synset and model.
        missing: files that should be there; the published set itself lacks a few.
    """

    objects: tuple[ShapeNetObject, ...]
    missing: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.objects)


def read_shapenet55(folder: Path, split: Split, lists: Lists = "cg3d") -> ShapeNetClouds:
    """The clouds of a split of the ShapeNet-55 pack.

    Args:
        folder: holds `shapenet_pc/` and the lists.
        split: "train" or "test".
        lists: "cg3d" for the lists of CG3D's pre-training, "point-bert" for those of the pack.

    Raises:
        TrainingError: a list or cloud is missing, a line is not `SYNSET-MODEL.npy`, or a synset
            has no name.
    """
    clouds = folder / "shapenet_pc"
    if not clouds.is_dir():
        raise TrainingError(f"{clouds} is missing; name the folder that holds shapenet_pc")
    listing = _find(folder, _LIST_FOLDERS, _LIST_FILES[lists, split])
    if listing is None:
        raise TrainingError(
            f"{folder} has no {_LIST_FILES[lists, split]}, neither itself nor in "
            f"{' or '.join(_LIST_FOLDERS[1:])}; it lists what lists={lists!r} calls {split}"
        )
    names = synset_names(folder)
    there = {path.name for path in clouds.iterdir()}  # one look, not one a line
    objects = []
    for number, line in enumerate(read_list(listing), start=1):
        match = CLOUD_FILE.fullmatch(line)
        if match is None:
            raise TrainingError(
                f"{listing}, line {number}: {line[:80]!r} is not SYNSET-MODEL.npy, such as "
                "02691156-1a04e3eab45ca15dd86060f189eb133.npy"
            )
        if line not in there:
            raise TrainingError(f"{listing}, line {number}: {clouds / line} is missing")
        if match[1] not in names:
            raise TrainingError(f"{listing}, line {number}: the synset {match[1]} has no name")
        objects.append(ShapeNetObject(match[1], match[2], names[match[1]], clouds / line))
    return ShapeNetClouds(tuple(objects))


def list_shapenet_core(folder: Path) -> ShapeNetMeshes:
    """The meshes of ShapeNetCore v2, for mesh preparation; any part of its synsets will do.

    Raises:
        TrainingError: no synset is there, one is empty, or one has no name.
    """
    synsets = sorted(path for path in _folders(folder) if _SYNSET.fullmatch(path.name))
    if not synsets:
        raise TrainingError(
            f"{folder} has no folder named after a synset, such as 02691156; name the folder that "
            "SYNSET/MODEL/models/model_normalized.obj lies in"
        )
    names = synset_names(folder)
    objects, missing = [], []
    for synset in tqdm(synsets, desc="listing ShapeNetCore", unit="synset", leave=False):
        if synset.name not in names:
            raise TrainingError(f"{synset}: the synset has no name; add the set's taxonomy.json")
        models = sorted(_folders(synset))
        if not models:
            raise TrainingError(f"{synset} is empty; unpack {synset.name}.zip there, or remove it")
        for model in models:
            mesh = model / "models" / "model_normalized.obj"
            if mesh.is_file():
                objects.append(ShapeNetObject(synset.name, model.name, names[synset.name], mesh))
            else:
                missing.append(mesh)
    if not objects:
        raise TrainingError(f"{folder}: no mesh is there; the first missing is {missing[0]}")
    return ShapeNetMeshes(tuple(objects), tuple(missing))


def _folders(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []


def _find(folder: Path, places: tuple[str, ...], name: str) -> Path | None:
    return next((folder / p / name for p in places if (folder / p / name).is_file()), None)


def synset_names(folder: Path) -> Mapping[str, tuple[str, ...]]:
    """synset -> names, the usual one first: the folder's taxonomy, else built-in first names.

    Raises:
        TrainingError: the taxonomy is damaged.
    """
    file = _find(folder, _TAXONOMY_FOLDERS, "taxonomy.json")
    raw = _taxonomy(file) if file else SYNSETS
    names = {}
    for synset, text in raw.items():
        found = tuple(name.strip() for name in text.split(",") if name.strip())
        if not found:
            raise TrainingError(f"{file}: the synset {synset} has an empty name")
        usual = RENAMED.get(found[0])
        names[synset] = (usual, *found) if usual else found
    return names


def _taxonomy(file: Path) -> dict[str, str]:
    """synset -> its comma-separated names: a list of {synsetId, name, ...} in the file."""
    if file.stat().st_size > _LARGEST_TAXONOMY:
        raise TrainingError(f"{file}: {file.stat().st_size} bytes are too many for a taxonomy")
    try:
        entries = json.loads(file.read_text(encoding="utf-8"))
        found = {entry["synsetId"]: entry["name"] for entry in entries}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise TrainingError(
            f"{file} is not ShapeNetCore's list of {{synsetId, name}} ({error!r}); copy it again"
        ) from error
    for synset, name in found.items():
        if not isinstance(synset, str) or not isinstance(name, str):
            raise TrainingError(f"{file}: synsetId {synset!r} and its name should be texts")
    return found
