"""Teachers of open_clip against open_clip itself, and the files that are refused."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from safetensors.torch import save_file
from small_clip import DIM, TEXT, VIT, images_for, small_teacher
from torch.torch_version import TorchVersion

from cg3d_runtime.errors import InputError, TrainingError
from cg3d_training.teachers import load_open_clip

NAME = "cg3d-tests-small"


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small model that open_clip knows by name."""
    config = {"embed_dim": DIM, "vision_cfg": VIT, "text_cfg": TEXT}
    path = tmp_path_factory.mktemp("open_clip") / f"{NAME}.json"
    path.write_text(json.dumps(config))
    open_clip.add_model_config(path)
    return NAME


def _reference() -> Any:
    torch.manual_seed(5)
    return open_clip.CLIP(DIM, dict(VIT), dict(TEXT)).eval().requires_grad_(False)


@pytest.mark.parametrize("form", ["safetensors", "plain", "training", "module", "legacy"])
def test_weights_load_exactly(named: str, form: str, tmp_path: Path) -> None:
    reference = _reference()
    state = reference.state_dict()
    path = tmp_path / ("w.safetensors" if form == "safetensors" else "w.pt")
    if form == "safetensors":
        save_file(state, str(path))
    elif form == "training":
        torch.save({"epoch": 3, "name": "run", "state_dict": state}, path)
    elif form == "module":
        torch.save({"state_dict": {f"module.{k}": v for k, v in state.items()}}, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=form != "legacy")
    teacher = load_open_clip(named, path)
    for key, value in teacher.model.state_dict().items():
        assert torch.equal(value, state[key]), key
    images = images_for(teacher)
    texts = ["a mug", "This is a coffee table, " * 30]
    assert torch.equal(teacher.encode_image(images), reference.encode_image(images))
    tokens = teacher.tokenise(texts)
    assert torch.equal(tokens, open_clip.tokenize(texts))
    assert (tokens.shape, tokens.dtype) == ((2, 77), torch.int64)
    assert torch.equal(teacher.encode_text(tokens), reference.encode_text(tokens))
    assert teacher.logit_scale == pytest.approx(1 / 0.07)
    assert (teacher.embedding_dim, teacher.image_size) == (DIM, (16, 16))


def test_a_teacher_stays_frozen() -> None:
    teacher = small_teacher()
    around = torch.nn.Sequential(teacher)
    around.train()
    assert not any(module.training for module in teacher.modules())
    assert not any(parameter.requires_grad for parameter in teacher.parameters())


@pytest.mark.parametrize(
    ("name", "mean", "size"),
    [
        ("ViT-B-32", open_clip.OPENAI_DATASET_MEAN, (224, 224)),
        ("MobileCLIP-S1", (0.0, 0.0, 0.0), (256, 256)),
    ],
)
def test_files_are_normalised_as_the_tags_of_the_model(
    name: str,
    mean: tuple[float, ...],
    size: tuple[int, int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The full model without memory for its weights: only its settings matter here.
    built = open_clip.create_model

    def on_meta(*args: Any, **options: Any) -> Any:
        model = built(*args, **(options | {"pretrained": None, "device": "meta"}))
        model.logit_scale = torch.nn.Parameter(torch.zeros(()))
        return model

    monkeypatch.setattr(open_clip, "create_model", on_meta)
    path = tmp_path / "w.pt"
    torch.save({"logit_scale": torch.zeros(())}, path)
    teacher = load_open_clip(name, path)
    assert teacher.image_mean == mean
    assert teacher.image_size == size


def test_images_of_another_size_are_refused() -> None:
    teacher = small_teacher()
    for shape in [(1, 3, 32, 32), (3, 16, 16), (1, 1, 16, 16)]:
        with pytest.raises(InputError, match=r"\(B, 3, 16, 16\)"):
            teacher.encode_image(torch.zeros(shape))


def test_unknown_names_and_weights_are_explained() -> None:
    with pytest.raises(TrainingError, match="ViT-B-32"):
        load_open_clip("ViT-B32")
    with pytest.raises(TrainingError, match=r"Did you mean .*laion2b_s34b_b79k"):
        load_open_clip("ViT-B-32", "laion2b_s34b_b79")
    with pytest.raises(TrainingError, match="neither a file nor a tag"):
        load_open_clip("ViT-B-32", Path("nowhere.pt"))


def test_without_a_network_a_tag_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(TrainingError, match="give the path of the file"):
        load_open_clip("ViT-B-32", "openai")


class _Hostile:
    """A pickle that makes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickle_runs_nothing(named: str, tmp_path: Path, legacy: bool) -> None:
    sign = tmp_path / "it ran"
    path = tmp_path / "w.pt"
    state = {**_reference().state_dict(), "extra": _Hostile(sign)}
    torch.save(state, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(TrainingError, match=r"posix\.mkdir|nt\.mkdir"):
        load_open_clip(named, path)
    assert not sign.exists()
    # The same file does run it where nobody looks, so this test could fail.
    torch.load(path, weights_only=False)
    assert sign.is_dir()


def test_tensors_that_are_not_in_the_file_are_refused(named: str, tmp_path: Path) -> None:
    huge = torch.zeros(1).expand(1 << 40)
    for value in [huge, torch.zeros(2, device="meta"), torch.eye(2).to_sparse(), "text"]:
        torch.save({"visual.proj": value}, tmp_path / "w.pt")
        with pytest.raises(TrainingError, match=r"visual\.proj"):
            load_open_clip(named, tmp_path / "w.pt")


def test_an_unsafe_torch_reads_no_pickle(
    named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = _reference().state_dict()
    torch.save(state, tmp_path / "w.pt")
    save_file(state, str(tmp_path / "w.safetensors"))
    monkeypatch.setattr(torch, "__version__", TorchVersion("2.5.1"))
    with pytest.raises(TrainingError, match=r"2\.6 or newer"):
        load_open_clip(named, tmp_path / "w.pt")
    assert load_open_clip(named, tmp_path / "w.safetensors").embedding_dim == DIM


def test_weights_that_do_not_fit_are_refused(named: str, tmp_path: Path) -> None:
    state = _reference().state_dict()
    del state["visual.proj"]
    torch.save(state, tmp_path / "short.pt")
    with pytest.raises(TrainingError, match=r"visual\.proj"):
        load_open_clip(named, tmp_path / "short.pt")
    torch.save({"epoch": 1}, tmp_path / "none.pt")
    with pytest.raises(TrainingError, match="no state_dict"):
        load_open_clip(named, tmp_path / "none.pt")
    for name, content in [("junk.pt", b"junk"), ("junk.safetensors", b"junk"), ("w.npz", b"")]:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(TrainingError, match=name):
            load_open_clip(named, tmp_path / name)
