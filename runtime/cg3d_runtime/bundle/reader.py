"""Opening a bundle: nothing in the folder is trusted, every byte that is used was checked."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.bundle.arrays import decode_array
from cg3d_runtime.bundle.disk import inside, read_inside
from cg3d_runtime.bundle.labels import decode_labels
from cg3d_runtime.bundle.manifest import (
    MANIFEST,
    MAX_FILE_BYTES,
    MAX_MANIFEST_BYTES,
    Manifest,
    decode_manifest,
)
from cg3d_runtime.errors import BundleError, InputError
from cg3d_runtime.text.calibration import SHARES, Calibration


@dataclass(frozen=True)
class BundleText:
    """The text bank of a bundle, checked for consistency.

    Attributes:
        labels: L names.
        aliases: for each label its other names.
        vectors: (L, d) float32, as the text encoder gave them: neither centred nor unit.
        mean: (d,) float32, taken off unit vectors before they are compared.
        logit_scale: the factor on cosines.
    """

    labels: tuple[str, ...]
    aliases: tuple[tuple[str, ...], ...]
    vectors: NDArray[np.float32]
    mean: NDArray[np.float32]
    logit_scale: float


@dataclass(frozen=True)
class Bundle:
    """A bundle that was opened. Use `Bundle.open`.

    Attributes:
        root: its folder, absolute, with links resolved.
        manifest: what it says about itself.
    """

    root: Path
    manifest: Manifest

    @classmethod
    def open(cls, path: str | Path) -> Bundle:
        """Open the bundle in a folder: read and check its manifest, and nothing else yet.

        Raises:
            BundleError: no such folder, no manifest, or one that is damaged or of another format.
        """
        folder = Path(path)
        if not folder.is_dir():
            found = "is a file" if folder.exists() else "does not exist"
            raise BundleError(
                f"{folder} {found}; a bundle is a folder with a {MANIFEST}. Check the path, or "
                "make a bundle with cg3d-export."
            )
        root = folder.resolve()
        if not (root / MANIFEST).exists():
            raise BundleError(
                f"{folder} holds no {MANIFEST}, so it is not a bundle. Check the path, or make a "
                "bundle with cg3d-export."
            )
        try:
            manifest = read_inside(root, MANIFEST, most=MAX_MANIFEST_BYTES)
            return cls(root, decode_manifest(manifest))
        except BundleError as error:
            raise BundleError(f"{folder}: {error}") from error

    def path(self, name: str) -> Path:
        """Where a file of the bundle lies, after checking its place, size and hash.

        Raises:
            BundleError: the bundle has no such file, or it was changed, or it lies elsewhere.
        """
        self.bytes(name)
        return inside(self.root, name)

    def bytes(self, name: str) -> bytes:
        """The content of a file; exactly the bytes returned are the ones that were checked.

        Raises:
            BundleError: the bundle has no such file, or it was changed, or it lies elsewhere.
        """
        info = self.manifest.files.get(name)
        if info is None:
            raise BundleError(
                f"{self.root}: the bundle has no file {name!r}; it has "
                f"{', '.join(sorted(self.manifest.files))}."
            )
        data = read_inside(
            self.root, name, most=MAX_FILE_BYTES, expected=info.bytes, said_by=MANIFEST
        )
        if hashlib.sha256(data).hexdigest() != info.sha256:
            raise BundleError(
                f"{self.root / name} was changed after the export: its SHA-256 is not the one in "
                f"{MANIFEST}. Copy or export the bundle again."
            )
        return data

    def array(self, name: str) -> NDArray[Any]:
        """A .npy file of the bundle, as a read-only array.

        Raises:
            BundleError: as `bytes`, or the file is no plain array of numbers.
        """
        return decode_array(self.bytes(name), str(self.root / name))

    def text(self) -> BundleText:
        """The text bank.

        Raises:
            BundleError: one of its files is damaged, or they do not fit each other.
        """
        info, dim = self.manifest.text, self.manifest.encoder.embedding_dim
        rows = decode_labels(self.bytes(info.labels), str(self.root / info.labels))
        if not rows:
            raise BundleError(f"{self.root / info.labels} holds no labels. Export it again.")
        return BundleText(
            tuple(row.label for row in rows),
            tuple(row.aliases for row in rows),
            self._vectors(info.vectors, (len(rows), dim)),
            self._vectors(info.mean, (dim,)),
            info.logit_scale,
        )

    def calibration(self) -> Calibration | None:
        """What scores mean and what is unknown; None where the bundle does not say.

        Raises:
            BundleError: one of its files is damaged, or they do not fit each other.
        """
        info = self.manifest.calibration
        if info is None:
            return None
        direction = self._vectors(info.direction, (self.manifest.encoder.embedding_dim,))
        quantiles = self._vectors(info.quantiles, (len(info.levels), len(SHARES)))
        try:
            return Calibration(
                direction,
                tuple(level.labels for level in info.levels),
                tuple(level.logit_scale for level in info.levels),
                tuple(level.cosine_weight for level in info.levels),
                quantiles,
            )
        except InputError as error:
            raise BundleError(
                f"{self.root}: its calibration is no use ({error}). Calibrate it again with "
                "cg3d-train calibrate."
            ) from error

    def verify(self) -> None:
        """Check every file, used or not.

        Raises:
            BundleError: naming the first file that is missing or was changed.
        """
        for name in sorted(self.manifest.files):
            self.bytes(name)
        self.text()
        self.calibration()

    def _vectors(self, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        array = self.array(name)
        if array.dtype != np.float32 or array.shape != shape:
            raise BundleError(
                f"{self.root / name} should be {shape} float32 to fit the labels and the encoder, "
                f"not {array.shape} {array.dtype}. Export the bundle again."
            )
        if not np.isfinite(array).all():
            raise BundleError(f"{self.root / name} holds NaN or infinity. Export it again.")
        return array
