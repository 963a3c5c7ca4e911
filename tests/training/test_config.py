"""Recipes are read strictly: what is not understood is an error that names it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cg3d_runtime.errors import TrainingError
from cg3d_training.config import PretrainConfig, list_recipes, load_config
from cg3d_training.finetuning.config import FinetuneConfig


@pytest.mark.parametrize("kind", [PretrainConfig, FinetuneConfig])
def test_every_shipped_recipe_loads(kind: type[PretrainConfig] | type[FinetuneConfig]) -> None:
    assert "household-small" in list_recipes(kind)
    for recipe in list_recipes(kind):
        assert isinstance(load_config(kind, recipe), kind)
        assert load_config(kind, f"{recipe}.yaml") == load_config(kind, recipe)


def test_lists_of_any_length() -> None:
    config = load_config(FinetuneConfig, "household-small", ["seeds=[5, 6, 7, 8]"])
    assert config.seeds == (5, 6, 7, 8)
    with pytest.raises(TrainingError, match="seeds should be a int, not 'x'"):
        load_config(FinetuneConfig, "household-small", ["seeds=[x]"])


def test_overrides(tmp_path: Path) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text("seed: 4\noptimiser: {lr: 5e-5}\n")
    config = load_config(
        PretrainConfig, str(recipe), ["optimiser.epochs=7", "augmentation.scale=[0.5, 2]"]
    )
    assert (config.seed, config.optimiser.epochs, config.optimiser.lr) == (4, 7, 5e-5)
    assert config.augmentation.scale == (0.5, 2.0)


@pytest.mark.parametrize(
    ("text", "overrides", "message"),
    [
        ("sed: 1", [], "unknown key 'sed'.*'seed'"),
        ("optimiser: {learning_rate: 1}", [], "optimiser.*unknown key 'learning_rate'"),
        ("seed: one", [], "seed should be a int"),
        ("seed: true", [], "seed should be a int"),
        ("precision: fp8", [], "choose from fp32, bf16"),
        ("augmentation: {scale: [1]}", [], "list of 2"),
        ("augmentation: 3", [], "section of keys"),
        ("- a\n- b", [], "not a list"),
        ("a: [", [], "not valid YAML"),
        ("seed: 1", ["seed"], "a.b=value"),
        ("seed: 1", ["seed.x=1"], "'seed' is not a section"),
        ("seed: 1", ["optimizer.lr=1"], "unknown key 'optimizer'.*'optimiser'"),
        ("seed: 1", ["optimiser.epoch=1"], "optimiser: unknown key 'epoch'.*'epochs'"),
        ("seed: 1", ["data=[1]"], "data should be a section of keys"),
        ("seed: 1", ["augmentation.scale=[0.5, much]"], "scale should be a float, not 'much'"),
        ("seed: 1", ["augmentation.scale=[0.5"], "value is not valid YAML"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, overrides: list[str], message: str) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text(text)
    with pytest.raises(TrainingError, match=message):
        load_config(PretrainConfig, str(recipe), overrides)


def test_an_unknown_recipe_lists_the_known_ones() -> None:
    with pytest.raises(TrainingError, match="household-small"):
        load_config(PretrainConfig, "no-such-recipe")
