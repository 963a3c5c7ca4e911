"""Numbers and sizes that no run can mean are refused by name, and nothing is written."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from small_encoders import TINY

from cg3d_runtime.errors import TrainingError
from cg3d_training.bounds import check_recipe
from cg3d_training.config import (
    DataConfig,
    OptimiserConfig,
    PretrainConfig,
    list_recipes,
    load_config,
)
from cg3d_training.encoders import EncoderSpec, build_encoder
from cg3d_training.finetuning.config import FinetuneConfig
from cg3d_training.pretrain import pretrain
from cg3d_training.teaching.config import TeachingConfig
from cg3d_training.triplets.config import TripletConfig

KINDS = (PretrainConfig, FinetuneConfig, TripletConfig, TeachingConfig)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimiser.batch_size=0", "optimiser.batch_size is 0; it should be 1 or more"),
        ("optimiser.epochs=-1", "optimiser.epochs is -1; it should be 0 or more"),
        ("optimiser.lr=-1", "optimiser.lr is -1.0; it should be 0 or more"),
        ("optimiser.lr=nan", "optimiser.lr is nan"),
        ("optimiser.matrix_lr=0", "optimiser.matrix_lr is 0.0; it should be above 0"),
        ("optimiser.warmup_lr=-1", "optimiser.warmup_lr is -1.0"),
        ("optimiser.momentum=2", "momentum is 2.0; it should be 0 or more, and at most 1"),
        ("optimiser.chunk=1", "optimiser.chunk is 1: batch normalisation"),
        ("seed=-1", "seed is -1"),
        ("data.orders=0", "data.orders is 0; it should be 1 or more"),
        ("data.validation=2", "data.validation is 2.0; it should be 0 or more, and at most 1"),
        ("data.cameras.most=0", "data.cameras.most is 0; it should be 1 or more"),
        ("patches.share=1.5", "patches.share is 1.5"),
        ("augmentation.drop=-0.1", "augmentation.drop is -0.1"),
    ],
)
def test_numbers_out_of_bounds(override: str, message: str) -> None:
    config = load_config(PretrainConfig, "household-tiny", [override])
    with pytest.raises(TrainingError) as refused:
        check_recipe(config)
    assert message in str(refused.value)


def test_every_shipped_recipe_is_within_bounds() -> None:
    for kind in KINDS:
        for name in list_recipes(kind):
            check_recipe(load_config(kind, name))


def test_bounds_themselves_are_within(household: Path) -> None:
    check_recipe(PretrainConfig(
        optimiser=OptimiserConfig(epochs=0, batch_size=1, lr=0, ema=1, momentum=1, chunk=2),
        data=DataConfig(validation=1, orders=1),
    ))  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_every_number_of_a_recipe_but_a_few_has_bounds(kind: type) -> None:
    def without(config: Any) -> set[str]:
        inside = [getattr(config, f.name) for f in dataclasses.fields(config)]
        found = {name for one in inside if dataclasses.is_dataclass(one) for name in without(one)}
        return found | {
            f.name for f in dataclasses.fields(config)
            if "bounds" not in f.metadata and type(getattr(config, f.name)) in (int, float)
        }  # fmt: skip

    # Cosines may be anything; the others have a check of their own that says more.
    assert without(kind()) <= {"hide_near", "temperature", "share", "validation", "views", "tokens"}


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"groups": 0}, "groups is 0, which is too small"),
        ({"depth": -1}, "depth is -1, which is too small"),
        ({"width": "a"}, "width is 'a'; it should be of the type of 192"),
        ({"width": True}, "width is True"),
        ({"width": 16.0}, "width is 16.0"),
        ({"drop_path": "x"}, "drop_path is 'x'"),
        ({"drop_path": 2}, "it should be below 1"),
        ({"group_size": 300}, "would take 256 points, and its sizes need 300 or more"),
        ({"head_only": True}, "set head_classes too"),
        ({"head_only": 1}, "head_only is 1"),
    ],
)
def test_sizes_that_no_encoder_has(sizes: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        build_encoder(EncoderSpec("patch_pool", sizes))


@pytest.mark.parametrize("hidden", [8, (), ("a", 8), (-1, 8)])
def test_lists_of_sizes(hidden: Any) -> None:
    with pytest.raises(TrainingError, match="point_transformer: patch_hidden is "):
        build_encoder(EncoderSpec("point_transformer", {"patch_hidden": hidden}))


def test_an_embedding_of_another_length_than_the_texts(
    household: Path, clip_text: Path, tmp_path: Path
) -> None:
    data = DataConfig(household=str(household), clip_text=str(clip_text))
    config = PretrainConfig(encoder_sizes=TINY | {"embedding_dim": 7}, data=data,
                            optimiser=OptimiserConfig(batch_size=16))  # fmt: skip
    with pytest.raises(TrainingError, match=r"set encoder_sizes\.embedding_dim to 512"):
        pretrain(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_muon_needs_a_rate_to_share(household: Path, clip_text: Path, tmp_path: Path) -> None:
    data = DataConfig(household=str(household), clip_text=str(clip_text))
    config = PretrainConfig(encoder_sizes=TINY, data=data,
                            optimiser=OptimiserConfig("muon", batch_size=16, lr=0))  # fmt: skip
    with pytest.raises(TrainingError, match=r"optimiser\.kind=muon needs one above 0"):
        pretrain(config, tmp_path / "run")
