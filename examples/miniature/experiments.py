"""The experiments, one function each: a teacher, CG3D on seen classes, fine-tuning.

All of them call the kit as its commands do, and write what they measured as JSON when they are
done; an experiment whose JSON is there is not done again.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from objects import copy_classes, write_json

from cg3d_runtime.text.templates import fill
from cg3d_training.checkpoint import load_checkpoint, read_tensors
from cg3d_training.config import load_config
from cg3d_training.data.clouds import one_order
from cg3d_training.data.labelled import load_labelled
from cg3d_training.data.shares import stratified
from cg3d_training.data.triplet_set import PictureForm, TripletSet, picture
from cg3d_training.finetuning.config import FinetuneConfig
from cg3d_training.finetuning.finetune import finetune
from cg3d_training.losses import unit_rows
from cg3d_training.teachers import DeepPrompts, Teacher, load_prompts, load_teacher
from cg3d_training.teaching.config import TeachingConfig
from cg3d_training.teaching.train import train_teacher
from cg3d_training.triplets.config import TripletConfig
from cg3d_training.triplets.pretrain import PROMPTS, pretrain_triplets

HERE = Path(__file__).parent
CHECKPOINT = "checkpoint.safetensors"

#: The rows of the paper's Table 3, and what they change in `cg3d.yaml`. With prompts every second
#: step is theirs, so there are twice as many: the encoder takes as many as in the other rows.
LOSSES: dict[str, tuple[str, ...]] = {
    "points-image": ("loss.texts=false", "prompts.tokens=0"),
    "points-text": ("loss.images=false", "prompts.tokens=0"),
    "both": ("prompts.tokens=0",),
    "both-prompts": (),
}
#: CG3D-depth of the paper's Tables 4 and 5: as the last row, with depth maps for pictures.
DEPTH = "depth"
#: Fine-tuning: shares of the labelled objects.
SHARES = (0.1, 1.0)
STARTS = ("scratch", "cg3d")


@dataclass(frozen=True)
class Length:
    """Epochs of the teacher and of CG3D; steps of fine-tuning, as many for every share."""

    teacher: int = 80
    cg3d: int = 20
    finetune: int = 300


def unseen_classes(names: list[str], seed: int) -> list[str]:
    """A third of the classes; three seeds in a row have three different thirds."""
    group, third = divmod(seed - 1, 3)
    order = np.random.default_rng(group).permutation(len(names))
    return sorted(names[i] for i in order[third::3])


def teacher_job(out: Path, length: Length, batch: int) -> None:
    """The teacher, on every class."""
    began = _clocks()
    folder = out / "teacher"
    recipe = load_config(TeachingConfig, "mini-cpu", [
        f"data.shards={out / 'objects/teacher'}", f"optimiser.epochs={length.teacher}",
        f"optimiser.batch_size={batch}",
    ])  # fmt: skip
    record = train_teacher(recipe, folder, _begun(folder))
    write_json(folder / "done.json", {**_since(began), "objects": record["objects"]})


def run_folder(out: Path, seed: int, losses: str) -> Path:
    """Where a run of CG3D lies; that on depth maps apart, since it is no row of Table 3."""
    if losses == DEPTH:
        return out / DEPTH / f"seed-{seed}"
    return out / f"seed-{seed}" / losses


def cg3d_job(out: Path, seed: int, losses: str, length: Length) -> None:
    """CG3D on the seen classes, and its zero-shot accuracy on both kinds."""
    began = _clocks()
    folder = run_folder(out, seed, losses)
    split = json.loads((out / f"seed-{seed}" / "classes.json").read_text("utf-8"))
    kind = "-depth" if losses == DEPTH else ""
    shards = out / f"seed-{seed}" / f"seen{kind}"
    copy_classes(out / f"objects/train{kind}", shards, set(split["seen"]))
    epochs = length.cg3d * (2 if losses in ("both-prompts", DEPTH) else 1)
    recipe = load_config(TripletConfig, str(HERE / "cg3d.yaml"), [
        f"data.shards={shards}", f"teacher.model={out / 'teacher'}", f"seed={seed}",
        f"optimiser.epochs={epochs}", *LOSSES.get(losses, ()),
    ])  # fmt: skip
    pretrain_triplets(recipe, folder, _begun(folder))

    teacher = load_teacher("open_clip", str(out / "teacher"), None)
    prompts = None
    if (folder / PROMPTS).is_file():
        prompts = load_prompts(read_tensors(folder / PROMPTS)[0])
    test = TripletSet(out / "objects/test", points=1, quiet=True)
    clouds = cloud_vectors(test, folder / CHECKPOINT)
    depth = TripletSet(out / "objects/test-depth", points=1, quiet=True)
    pictures = picture_vectors(test, teacher, prompts)
    maps = picture_vectors(depth, teacher, prompts)
    result: dict[str, Any] = _since(began)
    for kind in ("unseen", "seen"):
        result[kind] = zero_shot(clouds, test, split[kind], teacher)
        result[f"pictures_{kind}"] = zero_shot(pictures, test, split[kind], teacher)
        result[f"depth_maps_{kind}"] = zero_shot(maps, depth, split[kind], teacher)
    write_json(folder / "done.json", result)


def cloud_vectors(test: TripletSet, checkpoint: Path) -> torch.Tensor:
    """(n, d) unit rows: what an encoder makes of the points of every test object."""
    encoder = load_checkpoint(checkpoint).build()
    rng = np.random.default_rng(0)
    whole = [test.sample(i).points[:, :3].astype(np.float32) for i in range(len(test))]
    ordered = [one_order(points, encoder.points, rng) for points in whole]
    with torch.no_grad():
        parts = torch.from_numpy(np.stack(ordered)).split(64)
        return unit_rows(torch.cat([encoder.embed_ordered(part) for part in parts]))


def picture_vectors(
    test: TripletSet, teacher: Teacher, prompts: DeepPrompts | None
) -> torch.Tensor:
    """(n, d) unit rows: what the teacher makes of the first picture of every test object."""
    form = PictureForm.of(teacher)
    pictures = torch.stack([picture(test.sample(i).views[0], form) for i in range(len(test))])
    with torch.no_grad():
        parts = [teacher.encode_image(part, prompts) for part in pictures.split(64)]
    return unit_rows(torch.cat(parts))


def zero_shot(
    vectors: torch.Tensor, test: TripletSet, classes: list[str], teacher: Teacher
) -> dict[str, float]:
    """How many objects of some classes are named rightly among these classes."""
    with torch.no_grad():
        texts = teacher.encode_text(
            teacher.tokenise([fill("A photo of a {}", name) for name in classes])
        )
    rows = [i for i, name in enumerate(test.names) if name in classes]
    answers = (vectors[rows] @ unit_rows(texts).T).argmax(dim=1).tolist()
    right = sum(
        classes[answer] == test.names[row] for answer, row in zip(answers, rows, strict=True)
    )
    return {
        "right": right, "objects": len(rows), "accuracy": right / len(rows),
        "chance": 1 / len(classes),
    }  # fmt: skip


def finetune_job(out: Path, seed: int, start: str, share: float, length: Length) -> None:
    """A classifier of all classes, from CG3D's weights or from scratch."""
    began = _clocks()
    folder = out / f"seed-{seed}" / f"finetune-{start}-{share:.0%}"
    own = [f"seeds=[{seed}]", f"data.folder={out / 'labelled'}", f"data.share={share}"]
    if start == "cg3d":
        own.append(f"start={out / f'seed-{seed}' / 'both-prompts' / CHECKPOINT}")
    recipe = load_config(FinetuneConfig, str(HERE / "finetune.yaml"), own)
    # A tenth of the data makes a tenth of the steps in an epoch, so it gets more epochs.
    labels = load_labelled("npz", out / "labelled", "train").labels
    rows = stratified(labels, share, np.random.default_rng(0))
    steps = max(1, len(rows) // recipe.optimiser.batch_size)
    optimiser = replace(recipe.optimiser, epochs=-(-length.finetune // steps))
    recipe = replace(recipe, optimiser=optimiser)
    result = finetune(recipe, folder, _begun(folder / f"seed-{seed}"))
    only = result.seeds[0]
    write_json(folder / "done.json", {
        **_since(began), "steps": optimiser.epochs * steps, "objects": only.objects,
        "accuracy": only.plain.overall, "mean_class": only.plain.mean_class,
    })  # fmt: skip


def _begun(folder: Path) -> bool:
    return (folder / "state.safetensors").is_file()


def _clocks() -> tuple[float, float]:
    return time.monotonic(), time.process_time()


def _since(began: tuple[float, float]) -> dict[str, float]:
    """Seconds by the clock, which other work on the machine makes longer, and of the processor."""
    seconds, processor = (now - then for now, then in zip(_clocks(), began, strict=True))
    return {"seconds": round(seconds, 1), "cpu_seconds": round(processor, 1)}
