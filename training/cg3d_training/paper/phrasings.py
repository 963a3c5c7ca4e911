"""What is said of a class: the paper's one sentence, PointCLIP's, or an ensemble."""

from __future__ import annotations

from collections.abc import Sequence

from open_clip import OPENAI_IMAGENET_TEMPLATES

from cg3d_runtime.errors import TrainingError
from cg3d_runtime.text.templates import fill
from cg3d_training.data.captions import TEMPLATES

#: Phrasings by name. "paper": section 3.4.1 and the official code. "photo": the paper's caption in
#: training. "pointclip": that of the PointCLIP paper for ModelNet40. "name": what frozen vectors of
#: "a NAME" were made with. "ensemble": the 63 captions of training, their vectors' mean. "clip":
#: the 80 of CLIP's notebook for ImageNet.
PHRASINGS: dict[str, tuple[str, ...]] = {
    "paper": ("This is a {}",),
    "photo": ("A photo of a {}",),
    "pointclip": ("point cloud depth map of a {}.",),
    "name": ("a {}",),
    "ensemble": TEMPLATES,
    "clip": tuple(template("{}") for template in OPENAI_IMAGENET_TEMPLATES),
}


def find_phrasings(given: Sequence[str]) -> tuple[str, ...]:
    """Templates by names of `PHRASINGS` or as texts with {} in them; several make an ensemble.

    Raises:
        TrainingError: one is neither.
    """
    found: list[str] = []
    for text in given:
        if text in PHRASINGS:
            found += PHRASINGS[text]
        elif text.count("{}") == 1:
            found.append(text)
        else:
            raise TrainingError(
                f"the phrasing {text!r} is none of {', '.join(PHRASINGS)}, and does not hold {{}} "
                "once, for the name"
            )
    return tuple(dict.fromkeys(found))


def class_text(template: str, name: str, raw: bool = False) -> str:
    """A sentence about a class.

    Args:
        template: with {} for the name.
        name: as the set writes it, "night_stand".
        raw: put it in as it is, as the official code does: underscores stay, and so does the
            article ("This is a airplane").
    """
    if raw:
        return template.replace("{}", name)
    return fill(template, " ".join(name.replace("_", " ").split()))
