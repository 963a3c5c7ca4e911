"""One export of each small network, which takes seconds, for all the tests that look at it."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import open_clip
import pytest
import torch
from small_checkpoints import (
    DIM,
    SPEC,
    small_encoder,
    small_mlp,
    small_tower,
    write_checkpoint,
    write_clouds,
    write_text_checkpoint,
)

from cg3d_export.clouds import check_clouds
from cg3d_export.graph import encoder_graph, text_graph
from cg3d_runtime.points.prepare import PreprocessSpec
from cg3d_training.encoders import PointEncoder
from cg3d_training.text.model import TextTower


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def encoder() -> PointEncoder:
    return small_encoder()


@pytest.fixture(scope="session")
def encoder_model(encoder: PointEncoder) -> onnx.ModelProto:
    return encoder_graph(encoder)


@pytest.fixture(scope="session", params=["point_mlp", "point_mlp_elite"])
def mlp(request: pytest.FixtureRequest) -> PointEncoder:
    return small_mlp(request.param)


@pytest.fixture(scope="session")
def mlp_model(mlp: PointEncoder) -> onnx.ModelProto:
    return encoder_graph(mlp)


@pytest.fixture(scope="session")
def tower() -> TextTower:
    return small_tower()


@pytest.fixture(scope="session")
def text_model(tower: TextTower) -> onnx.ModelProto:
    return text_graph(tower, tower.config.context_length)


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with checkpoint.safetensors, text.safetensors and clouds.npz."""
    folder = tmp_path_factory.mktemp("inputs")
    write_checkpoint(folder / "checkpoint.safetensors")
    write_text_checkpoint(folder / "text.safetensors")
    write_clouds(folder / "clouds.npz")
    return folder


@pytest.fixture(scope="session")
def clouds(inputs: Path) -> np.ndarray:
    """(12, 64, 3) float32, prepared."""
    points = SPEC.sizes["points"]
    return check_clouds(inputs / "clouds.npz", PreprocessSpec(points, 4 * points)).prepared


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A CLIP that open_clip knows by name, small, with random weights in a file."""
    folder = tmp_path_factory.mktemp("clip")
    config = {
        "embed_dim": DIM,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16},
        "text_cfg": {
            "context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1
        },
    }  # fmt: skip
    (folder / "tiny-for-tests.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder)
    torch.manual_seed(3)
    model = open_clip.create_model("tiny-for-tests")
    torch.save(model.state_dict(), folder / "weights.pt")
    return "tiny-for-tests", folder / "weights.pt"


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """SIGINT raises KeyboardInterrupt, also where the tests run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
