"""Models that open_clip does not know by name: their configuration is a file.

Either a `.json` in the form of open_clip's own model configs, or a folder in the layout in which
open_clip keeps a model (`open_clip_config.json` and `open_clip_model.safetensors`); that is also
what `cg3d-train teacher` writes. Small models of our own are in `models/`, by name.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import open_clip

from cg3d_runtime.errors import TrainingError

#: Files of a model's folder, as open_clip names them.
CONFIG, WEIGHTS = "open_clip_config.json", "open_clip_model.safetensors"

_PARTS = ("embed_dim", "vision_cfg", "text_cfg")
_LARGEST_CONFIG = 1 << 20


@dataclass(frozen=True)
class LocalModel:
    """A model by its configuration.

    Attributes:
        name: under which open_clip knows it from now on.
        config: embed_dim, vision_cfg, text_cfg and what else open_clip takes.
        weights: the folder's file of weights; None for a configuration alone.
        preprocess: mean and std of its pictures, where the folder says.
    """

    name: str
    config: dict[str, Any]
    weights: Path | None = None
    preprocess: dict[str, Any] = field(default_factory=dict)


def list_own_models() -> list[str]:
    """The names of the small models that ship with cg3d-sdk."""
    folder = resources.files("cg3d_training.teachers") / "models"
    return sorted(f.name[:-5] for f in folder.iterdir() if f.name.endswith(".json"))


def find_local(model: str) -> LocalModel | None:
    """The model behind a path or one of our names, made known to open_clip; None if it is neither.

    Raises:
        TrainingError: the file or folder is there and holds no model configuration.
    """
    path = Path(model)
    if model in list_own_models():
        file = resources.files("cg3d_training.teachers") / "models" / f"{model}.json"
        return _register(json.loads(file.read_text(encoding="utf-8")), model)
    if path.is_dir():
        whole = _read(path / CONFIG)
        if not (path / WEIGHTS).is_file():
            raise TrainingError(f"{path / WEIGHTS} is missing; was its training finished?")
        known = _register(whole.get("model_cfg"), str(path / CONFIG))
        preprocess = _preprocess(whole.get("preprocess_cfg"), path / CONFIG)
        return LocalModel(known.name, known.config, path / WEIGHTS, preprocess)
    if path.suffix == ".json":
        return _register(_read(path), str(path))
    return None


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _LARGEST_CONFIG:
            raise TrainingError(f"{path} has {path.stat().st_size} bytes; no configuration has")
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TrainingError(f"{path} cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise TrainingError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise TrainingError(f"{path} should hold an object with keys")
    return content


def _register(config: Any, where: str) -> LocalModel:
    """Give open_clip the configuration under a name that no other has."""
    missing = [key for key in _PARTS if not isinstance(config, dict) or key not in config]
    if missing:
        raise TrainingError(
            f"{where}: {', '.join(missing)} missing; a model of open_clip is embed_dim, "
            "vision_cfg and text_cfg"
        )
    text = json.dumps(config, sort_keys=True)
    name = f"cg3d-local-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    if name not in open_clip.list_models():
        with tempfile.TemporaryDirectory() as folder:  # open_clip reads the file at once
            path = Path(folder) / f"{name}.json"
            path.write_text(text, encoding="utf-8")
            open_clip.add_model_config(path)
    return LocalModel(name, config)


def _preprocess(given: Any, where: Path) -> dict[str, Any]:
    """Mean and standard deviation, if they are given; what else there is concerns open_clip."""
    found = {}
    for key in ("mean", "std"):
        value = given.get(key) if isinstance(given, dict) else None
        if value is None:
            continue
        numbers = isinstance(value, list) and all(isinstance(v, (int, float)) for v in value)
        if not numbers or len(value) != 3 or (key == "std" and min(value) <= 0):
            raise TrainingError(f"{where}: preprocess_cfg.{key} is {value!r}, not three numbers")
        found[key] = tuple(float(v) for v in value)
    return found
