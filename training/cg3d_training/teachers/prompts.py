"""Deep visual prompts: learnt tokens at every layer of a frozen vision transformer.

Source: equation 8 of CG3D, after "Visual Prompt Tuning" (Jia et al., 2022), its deep variant.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from cg3d_runtime.errors import TrainingError
from cg3d_training.teachers.tokens import TokenTower

_FIRST, _DEEP = "prompt_embeddings", "deep_prompt_embeddings"

#: How prompts start: uniform between -b and b, and b by rule. The VPT paper counts the values of a
#: patch (3 x 16 x 16); the official CG3D code counts 3 x 16, which gives a slightly larger range.
INITIALISATIONS: dict[str, Callable[[TokenTower], float]] = {
    "vpt": lambda tower: math.sqrt(6 / (3 * tower.patch[0] * tower.patch[1] + tower.width)),
    "official": lambda tower: math.sqrt(6 / (3 * tower.patch[0] + tower.width)),
}


class DeepPrompts(nn.Module):
    """Prompts for one image tower; parameters named as in official CG3D checkpoints.

    They stand between the class token and the patch tokens, enter after positions are added (and
    after the norm that CLIP has there), and have no positions themselves. What a block makes of
    them is discarded: each following block sees its own prompts in their place, and the pooling
    sees none. `tokens=0` is allowed and changes nothing.

    Args:
        layers: blocks of the tower.
        width: size of a token.
        tokens: prompts at every layer.
        bound: the prompts start uniform between -bound and bound.
    """

    def __init__(self, layers: int, width: int, tokens: int = 5, *, bound: float = 0.0) -> None:
        super().__init__()
        self.prompt_embeddings = nn.Parameter(torch.empty(1, tokens, width))
        self.deep_prompt_embeddings = nn.Parameter(torch.empty(layers - 1, tokens, width))
        nn.init.uniform_(self.prompt_embeddings, -bound, bound)
        nn.init.uniform_(self.deep_prompt_embeddings, -bound, bound)

    @classmethod
    def for_tower(
        cls, tower: TokenTower, tokens: int = 5, initialisation: str = "vpt"
    ) -> DeepPrompts:
        """New prompts that fit a tower.

        Raises:
            TrainingError: no initialisation has this name.
        """
        if initialisation not in INITIALISATIONS:
            raise TrainingError(
                f"prompts have no initialisation called {initialisation!r}; there are: "
                f"{', '.join(INITIALISATIONS)}."
            )
        bound = INITIALISATIONS[initialisation](tower)
        return cls(len(tower.blocks), tower.width, tokens, bound=bound)

    @contextmanager
    def inserted(self, tower: TokenTower) -> Iterator[None]:
        """While this lasts, the tower runs with these prompts; its weights are not touched.

        Raises:
            TrainingError: the prompts were made for a tower of other sizes.
        """
        layers = torch.cat([self.prompt_embeddings, self.deep_prompt_embeddings])
        if (len(layers), layers.shape[2]) != (len(tower.blocks), tower.width):
            raise TrainingError(
                f"these prompts are for {len(layers)} layers of width {layers.shape[2]}, and the "
                f"teacher has {len(tower.blocks)} of width {tower.width}; make new ones with "
                "DeepPrompts.for_tower(teacher.token_tower())."
            )
        if not layers.numel():
            layers = layers.detach()  # nothing to learn, so the tower keeps its faster kernels
        before = tower.prefix
        after = before + layers.shape[1]
        # Hooks wrap the blocks from outside, so every tower keeps its own forward pass.
        handles = [
            block.register_forward_pre_hook(
                _replace(layers[i], slice(before), slice(after if i else before, None))
            )
            for i, block in enumerate(tower.blocks)
        ]
        handles.append(
            tower.blocks[-1].register_forward_hook(
                lambda _, __, x: torch.cat([x[:, :before], x[:, after:]], dim=1)
            )
        )
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


def _replace(
    prompts: Tensor, head: slice, tail: slice
) -> Callable[[nn.Module, tuple[Any, ...]], tuple[Any, ...]]:
    """A hook that puts (n, width) prompts between the head and the tail of a block's input."""

    def hook(_: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        x = args[0]
        own = prompts.to(x.dtype).expand(x.shape[0], -1, -1)  # len(x) would fix it in an export
        return torch.cat([x[:, head], own, x[:, tail]], dim=1), *args[1:]

    return hook


def load_prompts(state: Mapping[str, Tensor]) -> DeepPrompts:
    """Prompts from an official checkpoint's `visual_clip_model`, or from our own state dict.

    Args:
        state: holds `prompt_embeddings` (1, n, width) and `deep_prompt_embeddings`
            (layers - 1, n, width), with or without `module.` and `visual.` in front; whatever
            else it holds is the teacher's and is left alone.

    Raises:
        TrainingError: one of the two is missing, or their shapes do not fit each other.
    """
    plain = {key.removeprefix("module.").removeprefix("visual."): state[key] for key in state}
    missing = [key for key in (_FIRST, _DEEP) if key not in plain]
    if missing:
        raise TrainingError(
            f"no prompts here: {' and '.join(missing)} missing. Pass the 'visual_clip_model' of "
            "an official checkpoint."
        )
    first, deep = plain[_FIRST], plain[_DEEP]
    if first.ndim != 3 or first.shape[0] != 1 or deep.shape[1:] != first.shape[1:]:
        raise TrainingError(
            f"{_FIRST} has shape {tuple(first.shape)} and {_DEEP} {tuple(deep.shape)}; they should "
            "be (1, n, width) and (layers - 1, n, width)."
        )
    prompts = DeepPrompts(len(deep) + 1, first.shape[2], first.shape[1])
    prompts.load_state_dict({_FIRST: first, _DEEP: deep})
    return prompts
