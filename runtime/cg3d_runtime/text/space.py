"""What is done to text vectors before anything is compared with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cg3d_runtime.errors import InputError


@dataclass(frozen=True, eq=False)
class TextSpace:
    """The space that text vectors and a 3D encoder's embeddings are compared in.

    CLIP's text vectors are nearly parallel (the mean cosine of two names is 0.74); without their
    common direction the names spread out. The mean is data of the bundle, applied alike to the
    output of every text encoder, so the vectors of another one keep working.

    Attributes:
        mean: (d,) float32, subtracted from unit rows.

    Raises:
        InputError: the mean is not one finite row.
    """

    mean: NDArray[np.float32]

    def __post_init__(self) -> None:
        mean = np.array(self.mean, np.float32)
        if mean.ndim != 1 or not np.isfinite(mean).all():
            raise InputError(
                f"the mean of a text space must be one finite row (d,), not shape {mean.shape}"
            )
        mean.flags.writeable = False
        object.__setattr__(self, "mean", mean)

    @classmethod
    def fit(cls, vectors: ArrayLike) -> TextSpace:
        """The space whose mean is that of these raw vectors (n, d), made unit rows first.

        Raises:
            InputError: no rows, or a row that is zero or not finite.
        """
        rows = unit_rows(vectors, "text vectors")
        if not len(rows):
            raise InputError("the mean of no text vectors is not defined")
        return cls(rows.mean(axis=0, dtype=np.float64).astype(np.float32))

    def apply(self, vectors: ArrayLike) -> NDArray[np.float32]:
        """Raw text vectors (n, d) -> (n, d) float32: unit rows, minus the mean, unit rows again.

        Raises:
            InputError: another shape than (n, d), or a row that is zero, not finite or the mean
                itself.
        """
        rows = unit_rows(vectors, "text vectors")
        if rows.shape[1] != len(self.mean):
            raise InputError(
                f"text vectors have {rows.shape[1]} columns, but the text space has "
                f"{len(self.mean)}: they come from another text encoder than the bundle's"
            )
        return unit_rows(rows - self.mean, "text vectors without their mean")


def unit_rows(vectors: ArrayLike, what: str) -> NDArray[np.float32]:
    """Rows scaled to length one.

    Args:
        vectors: (n, d), any float or integer type.
        what: what they are, for the message.

    Returns:
        (n, d) float32.

    Raises:
        InputError: another shape, or a row that is zero or not finite.
    """
    rows: NDArray[Any] = np.asarray(vectors)
    if rows.ndim != 2 or rows.dtype.kind not in "fiu":
        raise InputError(
            f"{what} must be numbers of shape (n, d), not {rows.dtype} of shape {rows.shape}"
        )
    # In FP64, where no FP32 input over- or underflows when squared.
    wide = rows.astype(np.float64)
    norms = np.linalg.norm(wide, axis=1, keepdims=True)
    bad = np.flatnonzero(~np.isfinite(norms) | (norms == 0))
    if len(bad):
        raise InputError(f"{what}: row {bad[0]} is zero or not finite ({len(bad)} such rows)")
    units: NDArray[np.float32] = (wide / norms).astype(np.float32)
    return units
