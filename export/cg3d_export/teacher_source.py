"""A teacher as the command line names it: `open_clip:MODEL[:WEIGHTS]` or `slip:FILE`."""

from __future__ import annotations

from pathlib import Path

from cg3d_runtime.bundle.disk import sha256_of
from cg3d_runtime.errors import TrainingError
from cg3d_training.teachers import Teacher, load_open_clip, load_slip
from cg3d_training.teachers.local import CONFIG, WEIGHTS

_OPEN_CLIP, _SLIP = "open_clip", "slip"

#: Of a model of open_clip that is given by name alone.
_DEFAULT_WEIGHTS = "openai"


def names_a_teacher(source: str) -> bool:
    """Whether it has the form of one."""
    kind, _, rest = source.partition(":")
    return kind in (_OPEN_CLIP, _SLIP) and bool(rest)


def load_source(source: str, option: str) -> tuple[Teacher, dict[str, str]]:
    """The teacher, and what a manifest says of it: names and hashes, no places on this machine.

    Args:
        source: "open_clip:MODEL[:WEIGHTS]", where MODEL is a name of open_clip, a .json of one's
            own, or a folder of `cg3d-train teacher`, and WEIGHTS a file or a tag of open_clip
            ("openai" by default; a folder has its own); or "slip:FILE", the official checkpoint
            of SLIP ViT-B/16, which the released CG3D weights were trained against.
        option: that it was given to, for the message.

    Raises:
        TrainingError: it has another form, or cannot be read.
    """
    kind, _, rest = source.partition(":")
    if not names_a_teacher(source):
        raise TrainingError(f"{option} {source} should be open_clip:MODEL[:WEIGHTS] or slip:FILE")
    if kind == _SLIP:
        return load_slip(Path(rest)), {"slip": "ViT-B/16"} | _weights_record(rest)
    model, _, weights = rest.partition(":")
    if not weights and (Path(model) / CONFIG).is_file():
        record = _weights_record(str(Path(model) / WEIGHTS))
        return load_open_clip(model), {"open_clip": Path(model).resolve().name} | record
    weights = weights or _DEFAULT_WEIGHTS
    return load_open_clip(model, weights), {"open_clip": model} | _weights_record(weights)


def _weights_record(weights: str) -> dict[str, str]:
    path = Path(weights)
    return {"weights": path.name} | ({"weights_sha256": sha256_of(path)} if path.is_file() else {})
