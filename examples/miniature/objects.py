"""The objects: generated ones, or meshes of a folder, as three sets of shards.

OUT/objects/teacher   every class, pictured on white: what the teacher learns from
OUT/objects/train     every class, on pale colours: what CG3D learns from, less the unseen classes
OUT/objects/test      other objects of every class, on pale colours
OUT/objects/train-depth, test-depth   the same objects with depth maps in place of pictures

The teacher's pictures differ a little from those that it has to judge later, as CLIP's do; that is
what the prompts are for.
"""

from __future__ import annotations

import json
import zlib
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from tqdm import tqdm

from cg3d_runtime.errors import TrainingError
from cg3d_training.data.mesh_list import MeshItem, list_meshes
from cg3d_training.data.samples import Sample, encode_sample
from cg3d_training.data.shards import INDEX, ShardFolder, write_index, write_shard
from cg3d_training.data.triplets import TripletSettings, cloud_triplet, triplet_of
from cg3d_training.prepare import prepare
from cg3d_training.shapes.colours import coloured

#: What is generated: 27 of the kit's 41 kinds, so that it all fits into a coffee break; most have a
#: relative among them (mug and cup, desk and table), as classes of everyday objects do.
KINDS = (
    "airplane", "armchair", "bathtub", "bed", "bench", "bookcase", "bottle", "bowl", "cabinet",
    "car", "chair", "cup", "desk", "door", "guitar", "lamp", "laptop", "monitor", "mug", "person",
    "potted plant", "sofa", "stool", "table", "toilet", "vase", "wardrobe",
)  # fmt: skip

#: Sets, and the numbers of the generated objects in them: no object is in two sets.
SETS = {"teacher": 0, "train": 1_000, "test": 2_000}


@dataclass(frozen=True)
class Scale:
    """How many of everything.

    Attributes:
        kinds: how many of `KINDS` are generated.
        teacher, train, test: generated objects of each kind.
        teacher_views, views: pictures of each object, for the teacher and for CG3D.
        points: of each object.
        size: pixels on a side of a picture.
        least: meshes that a family needs to be a class.
    """

    kinds: int = 27
    teacher: int = 24
    train: int = 20
    test: int = 10
    teacher_views: int = 3
    views: int = 3
    points: int = 1024
    size: int = 64
    least: int = 4


def settings(part: str, scale: Scale, views: int | None = None) -> TripletSettings:
    """What is made of each object of a set."""
    for_teacher = part == "teacher"
    count = views or (scale.teacher_views if for_teacher else scale.views)
    background: Literal["white", "pale"] = "white" if for_teacher else "pale"
    return TripletSettings(scale.points, count, scale.size, background=background)


def generate_set(folder: Path, part: str, scale: Scale, bar: tqdm) -> None:
    """Objects of the generator of shapes, every kind a shard."""
    folder.mkdir(parents=True, exist_ok=True)
    kinds = KINDS[: scale.kinds]
    for number, kind in enumerate(kinds):
        shard = folder / f"{number:02d}.tar"
        if not shard.is_file():
            write_shard(shard, (
                encode_sample(triplet_of(
                    coloured(kind, SETS[part] + i), kind, (), f"{number:02d}-{i:04d}",
                    settings(part, scale), {"source": f"{kind} {SETS[part] + i}", "licence": "CC0"},
                ))
                for i in range(getattr(scale, part))
            ))  # fmt: skip
        bar.update()
    write_index(folder)


def mesh_families(names: list[str], families: list[str], least: int) -> list[str | None]:
    """The family of each name: the last of its words that is one, if it has enough members."""
    found = [next((w for w in reversed(n.split()) if w in families), None) for n in names]
    return [f if f is not None and found.count(f) >= least else None for f in found]


def prepare_meshes(source: Path, families: Path, out: Path, scale: Scale) -> dict[str, int]:
    """Meshes of a folder; of each family, two of five objects are for testing."""
    listed = source / f"{source.name}.json"
    items = list_meshes(source, listed if listed.is_file() else None)
    words = families.read_text(encoding="utf-8").split("\n")
    names = mesh_families([i.name for i in items], [w for w in words if w], scale.least)
    members: dict[str, list[MeshItem]] = defaultdict(list)
    for item, name in zip(items, names, strict=True):
        if name is not None:
            members[name].append(replace(item, name=name))
    if len(members) < 3:
        raise TrainingError(f"{source}: {len(members)} families; name more in {families}")
    chosen: dict[str, list[MeshItem]] = {"train": [], "test": []}
    for name in sorted(members):
        # Neighbours in the list are often of one set of models: take turns in a shuffled order.
        order = np.random.default_rng(zlib.crc32(name.encode())).permutation(len(members[name]))
        for place, row in enumerate(order):
            chosen["test" if place % 5 in (1, 3) else "train"].append(members[name][row])
    for part in SETS:
        views = {"teacher": 12, "train": 6, "test": 3}[part]
        listing = chosen["test" if part == "test" else "train"]
        prepare(source, listing, out / part, settings(part, scale, views))
    return {name: len(group) for name, group in sorted(members.items())}


def depth_set(source: Path, target: Path, scale: Scale) -> None:
    """A set again, with depth maps of each object's points for pictures."""
    if (target / INDEX).is_file():
        return
    target.mkdir(parents=True, exist_ok=True)
    wanted = replace(settings("train", scale), renderer="depth")
    write_shard(target / "shard-000000.tar", (
        encode_sample(cloud_triplet(
            s.points[:, :3].astype(np.float32), s.record["name"], (), s.key, wanted,
            {"source": s.record["source"], "licence": s.record["licence"]},
        ))
        for s in ShardFolder(source)
    ))  # fmt: skip
    write_index(target)


def copy_classes(source: Path, target: Path, names: set[str]) -> None:
    """A set with the objects of some classes alone."""
    if (target / INDEX).is_file():
        return
    target.mkdir(parents=True, exist_ok=True)
    kept: list[Sample] = [s for s in ShardFolder(source) if s.record["name"] in names]
    write_shard(target / "shard-000000.tar", map(encode_sample, kept))
    write_index(target)


def labelled_set(train: Path, test: Path, folder: Path) -> None:
    """The points and names of two sets, as the kit's `npz` set for fine-tuning."""
    if (folder / "test.npz").is_file():
        return
    folder.mkdir(parents=True, exist_ok=True)
    samples = {"train": list(ShardFolder(train)), "test": list(ShardFolder(test))}
    classes = sorted({s.record["name"] for s in samples["train"]})
    (folder / "classes.txt").write_text("\n".join(classes), encoding="utf-8")
    for split, group in samples.items():
        points = np.stack([s.points[:, :3] for s in group])
        labels = np.array([classes.index(s.record["name"]) for s in group])
        np.savez(folder / f"{split}.npz", points=points, labels=labels)


def class_names(folder: Path) -> list[str]:
    """The classes of a set, in alphabetical order."""
    return sorted({sample.record["name"] for sample in ShardFolder(folder)})


def write_json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".tmp").write_text(json.dumps(content, indent=1), encoding="utf-8")
    path.with_suffix(".tmp").replace(path)
