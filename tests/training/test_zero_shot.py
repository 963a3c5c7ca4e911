"""Zero-shot accuracy while training: counted rightly, and without a trace in what is trained."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from small_clip import DIM
from small_triplets import made_shards
from torch import Tensor, nn

from cg3d_runtime.errors import TrainingError
from cg3d_training.checkpoint import load_checkpoint
from cg3d_training.config import DataConfig, OptimiserConfig, PretrainConfig
from cg3d_training.data.clouds import OrderedClouds
from cg3d_training.data.shards import ShardFolder
from cg3d_training.encoders import PointEncoder
from cg3d_training.pretrain import pretrain
from cg3d_training.runs.zero_shot import zero_shot
from cg3d_training.teachers import load_teacher
from cg3d_training.triplets.config import (
    PromptConfig,
    TeacherConfig,
    TripletConfig,
    TripletDataConfig,
)
from cg3d_training.triplets.pretrain import pretrain_triplets
from cg3d_training.triplets.validation import NamedClouds

# Stochastic depth draws from torch's own generator, which a check must leave alone.
TINY = {
    "points": 64, "groups": 8, "group_size": 8, "patch_hidden": [8, 16], "patch_dim": 16,
    "width": 32, "depth": 2, "heads": 2, "drop_path": 0.3,
}  # fmt: skip


class FirstPoint(nn.Module):
    """Stands in for an encoder: a cloud's embedding is its first point."""

    def __init__(self) -> None:
        super().__init__()
        self.own = nn.Parameter(torch.zeros(1))

    def embed_ordered(self, points: Tensor) -> Tensor:
        return points[:, 0]


def test_counts_against_numpy() -> None:
    rng = np.random.default_rng(4)
    points = rng.normal(size=(150, 5, 3)).astype(np.float32)
    anchors = rng.normal(size=(9, 3)).astype(np.float32)
    anchors /= np.linalg.norm(anchors, axis=1, keepdims=True)
    own = rng.random((150, 9)) < 0.2
    encoder = FirstPoint()
    found = zero_shot(
        encoder,  # type: ignore[arg-type]
        torch.from_numpy(points), torch.from_numpy(anchors), torch.from_numpy(own),
    )  # fmt: skip
    order = np.argsort(-points[:, 0] @ anchors.T, axis=1)
    ranked = np.take_along_axis(own, order, axis=1)
    assert found["validation"] == pytest.approx(ranked[:, 0].mean())
    assert found["validation_top5"] == pytest.approx(ranked[:, :5].any(axis=1).mean())


def lines(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, other[key]) for key, value in one.items())


def test_pretraining_ends_with_the_same_weights(
    household: Path, clip_text: Path, tmp_path: Path
) -> None:
    config = PretrainConfig(
        encoder_sizes=TINY, validate=2,
        data=DataConfig(household=str(household), clip_text=str(clip_text), validation=0.4),
        optimiser=OptimiserConfig(epochs=5, batch_size=8, lr=3e-3, ema=0.5),
    )  # fmt: skip
    checked = pretrain(config, tmp_path / "checked")
    alone = pretrain(dataclasses.replace(config, validate=0), tmp_path / "alone")
    assert same(checked.state_dict, alone.state_dict)
    at = [entry["epoch"] for entry in lines(tmp_path / "checked") if "validation" in entry]
    assert at == [1, 3, 4]  # every second epoch, and the last
    last = lines(tmp_path / "checked")[-1]
    assert last["validation"] <= last["validation_top5"]
    assert not any("validation" in entry for entry in lines(tmp_path / "alone"))


@pytest.fixture(scope="module")
def triplets(tmp_path_factory: pytest.TempPathFactory, small_model: Path) -> TripletConfig:
    train, held = (tmp_path_factory.mktemp(name) for name in ("train", "held-out"))
    return TripletConfig(
        encoder="point_transformer_small",
        encoder_sizes=TINY | {"embedding_dim": DIM},
        teacher=TeacherConfig("open_clip", "small-clip", None),
        data=TripletDataConfig(
            str(made_shards(train, 0, 8, 1)), validation=str(made_shards(held, 8, 7, 1))
        ),
        optimiser=OptimiserConfig(epochs=2, batch_size=4, lr=3e-3, ema=0.5),
        prompts=PromptConfig(tokens=2, lr=0.1),
    )


def named_by_hand(config: TripletConfig, encoder: PointEncoder) -> float:
    """The same, with the teacher's own model and one object at a time."""
    torch.manual_seed(config.seed)
    teacher = load_teacher("open_clip", config.teacher.model, None)
    folder = Path(str(config.data.validation))
    names = [sample.record["name"] for sample in ShardFolder(folder)]
    known = sorted(set(names))
    texts = [f"A photo of {'an' if n[0] in 'aeiou' else 'a'} {n}" for n in known]
    with torch.no_grad():
        anchors = nn.functional.normalize(teacher.encode_text(teacher.tokenise(texts)), dim=1)
        clouds = OrderedClouds(NamedClouds(str(folder), 64, None), 64, 1, config.seed)
        rows = clouds.batch(np.arange(len(names)), np.random.default_rng(0))
        found = [int((anchors @ encoder.embed_ordered(row[None])[0]).argmax()) for row in rows]
    return float(np.mean([known[i] == name for i, name in zip(found, names, strict=True)]))


def test_triplets_end_with_the_same_weights(triplets: TripletConfig, tmp_path: Path) -> None:
    pretrain_triplets(dataclasses.replace(triplets, keep_best=True), tmp_path / "checked")
    without = dataclasses.replace(
        triplets, data=dataclasses.replace(triplets.data, validation=None)
    )
    pretrain_triplets(without, tmp_path / "alone")
    for file in ("checkpoint", "prompts"):
        checked, alone = ((tmp_path / run / f"{file}.safetensors") for run in ("checked", "alone"))
        assert same(load_file(checked), load_file(alone)), file
    log = lines(tmp_path / "checked")
    values = [entry["validation"] for entry in log]
    best = load_checkpoint(tmp_path / "checked" / "best.safetensors")
    assert best.record["epochs"] == 1 + values.index(max(values))
    assert all("validation" in entry for entry in log)
    encoder = load_checkpoint(tmp_path / "checked" / "checkpoint.safetensors").build()
    assert log[-1]["validation"] == pytest.approx(named_by_hand(triplets, encoder))
    assert log[-1]["validation_top5"] == 1.0  # of four names


def test_wrong_settings_are_named(triplets: TripletConfig, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="validate is -1; it should be 0 or more"):
        pretrain_triplets(dataclasses.replace(triplets, validate=-1), tmp_path / "a")
    alone = dataclasses.replace(triplets.data, validation=None)
    with pytest.raises(TrainingError, match="keep_best goes by validation"):
        pretrain_triplets(dataclasses.replace(triplets, data=alone, keep_best=True), tmp_path / "c")
    data = dataclasses.replace(triplets.data, validation=str(tmp_path / "nowhere"))
    with pytest.raises(TrainingError, match="nowhere"):
        pretrain_triplets(dataclasses.replace(triplets, data=data), tmp_path / "b")


def test_a_run_from_before_a_key_was_there_still_resumes(
    household: Path, clip_text: Path, tmp_path: Path
) -> None:
    config = PretrainConfig(
        encoder_sizes=TINY,
        data=DataConfig(household=str(household), clip_text=str(clip_text), orders=1),
        optimiser=OptimiserConfig(epochs=1, batch_size=16),
    )
    pretrain(config, tmp_path)
    state = tmp_path / "state.safetensors"
    with safe_open(str(state), "pt") as file:
        metadata = file.metadata()
    saved = json.loads(metadata["config"])
    del saved["validate"]
    save_file(load_file(state), state, metadata | {"config": json.dumps(saved)})
    pretrain(config, tmp_path, resume=True)
    with pytest.raises(TrainingError, match="another recipe"):
        pretrain(dataclasses.replace(config, validate=3), tmp_path, resume=True)


def test_the_best_epoch_by_validation_is_kept_over_a_resume(
    household: Path, clip_text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = PretrainConfig(
        encoder_sizes=TINY, keep_best=True,
        data=DataConfig(str(household), str(clip_text), validation=0.4, orders=1),
        optimiser=OptimiserConfig(epochs=5, batch_size=8, lr=3e-3),
    )  # fmt: skip
    scores = [0.1, 0.6, 0.3, 0.6, 0.2]
    seen: list[dict[str, Tensor]] = []

    def scripted(encoder: PointEncoder, *_: Tensor) -> dict[str, float]:
        if len(seen) == 3 and not resumed:
            raise KeyboardInterrupt
        seen.append({k: v.clone() for k, v in encoder.state_dict().items()})
        return {"validation": scores[len(seen) - 1]}

    monkeypatch.setattr("cg3d_training.pretrain.zero_shot", scripted)
    resumed = False
    with pytest.raises(KeyboardInterrupt):
        pretrain(config, tmp_path)
    resumed = True
    pretrain(config, tmp_path, resume=True)
    best = load_checkpoint(tmp_path / "best.safetensors")
    assert same(best.state_dict, seen[1])  # the first of equals
    assert not same(best.state_dict, seen[3])
    assert best.record["epochs"] == 2
    last = load_checkpoint(tmp_path / "checkpoint.safetensors")
    assert same(last.state_dict, seen[4])
    assert last.record["epochs"] == 5
    without = dataclasses.replace(config, data=dataclasses.replace(config.data, validation=0.0))
    with pytest.raises(TrainingError, match=r"keep_best goes by validation: set data\.validation"):
        pretrain(without, tmp_path / "other")
