"""What the teacher makes of captions: all at once before the first step, or of those of a batch."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from cg3d_runtime.errors import TrainingError
from cg3d_training.losses import centred_rows, text_mean
from cg3d_training.runs.distributed import World, gather_rows
from cg3d_training.teachers import Teacher

_TEXTS_AT_ONCE = 64


class CaptionVectors:
    """Unit rows of captions, on the device.

    The text tower is frozen, so a caption's vector is computed once, unless there are more captions
    than a table may hold: then each process computes those of its share of every batch.

    Attributes:
        mean: (d,) on the CPU, what is taken off the vectors; zeros where nothing is.
    """

    def __init__(
        self,
        teacher: Teacher,
        texts: tuple[str, ...],
        table: int,
        centre: bool,
        device: torch.device,
        quiet: bool = False,
    ) -> None:
        """Compute the table, if there is to be one.

        Args:
            teacher: on the device.
            texts: all captions that can occur.
            table: the most vectors to hold, of 4 d bytes each.
            centre: take the mean of all off them.
            device: of the rows.
            quiet: show no progress.

        Raises:
            TrainingError: the mean of more captions than the table holds is asked for.
        """
        self._teacher, self._texts, self._device = teacher, texts, device
        self.mean = torch.zeros(teacher.embedding_dim)
        self._table: Tensor | None = None
        if len(texts) <= table:
            vectors = text_vectors(teacher, texts, device, quiet)
            if centre:
                self.mean = text_mean(vectors)
            self._table = centred_rows(vectors, self.mean).to(device)
        elif centre:
            raise TrainingError(
                f"loss.centre takes the mean of all captions, and there are {len(texts)}: set "
                "data.caption_table to as many"
            )

    def rows(self, chosen: NDArray[np.int64], world: World) -> Tensor:
        """(B, d) unit rows of captions by their numbers, alike in every process."""
        if self._table is not None:
            return self._table[torch.from_numpy(chosen).to(self._device)]
        own = chosen[world.slice_of(len(chosen))]
        texts = tuple(self._texts[row] for row in own)
        vectors = text_vectors(self._teacher, texts, self._device, quiet=True)
        return gather_rows(centred_rows(vectors, self.mean).to(self._device), world)


@torch.no_grad()
def text_vectors(
    teacher: Teacher, texts: tuple[str, ...], device: torch.device, quiet: bool = False
) -> Tensor:
    """(n, d) float32 on the CPU: what a teacher on `device` makes of texts, not unit rows."""
    parts = []
    starts = range(0, len(texts), _TEXTS_AT_ONCE)
    for start in tqdm(starts, "captions", unit="batch", leave=False, disable=quiet):
        tokens = teacher.tokenise(texts[start : start + _TEXTS_AT_ONCE])
        parts.append(teacher.encode_text(tokens.to(device)).float().cpu())
    return torch.cat(parts)
