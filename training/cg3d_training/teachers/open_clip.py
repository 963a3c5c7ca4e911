"""Teachers from open_clip: any of its models, or one of one's own, with weights by file or tag."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import open_clip
from safetensors import SafetensorError
from torch import Tensor, nn

from cg3d_runtime.errors import InputError, TrainingError
from cg3d_training.teachers.local import find_local, list_own_models
from cg3d_training.teachers.prompts import DeepPrompts
from cg3d_training.teachers.teacher import Teacher
from cg3d_training.teachers.tokens import TokenTower, find_token_tower
from cg3d_training.torch_file import read_state_dict

#: What open_clip raises for models and weights that it cannot bring together.
_REFUSALS = (
    AttributeError,
    ImportError,
    KeyError,
    OSError,
    RuntimeError,
    SafetensorError,
    TypeError,
    ValueError,
)


class ClipTeacher(Teacher):
    """A model of open_clip as a teacher.

    Args:
        model: an open_clip CLIP, CustomTextCLIP or CoCa; it is frozen where it is.
        tokenizer: texts to (B, context) int64.
        embedding_dim: the size of its embeddings.
        image_mean: what its images are normalised with.
        image_std: likewise.
    """

    model: Any

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Callable[[list[str]], Tensor],
        *,
        embedding_dim: int,
        image_mean: tuple[float, float, float],
        image_std: tuple[float, float, float],
    ) -> None:
        super().__init__()
        self.model = model
        self._tokenizer = tokenizer
        network: Any = model  # open_clip carries no types
        size = network.visual.image_size
        self.image_size = (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
        self.image_mean, self.image_std = image_mean, image_std
        self.embedding_dim = embedding_dim
        self.logit_scale = float(network.logit_scale.detach().exp())
        self.freeze()

    def encode_image(self, images: Tensor, prompts: DeepPrompts | None = None) -> Tensor:
        """See `Teacher.encode_image`."""
        if images.ndim != 4 or tuple(images.shape[1:]) != (3, *self.image_size):
            raise InputError(
                f"images have shape {tuple(images.shape)}; this teacher takes (B, 3, "
                f"{self.image_size[0]}, {self.image_size[1]}), normalised by image_mean and "
                "image_std"
            )
        with prompts.inserted(self.token_tower()) if prompts else nullcontext():
            features: Tensor = self.model.encode_image(images, normalize=False)
        return features

    def encode_text(self, tokens: Tensor) -> Tensor:
        """See `Teacher.encode_text`."""
        features: Tensor = self.model.encode_text(tokens, normalize=False)
        return features

    def tokenise(self, texts: Sequence[str]) -> Tensor:
        """See `Teacher.tokenise`."""
        return self._tokenizer(list(texts))

    def token_tower(self) -> TokenTower:
        """See `Teacher.token_tower`."""
        return find_token_tower(self.model.visual)


@dataclass(frozen=True, eq=False)
class OpenClipModel:
    """A model of open_clip and what belongs to it.

    Attributes:
        network: a CLIP, CustomTextCLIP or CoCa of open_clip, in train mode, not frozen.
        tokenizer: texts to (B, context) int64.
        config: what open_clip builds it from.
        image_mean: what its images are normalised with.
        image_std: likewise.
    """

    network: Any  # open_clip carries no types
    tokenizer: Callable[[list[str]], Tensor]
    config: dict[str, Any]
    image_mean: tuple[float, float, float]
    image_std: tuple[float, float, float]


def load_open_clip(name: str, weights: str | Path | None = None) -> ClipTeacher:
    """A teacher by open_clip's name for it, or by its own files.

    Args:
        name: as in `open_clip.list_models()`, e.g. "ViT-B-32"; a folder that holds a model with
            its weights, as `cg3d-train teacher` writes it; or a .json of open_clip's form.
            OpenAI's own weights need the `-quickgelu` models when they come from a file; with
            the tag "openai" that is seen to.
        weights: a .safetensors file, a file of torch.save (read without running anything in it),
            a tag of open_clip, e.g. "laion2b_s34b_b79k", which is downloaded once; or None for
            those of the folder, and for a model without one random weights. Images are
            normalised as the folder or the tag says, and for a file as most tags of the model do.

    Raises:
        TrainingError: no such model or weights, weights that do not fit the model, or a tag that
            could not be downloaded.
    """
    model = build_open_clip(name, weights)
    return ClipTeacher(
        model.network,
        model.tokenizer,
        embedding_dim=int(model.config["embed_dim"]),
        image_mean=model.image_mean,
        image_std=model.image_std,
    )


def build_open_clip(name: str, weights: str | Path | None = None) -> OpenClipModel:
    """A model to train on, or to teach; see `load_open_clip`."""
    local = None if name in open_clip.list_models() else find_local(name)
    if local is None and name not in open_clip.list_models():
        names = [*open_clip.list_models(), *list_own_models()]
        raise TrainingError(
            f"{name!r} is no model of open_clip, no folder of one and no .json. "
            f"{_near(name, names)}"
            'List them with: python -c "import open_clip; print(open_clip.list_models())"'
        )
    known = local.name if local else name
    path, settings = local.weights if local else None, local.preprocess if local else {}
    if weights is not None:
        path, found = _find(known, weights)
        settings = found | settings
    if path is not None:
        _check(path)
    try:
        network = open_clip.create_model(
            known,
            pretrained=None if path is None else str(path),
            force_quick_gelu=bool(settings.get("quick_gelu")),
            force_preprocess_cfg={k: settings[k] for k in ("mean", "std") if k in settings},
        )
        tokenizer = open_clip.get_tokenizer(known)
        config = local.config if local else open_clip.get_model_config(known)
    except _REFUSALS as error:
        raise TrainingError(
            f"{name} could not be built{f' with {path}' if path else ''}: {error} Weights must "
            "be of exactly this model; a model with a text tower of Hugging Face needs its "
            "configuration in the local cache or a network."
        ) from error
    mean, std = network.visual.image_mean, network.visual.image_std
    return OpenClipModel(
        network.train(),
        tokenizer,
        config,
        image_mean=(float(mean[0]), float(mean[1]), float(mean[2])),
        image_std=(float(std[0]), float(std[1]), float(std[2])),
    )


def _find(name: str, weights: str | Path) -> tuple[Path, dict[str, Any]]:
    """The file of the weights, and open_clip's settings of their tag or of the model's tags."""
    tags = open_clip.list_pretrained_tags_by_model(name)
    if isinstance(weights, str) and weights in tags:
        settings = open_clip.get_pretrained_cfg(name, weights)
        return _download(name, weights, settings), settings
    path = Path(weights)
    if not path.is_file():
        raise TrainingError(
            f"{name}: {str(weights)!r} is neither a file nor a tag of its weights. "
            f"{_near(str(weights), tags)}Tags: {', '.join(tags) or 'none'}."
        )
    seen = [open_clip.get_pretrained_cfg(name, tag) for tag in tags]
    norms = [{k: cfg[k] for k in ("mean", "std") if k in cfg} for cfg in seen]
    return path, max(norms, key=norms.count, default={})


def _download(name: str, tag: str, settings: dict[str, Any]) -> Path:
    try:
        path = Path(open_clip.download_pretrained(settings))
    except _REFUSALS as error:
        raise TrainingError(
            f"the weights {tag!r} of {name} could not be downloaded ({error}). Without a network, "
            "fetch them on another machine (from "
            f"{settings.get('hf_hub') or settings.get('url')}) and give the path of the file "
            "instead of the tag."
        ) from error
    return path


def _check(path: Path) -> None:
    """Refuse files that could do anything but hold tensors, before open_clip sees them."""
    if path.suffix == ".safetensors":
        return
    if path.suffix not in {".pt", ".pth", ".bin"}:
        raise TrainingError(f"{path}: weights are .safetensors, .pt, .pth or .bin files")
    read_state_dict(path)


def _near(name: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    return f"Did you mean {' or '.join(near)}? " if near else ""
