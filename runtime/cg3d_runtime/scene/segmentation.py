"""What a segmentation is, and how the parts of several become candidates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

#: A part of fewer points is no candidate: nobody would know it again.
LEAST_POINTS = 24

#: Candidates at most: each costs a run of the encoder.
MOST_CANDIDATES = 600

#: Two parts with this intersection over union are the same candidate.
_SAME = 0.85

#: Rows that tell whether a closer look pays.
_FEW = 32


@dataclass(frozen=True, eq=False)
class Partition:
    """One way to cut a scene.

    Attributes:
        name: of the way.
        labels: (n,) int32 part of each point, from 0; -1 for none.
        trust: how likely a part is one whole thing, against other ways; above 0, at most 1.
        whole: (n,) int32 what each point's part was cut from, by guess; partitions of one
            segmentation share these numbers. None where nothing was cut.
    """

    name: str
    labels: NDArray[np.int32]
    trust: float
    whole: NDArray[np.int32] | None = None


class Segmentation(Protocol):
    """Cuts a scene into parts; several ways at once, if it cannot know which one is right."""

    def __call__(self, xyz: NDArray[np.floating]) -> tuple[Partition, ...]:
        """Partitions of a scene, at least one.

        Args:
            xyz: (n, 3) finite, metres, z up. The same points must give the same partitions.
        """


@dataclass(frozen=True, eq=False)
class Candidates:
    """Parts of a scene that are worth recognising, each once.

    Attributes:
        rows: ascending rows of each.
        trust: (c,) float32 of the way that it was found by first.
        ways: the name of that way.
        whole: (c,) int64 what it was cut from, -1 for what was not.
    """

    rows: tuple[NDArray[np.int64], ...]
    trust: NDArray[np.float32]
    ways: tuple[str, ...]
    whole: NDArray[np.int64]


def groups(labels: NDArray[np.integer]) -> list[NDArray[np.int64]]:
    """Rows of each label from 0, in the order of the labels."""
    rows = np.flatnonzero(labels >= 0)
    if not len(rows):
        return []
    own = labels[rows]
    if own.max() < 1 << 16:
        own = own.astype(np.uint16)  # numpy sorts 16 bits by counting, ten times as fast
    order = np.argsort(own, kind="stable")
    return np.split(rows[order], np.flatnonzero(np.diff(own[order])) + 1)


def candidates(partitions: Sequence[Partition], xyz: NDArray[np.floating]) -> Candidates:
    """The parts of several partitions that are worth recognising, each once.

    Parts of few points or without extent are left out, and so are those that an earlier partition
    has too.

    Args:
        partitions: from a `Segmentation`.
        xyz: (n, 3) the points that they cut.
    """
    parts: list[NDArray[np.int64]] = []
    source: list[Partition] = []
    seen: list[tuple[NDArray[np.int32], NDArray[np.int64]]] = []
    for partition in partitions:
        labels = partition.labels
        for rows in groups(labels):
            if len(rows) >= LEAST_POINTS and _has_extent(xyz[rows]) and not _known(rows, seen):
                parts.append(rows)
                source.append(partition)
        seen.append((labels, np.bincount(labels[labels >= 0], minlength=1)))
    # A small thing that stands free comes before a large piece of another.
    worth = [-one.trust * math.log(len(rows)) for one, rows in zip(source, parts, strict=True)]
    order = sorted(sorted(range(len(parts)), key=worth.__getitem__)[:MOST_CANDIDATES])
    return Candidates(
        tuple(parts[i] for i in order),
        np.array([source[i].trust for i in order], np.float32),
        tuple(source[i].name for i in order),
        np.array([_whole(source[i], parts[i]) for i in order], np.int64),
    )


def _whole(partition: Partition, rows: NDArray[np.int64]) -> int:
    return -1 if partition.whole is None else int(partition.whole[rows[0]])


def _known(
    rows: NDArray[np.int64], seen: Sequence[tuple[NDArray[np.int32], NDArray[np.int64]]]
) -> bool:
    """Whether an earlier partition has the same part."""
    # Were it the same, most of any few rows would have the same label there.
    few = rows[:: max(1, len(rows) // _FEW)]
    for labels, sizes in seen:
        there = labels[few]
        there = there[there >= 0]
        if 2 * len(there) < len(few):
            continue
        likely = int(np.bincount(there).argmax())
        ratio = sizes[likely] / len(rows)
        if _SAME <= ratio <= 1 / _SAME:
            shared = int((labels[rows] == likely).sum())
            if shared >= _SAME * (len(rows) + int(sizes[likely]) - shared):
                return True
    return False


def _has_extent(xyz: NDArray[np.floating]) -> bool:
    return bool((xyz[:_FEW] != xyz[0]).any() or (xyz != xyz[0]).any())
