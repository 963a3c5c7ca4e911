"""The seven corruptions of ModelNet-C, at its five severities.

From the published definitions (Ren, Pan, Liu 2022, "Benchmarking and analyzing point cloud
classification under corruptions", appendix, and the code that made the set). Written for clouds of
`POINTS` points in the unit sphere, as that set's are; amounts of points are of so many.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.errors import InputError
from cg3d_runtime.points import unit_sphere

Cloud = NDArray[np.float32]
_Corruption = Callable[[Cloud, int, np.random.Generator], NDArray[np.floating]]

#: Of a clean cloud.
POINTS = 1024

SEVERITIES = (1, 2, 3, 4, 5)


def corrupt(cloud: Cloud, kind: str, severity: int, rng: np.random.Generator) -> Cloud:
    """A corrupted copy of a cloud.

    Args:
        cloud: (n, 3) float32 in the unit sphere; n about `POINTS`.
        kind: one of `CORRUPTIONS`.
        severity: 1 to 5.
        rng: the only source of randomness.

    Returns:
        (m, 3) float32; m is below n for "drop ...", above for "add ...".

    Raises:
        InputError: no such corruption or severity, or too few points for local dropping.
    """
    if kind not in CORRUPTIONS or severity not in SEVERITIES:
        raise InputError(
            f"no corruption {kind!r} of severity {severity!r}; there are {', '.join(CORRUPTIONS)} "
            f"of {SEVERITIES[0]} to {SEVERITIES[-1]}"
        )
    return np.asarray(CORRUPTIONS[kind](cloud, severity, rng), np.float32)


def clean(whole: Cloud, rng: np.random.Generator) -> Cloud:
    """(`POINTS`, 3) points of a larger cloud in the unit sphere, drawn at random."""
    return unit_sphere(whole[rng.permutation(len(whole))[:POINTS]]).xyz


def _scale(cloud: Cloud, severity: int, rng: np.random.Generator) -> NDArray[np.floating]:
    """Every axis by a factor of its own, between 1/s and s."""
    most = 1.5 + 0.1 * severity
    return unit_sphere(cloud * rng.uniform(1 / most, most, 3)).xyz


def _jitter(cloud: Cloud, severity: int, rng: np.random.Generator) -> NDArray[np.floating]:
    """Normal noise on every coordinate."""
    return cloud + 0.01 * severity * rng.standard_normal(cloud.shape)


def _rotate(cloud: Cloud, severity: int, rng: np.random.Generator) -> NDArray[np.floating]:
    """By up to 6 degrees a severity about x, then y, then z."""
    most = np.pi / 30 * severity
    turned = cloud.astype(np.float64)
    for axis, angle in enumerate(rng.uniform(-most, most, 3)):
        u, v = (axis + 1) % 3, (axis + 2) % 3
        cos, sin = np.cos(angle), np.sin(angle)
        turned[:, u], turned[:, v] = (
            cos * turned[:, u] - sin * turned[:, v],
            sin * turned[:, u] + cos * turned[:, v],
        )
    return turned


def _drop_global(cloud: Cloud, severity: int, rng: np.random.Generator) -> NDArray[np.floating]:
    """A quarter of the points at random, an eighth more with every severity."""
    left = int(len(cloud) * (1 - (0.125 + 0.125 * severity)))
    return cloud[rng.permutation(len(cloud))[:left]]


def _drop_local(cloud: Cloud, severity: int, rng: np.random.Generator) -> NDArray[np.floating]:
    """In up to seven places the nearest points; 100 points in all with every severity."""
    left = cloud
    for count in _clusters(severity, rng):
        if count >= len(left):
            raise InputError(
                f"a cloud of {len(cloud)} points is too small to drop {100 * severity} of them"
            )
        centre = left[rng.integers(len(left))]
        away = ((left - centre) ** 2).sum(axis=1)
        left = left[np.argsort(away, kind="stable")[count:]]
    return left


def _add_global(cloud: Cloud, severity: int, rng: np.random.Generator) -> NDArray[np.floating]:
    """10 points with every severity, uniformly in the unit sphere."""
    count = 10 * severity
    direction = rng.standard_normal((count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    return np.concatenate([cloud, direction * np.cbrt(rng.random((count, 1)))])


def _add_local(cloud: Cloud, severity: int, rng: np.random.Generator) -> NDArray[np.floating]:
    """Normal clusters about up to seven of the points; 100 points in all with every severity.

    What falls outside the unit sphere is divided by its squared radius, which puts it inside.
    """
    counts = _clusters(severity, rng)
    centres = cloud[rng.permutation(len(cloud))[: len(counts)]]
    added = np.concatenate([
        centre + rng.uniform(0.075, 0.125) * rng.standard_normal((count, 3))
        for centre, count in zip(centres, counts, strict=True)
    ])  # fmt: skip
    squared = (added**2).sum(axis=1, keepdims=True)
    return np.concatenate([cloud, np.where(squared > 1, added / squared, added)])


def _clusters(severity: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Sizes of one to seven clusters of 100 points in all with every severity."""
    many = rng.integers(1, 8)
    return np.bincount(rng.integers(many, size=100 * severity), minlength=many)


#: In the order of the paper.
CORRUPTIONS: dict[str, _Corruption] = {
    "scale": _scale,
    "jitter": _jitter,
    "rotate": _rotate,
    "drop global": _drop_global,
    "drop local": _drop_local,
    "add global": _add_global,
    "add local": _add_local,
}
