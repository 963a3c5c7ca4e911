"""Names kept out of training: they, what is near, their objects, and they as negatives."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_encoders import TINY
from torch import Tensor

from cg3d_runtime.errors import TrainingError
from cg3d_training import pretrain as module
from cg3d_training.checkpoint import load_checkpoint
from cg3d_training.config import (
    DataConfig,
    LossConfig,
    OptimiserConfig,
    PretrainConfig,
    load_config,
)
from cg3d_training.data.clip_text import Vocabulary, load_vocabulary
from cg3d_training.data.hidden import hidden_names, published_splits
from cg3d_training.data.training_data import training_data
from cg3d_training.pretrain import pretrain


@pytest.fixture
def small(household: Path, clip_text: Path) -> PretrainConfig:
    return PretrainConfig(
        encoder_sizes=TINY,
        data=DataConfig(household=str(household), clip_text=str(clip_text), orders=1),
        loss=LossConfig(negatives="vocabulary"),
        optimiser=OptimiserConfig(epochs=1, batch_size=16, lr=3e-3),
    )


def test_near_means_a_shared_wording_or_a_near_vector(clip_text: Path) -> None:
    vocabulary = load_vocabulary(clip_text)
    hidden = hidden_names(vocabulary, ["cooking pan", "table"], 2.0)
    assert hidden.names == ("pan (for cooking)", "table")
    assert hidden.near == (("pan (metal container)",), ())  # both are a "pan"
    assert hidden.rows == {vocabulary.index(n) for n in (*hidden.names, "pan (metal container)")}
    unit = vocabulary.vectors / np.linalg.norm(vocabulary.vectors, axis=1, keepdims=True)
    centred = unit - unit.mean(axis=0)
    cosines = np.array([
        centred[k] @ centred[1] / np.linalg.norm(centred[k]) / np.linalg.norm(centred[1])
        for k in range(len(unit))
    ])  # fmt: skip
    nearest = np.argsort(-cosines)[1:4]
    limit = float((cosines[nearest[2]] + np.sort(cosines)[-5]) / 2)
    found = hidden_names(vocabulary, ["table"], limit).near[0]
    assert set(found) == {vocabulary.labels[k] for k in nearest}


def test_the_published_splits(shared: Path) -> None:
    vocabulary = load_vocabulary(shared / "data" / "clip-text")
    splits = published_splits()
    assert list(splits) == ["split-1", "split-2", "split-3"]
    names = [name for split in splits.values() for name in split]
    assert len(names) == len(set(names)) == 30
    for split in splits:
        hidden = hidden_names(vocabulary, [split], 0.5)
        assert hidden.names == splits[split]
        near = dict(zip(hidden.names, hidden.near, strict=True))
        assert not {n for group in hidden.near for n in group} & set(hidden.names)
        if split == "split-1":
            assert {"armchair", "rocking chair", "stool"} <= set(near["chair"])


def test_a_run_neither_sees_nor_hears_of_hidden_names(
    small: PretrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = dataclasses.replace(
        small, data=dataclasses.replace(small.data, hide=("table", "orb"), hide_near=2.0)
    )
    data = training_data(config)
    kinds = {o.name.split()[0] for o in data.train.objects}
    assert kinds == {"ladder", "box"}
    texts: list[int] = []
    loss = module.contrastive_loss

    def counted(embedding: Tensor, anchors: Tensor, *rest: Any) -> Tensor:
        texts.append(len(anchors))
        return loss(embedding, anchors, *rest)

    monkeypatch.setattr(module, "contrastive_loss", counted)
    pretrain(config, tmp_path)
    assert set(texts) == {len(data.vocabulary.labels) - 2}
    record = load_checkpoint(tmp_path / "checkpoint.safetensors").record
    assert record["hidden"] == {
        "by": "rule", "names": ["table", "ball"], "near": {"table": [], "ball": []}
    }  # fmt: skip


def test_without_hidden_names_a_run_is_what_it_was(small: PretrainConfig, tmp_path: Path) -> None:
    assert "hidden" not in pretrain(small, tmp_path).record
    assert len(training_data(small).train) == 47


def test_recipes_take_names_and_splits() -> None:
    config = load_config(PretrainConfig, "household-small", ["data.hide=[split-2]"])
    assert config.data.hide == ("split-2",)
    vocabulary = Vocabulary(("a", "b"), ((), ()), np.eye(2, dtype=np.float32))
    with pytest.raises(TrainingError, match=r"data\.hide.*'spoon'.*split-1"):
        hidden_names(vocabulary, ["spoon"], 0.5)
