"""`cg3d-train import`: official checkpoint files become ours, and nothing in them runs."""

from __future__ import annotations

import argparse
import hashlib
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from official_weights import official_weights
from torch import Tensor

from cg3d_runtime.errors import TrainingError
from cg3d_training.checkpoint import load_checkpoint
from cg3d_training.cli.main import main
from cg3d_training.encoders import create_encoder
from cg3d_training.importing import import_checkpoint


@pytest.fixture(scope="module")
def elite() -> dict[str, Tensor]:
    torch.manual_seed(0)
    return create_encoder("point_mlp_elite").state_dict()


def write(path: Path, state: dict[str, Tensor], **more: Any) -> Path:
    """A checkpoint as the official code saves it after pre-training."""
    content = {
        "base_model": state,
        "visual_clip_model": {"cls_token": torch.zeros(1, 1, 4)},
        "optimizer": {"state": {0: {"step": 3}}, "param_groups": [{"lr": 1e-3}]},
        "epoch": 17,
        "metrics": {"acc": 40.5},
        "best_metrics": {"acc": 41.0},
    }
    torch.save(content | more, path)
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["import", *map(str, arguments)])


@pytest.mark.parametrize(
    ("network", "layout"),
    [
        ("pointtransformer", "pre-trained"),
        ("pointmlp", "pre-trained"),
        ("pointtransformer_finetuned", "fine-tuned"),
        ("pointmlp_finetuned", "fine-tuned"),
    ],
)
def test_official_files(shared: Path, tmp_path: Path, network: str, layout: str) -> None:
    state = official_weights(shared, network)
    if layout == "fine-tuned":
        state = {f"module.{key}": value for key, value in state.items()}
    file = write(tmp_path / f"{network}.pth", state, metrics={"acc": torch.tensor([92.5])})
    output = tmp_path / "checkpoint.safetensors"
    result = run(file, "-o", output)
    assert result.exit_code == 0, result.output
    assert layout in result.output
    checkpoint = load_checkpoint(output)
    encoder = checkpoint.build()
    assert len(checkpoint.text_mean) == encoder.embedding_dim == (512 if "pre" in layout else 40)
    with np.load(shared / "parity" / "official.npz") as official:
        points = torch.from_numpy(official["points_1024"])
        expected = official[f"{network}__points_1024"]
    with torch.no_grad():
        found = encoder(points).numpy()
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()


def test_what_the_checkpoint_says(elite: dict[str, Tensor], tmp_path: Path) -> None:
    options = argparse.Namespace(config="pointmlp.yaml", rank=[0, 1], nested=argparse.Namespace())
    file = write(tmp_path / "best.pth", elite, args=options, metrics={"acc": torch.tensor(40.5)})
    output = tmp_path / "out" / "checkpoint.safetensors"
    assert run(file, "-o", output, "--logit-scale", "77.5").exit_code == 0
    checkpoint = load_checkpoint(output)
    assert checkpoint.logit_scale == 77.5
    assert checkpoint.spec.architecture == "point_mlp"
    assert torch.equal(checkpoint.text_mean, torch.zeros(512))
    assert checkpoint.record["imported"] == {
        "file": "best.pth",
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "layout": "pre-trained",
        "epoch": 17,
        "metrics": {"acc": 40.5},
    }
    torch.testing.assert_close(checkpoint.build().state_dict(), elite, rtol=0, atol=0)


def test_numbers_that_are_none_are_left_out(elite: dict[str, Tensor], tmp_path: Path) -> None:
    metrics = {"acc": float("nan"), "huge": 10**400, "many": torch.ones(2), "left": 1.5}
    file = write(tmp_path / "a.pth", elite, epoch=10**400, metrics=metrics)
    imported = import_checkpoint(file).record["imported"]
    assert (imported["epoch"], imported["metrics"]) == (None, {"left": 1.5})


def test_files_of_old_torch_versions(elite: dict[str, Tensor], tmp_path: Path) -> None:
    file = tmp_path / "old.pth"
    torch.save({"base_model": elite}, file, _use_new_zipfile_serialization=False)
    assert import_checkpoint(file).record["imported"]["epoch"] is None


class Payload:
    """Runs a command when a careless reader unpickles it."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.mark}",)


@pytest.mark.parametrize("kind", ["zip", "legacy", "pickle", "namespace"])
def test_a_malicious_file_runs_nothing(elite: dict[str, Tensor], tmp_path: Path, kind: str) -> None:
    file, mark = tmp_path / "evil.pth", tmp_path / "it-ran"
    content: dict[str, Any] = {"base_model": elite, "metrics": {"acc": Payload(mark)}}
    if kind == "namespace":
        content["metrics"] = argparse.Namespace(acc=Payload(mark))
    if kind == "pickle":
        file.write_bytes(pickle.dumps(Payload(mark), protocol=2))
    else:
        torch.save(content, file, _use_new_zipfile_serialization=kind != "legacy")
    output = tmp_path / "checkpoint.safetensors"
    result = run(file, "-o", output)
    assert result.exit_code == 1
    assert f"{os.system.__module__}.system" in result.output
    assert not mark.exists()
    assert not output.exists()
    pickle.loads(pickle.dumps(Payload(mark)))  # the payload does work
    assert mark.exists()


def test_what_a_file_wants_is_named(elite: dict[str, Tensor], tmp_path: Path) -> None:
    file = write(tmp_path / "more.pth", elite, where=Path("x"))
    with pytest.raises(TrainingError, match=r"asks for pathlib[\w.]*Path,"):
        import_checkpoint(file)


def test_keys_that_do_not_belong_are_listed(elite: dict[str, Tensor], tmp_path: Path) -> None:
    without = {key: value for key, value in elite.items() if not key.startswith("projection")}
    state = without | {f"new.{i}": torch.zeros(1) for i in range(9)}
    result = run(write(tmp_path / "a.pth", state), "-o", tmp_path / "b.safetensors")
    assert result.exit_code == 1
    assert "unknown: new.0, new.1, new.2, new.3, new.4 and 4 more (9 in all)" in result.output
    assert "missing: projection.bias, projection.weight" in result.output


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"state_dict": {}, "args": argparse.Namespace()}, "a 'base_model'.*: args, state_dict"),
        ({}, "no keys"),
        ([1], "holds a list"),
        ({"base_model": {"a": torch.zeros(1)}}, "no cls_token and no embedding"),
        ({"base_model": {"a": 3}}, "'a', which is not a plain tensor"),
        ({"base_model": {4: torch.zeros(1)}}, "4, which is not a plain tensor"),
        ({"base_model": {"a": torch.zeros(3).to_sparse()}}, "not a plain tensor"),
        ({"base_model": {"a": torch.zeros(3, device="meta")}}, "not a plain tensor"),
        (
            {"base_model": {"classifier.8.weight": torch.zeros(1).expand(10**12, 256)}},
            "not a plain tensor",
        ),
    ],
)
def test_other_contents(tmp_path: Path, content: object, message: str) -> None:
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(TrainingError, match=message):
        import_checkpoint(tmp_path / "a.pth")


def test_damaged_files(tmp_path: Path) -> None:
    small = {"base_model": {"a": torch.arange(4.0)}, "args": argparse.Namespace(x=1)}
    rng = np.random.default_rng(0)
    for legacy in (False, True):
        torch.save(small, tmp_path / "whole.pth", _use_new_zipfile_serialization=not legacy)
        whole = (tmp_path / "whole.pth").read_bytes()
        for _ in range(60):
            data = bytearray(whole[: rng.integers(len(whole))])
            if rng.random() < 0.7:
                data = bytearray(whole)
                data[rng.integers(len(data))] ^= 1 << rng.integers(8)
            (tmp_path / "damaged.pth").write_bytes(data)
            with pytest.raises(TrainingError):  # an intact one holds no encoder either
                import_checkpoint(tmp_path / "damaged.pth")


def test_the_file_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"nothing\.pth: no such file"):
        import_checkpoint(tmp_path / "nothing.pth")
    assert run(tmp_path / "nothing.pth", "-o", tmp_path / "b").exit_code == 2


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_a_logit_scale_is_a_number_above_zero(tmp_path: Path, scale: float) -> None:
    with pytest.raises(TrainingError, match="logit_scale"):
        import_checkpoint(tmp_path / "any.pth", scale)


def test_an_unsafe_torch_is_refused(
    elite: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path / "a.pth", elite)
    monkeypatch.setattr(torch, "__version__", torch.torch_version.TorchVersion("2.5.1"))
    with pytest.raises(TrainingError, match=r"2\.5\.1 .*2\.6 or newer"):
        import_checkpoint(file)
