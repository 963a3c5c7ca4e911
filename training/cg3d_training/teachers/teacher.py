"""What every teacher offers: a frozen image tower and text tower of one space."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor, nn

from cg3d_training.teachers.prompts import DeepPrompts
from cg3d_training.teachers.tokens import TokenTower

if TYPE_CHECKING:
    from typing_extensions import Self


class Teacher(nn.Module, ABC):
    """A frozen vision-language model. Its weights take no gradient; it never leaves eval mode.

    Attributes:
        image_size: (height, width) of the images that it takes, pixels.
        image_mean: taken off the channels (red, green, blue) of images in [0, 1].
        image_std: what the channels are divided by then.
        embedding_dim: d, the size of its embeddings.
        logit_scale: 1 / temperature that it was trained with.
    """

    image_size: tuple[int, int]
    image_mean: tuple[float, float, float]
    image_std: tuple[float, float, float]
    embedding_dim: int
    logit_scale: float

    @abstractmethod
    def encode_image(self, images: Tensor, prompts: DeepPrompts | None = None) -> Tensor:
        """(B, 3, H, W) float32 images, normalised, to (B, d), not unit rows.

        With prompts, gradients reach the prompts and nothing else.

        Raises:
            InputError: the images have another shape.
            TrainingError: prompts were given, and the image tower cannot take them.
        """

    @abstractmethod
    def encode_text(self, tokens: Tensor) -> Tensor:
        """(B, context) int64 tokens to (B, d), not unit rows."""

    @abstractmethod
    def tokenise(self, texts: Sequence[str]) -> Tensor:
        """Texts to (B, context) int64 on the CPU; long ones lose their end. CLIP has 77."""

    @abstractmethod
    def token_tower(self) -> TokenTower:
        """The image transformer that prompts are made for.

        Raises:
            TrainingError: the image tower has no tokens (a ResNet, a FastViT).
        """

    def freeze(self) -> None:
        """Take all weights from training; called once by whoever builds a teacher."""
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> Self:
        """Stay in eval mode, whatever the model around it does."""
        return super().train(False)
