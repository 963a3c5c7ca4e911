"""`compile: true`: one graph, the same numbers and names, and an error where it cannot be."""

from __future__ import annotations

import dataclasses
import functools
import json
from pathlib import Path

import pytest
import torch
from torch import nn

from cg3d_runtime.errors import DependencyError
from cg3d_training.config import DataConfig, LossConfig, OptimiserConfig, PretrainConfig
from cg3d_training.encoders import EncoderSpec, build_encoder
from cg3d_training.pretrain import pretrain
from cg3d_training.runs.compiling import compiled

TINY = {
    "points": 64, "groups": 8, "group_size": 8, "patch_hidden": [8, 16], "patch_dim": 16,
    "width": 32, "depth": 1, "heads": 2, "drop_path": 0.0,
}  # fmt: skip
TINY_MLP = {"points": 64, "width": 8, "neighbours": [4, 4, 4, 4]}


def test_without_a_compiler_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(DependencyError, match="needs a C\\+\\+ compiler"):
        compiled(nn.Linear(2, 2).forward, "cpu")


@pytest.mark.parametrize(
    ("architecture", "sizes"), [("point_transformer", TINY), ("point_mlp", TINY_MLP)]
)
def test_encoders_are_one_graph(architecture: str, sizes: dict[str, object]) -> None:
    torch.manual_seed(0)
    encoder = build_encoder(EncoderSpec(architecture, sizes)).eval()
    points = torch.randn(3, 64, 3) / 3
    graph = torch.compile(encoder.embed_ordered, fullgraph=True, backend="eager")
    torch.testing.assert_close(graph(points), encoder.embed_ordered(points), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("chunk", [0, 6])
def test_a_compiled_run_is_like_any_other(
    household: Path, clip_text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    """With torch's tracer, and without its code generator, which takes half a minute."""
    traced = functools.partial(torch.compile, backend="eager")
    monkeypatch.setattr("cg3d_training.runs.compiling.torch.compile", traced)
    plain = PretrainConfig(
        encoder_sizes=TINY,
        data=DataConfig(household=str(household), clip_text=str(clip_text), orders=1),
        loss=LossConfig(negatives="vocabulary"),
        optimiser=OptimiserConfig(epochs=2, batch_size=12, lr=1e-3, chunk=chunk),
    )
    one = pretrain(plain, tmp_path / "plain")
    two = pretrain(dataclasses.replace(plain, compile=True), tmp_path / "compiled")
    assert one.state_dict.keys() == two.state_dict.keys()
    losses = [
        [json.loads(x)["loss"] for x in (tmp_path / name / "log.jsonl").read_text().splitlines()]
        for name in ("plain", "compiled")
    ]
    assert losses[1] == pytest.approx(losses[0], abs=1e-4)
