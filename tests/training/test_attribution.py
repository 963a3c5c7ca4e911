"""Every object that is trained on is credited."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from cg3d_training.attribution import attribution
from cg3d_training.cli.main import main
from cg3d_training.config import DataConfig, OptimiserConfig, PretrainConfig
from cg3d_training.data.training_data import training_data


def test_all_names_licences_and_makers_are_there(household: Path, clip_text: Path) -> None:
    data = DataConfig(household=str(household), clip_text=str(clip_text))
    config = PretrainConfig(data=data, optimiser=OptimiserConfig(batch_size=16))
    objects = training_data(config).train.objects[:30]
    text = attribution(objects)
    for o in objects:
        assert o.name in text
        assert o.creator in text
        assert f"Licence: {o.licence}" in text
    assert "Free Art" not in text


def test_makers_with_links(shared: Path, tmp_path: Path) -> None:
    arguments = ["attribution", "--config", "household-small", "-o", str(tmp_path / "A.md")]
    for key, folder in (("household", "household"), ("clip_text", "clip-text")):
        arguments += ["--set", f"data.{key}={shared / 'data' / folder}"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    text = (tmp_path / "A.md").read_text()
    assert "ruwo (https://" in text
    assert "Free Art" not in text
