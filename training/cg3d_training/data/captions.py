"""What is said of an object: given captions, or its name in one of 63 templates.

The templates are the set that CLIP's authors and ViLD (Gu et al., 2022) prompt with, and CG3D
trains with. "itap" is short for "I took a picture".
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cg3d_runtime.errors import InputError
from cg3d_runtime.text.templates import fill

_IN_A_SCENE = (
    "There is a {} in the scene.",
    "There is the {} in the scene.",
    "a photo of a {} in the scene.",
    "a photo of the {} in the scene.",
    "a photo of one {} in the scene.",
)
_PLAIN = (
    "itap of a {}.",
    "itap of my {}.",
    "itap of the {}.",
    "a photo of a {}.",
    "a photo of my {}.",
    "a photo of the {}.",
    "a photo of one {}.",
    "a photo of many {}.",
)
_KINDS_OF_OBJECTS = "nice cool weird small large clean dirty".split()
_KINDS_OF_PHOTOS = (
    "good", "bad", "bright", "dark", "low resolution", "cropped", "close-up", "jpeg corrupted",
    "blurry", "pixelated", "black and white",
)  # fmt: skip
_MATERIALS = "plastic toy plushie cartoon embroidered".split()

#: The 63 templates. `{}` stands for the name; `fill` turns "a {}" into "an {}" where it has to.
TEMPLATES: tuple[str, ...] = (
    *_IN_A_SCENE,
    *_PLAIN,
    *(f"a {kind} photo of {article} {{}}."
      for kind in _KINDS_OF_PHOTOS for article in ("a", "the")),
    *(f"a photo of {article} {kind} {{}}."
      for kind in (*_KINDS_OF_OBJECTS, "hard to see") for article in ("a", "the")),
    *(f"{fill('a {}', kind)} {{}}." for kind in _MATERIALS),
    *(f"the {kind} {{}}." for kind in _MATERIALS),
    "a painting of a {}.",
    "a painting of the {}.",
)  # fmt: skip


def choose_caption(name: str, given: Sequence[str], rng: np.random.Generator) -> str:
    """One caption of an object.

    Args:
        name: what it is, e.g. "armchair".
        given: captions that somebody wrote for it; one of them is returned as it is.
        rng: chooses among the given captions, or among the templates where there are none.

    Raises:
        InputError: the name is empty and no caption is given.
    """
    if given:
        return given[int(rng.integers(len(given)))]
    plain = " ".join(name.replace("_", " ").split())
    if not plain:
        raise InputError("an object needs a name or a caption")
    return fill(TEMPLATES[int(rng.integers(len(TEMPLATES)))], plain)
