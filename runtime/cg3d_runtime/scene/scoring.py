"""How well the candidates of a scene answer a text, and which answers stand beside each other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.text.bank import TextBank

#: A name whose vector is at least so near to the text's means much the same ("couch" to "sofa"),
#: so it does not count against it.
SAME_MEANING = 0.6

#: Two answers share at most this part of the smaller one's points.
_OVERLAP = 0.3

#: A score from which a text counts as found, for bundles that do not say: docs/scenes.md.
FOUND = 0.05


def found_from(candidates: int, found: float, growth: float) -> float:
    """The score from which a text counts as found in a scene of so many candidates.

    The best of many scores is higher by chance than the best of few.

    Args:
        candidates: of the scene.
        found: the score for 100 of them.
        growth: 0 where their number does not matter.
    """
    return float(min(1.0, found * (max(candidates, 1) / 100) ** growth))


def belief(
    embeddings: NDArray[np.float32],
    text: NDArray[np.float32],
    background: TextBank,
    sizes: NDArray[np.float32] | None = None,
    own_size: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """How much of the belief a text gets beside the names of everything else.

    Args:
        embeddings: (n, d) float32 unit rows.
        text: (d,) float32 unit, in the space of the embeddings.
        background: names that it competes with; those of much the same meaning are passed over.
        sizes: (n, L) natural logarithms, how well each name of the background goes with the size
            of each embedded part, see `plausibility`; None for names alone.
        own_size: (n,) the same of the text; None where nothing is known of it.

    Returns:
        (n,) float32, the text's share in softmax(logit_scale * cosine + size) over text and
        background.
    """
    others = competes(text, background)
    scale = np.float32(background.logit_scale)
    own = scale * (embeddings @ text)
    rival = scale * (embeddings @ background.vectors[others].T)
    if sizes is not None:
        rival = rival + sizes[:, others]
    if own_size is not None:
        own = own + own_size
    return beside(own, rival)


def competes(text: NDArray[np.float32], background: TextBank) -> NDArray[np.bool_]:
    """(L,) which names of a bank compete with a text (d,): those that mean something else."""
    others: NDArray[np.bool_] = background.vectors @ text < SAME_MEANING
    return others


def beside(own: NDArray[np.float32], rival: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n,) float32 the share of own logits (n,) in a softmax with those of rivals (n, k)."""
    top = np.maximum(own, rival.max(axis=1, initial=-np.inf))
    mine = np.exp(own - top)
    share: NDArray[np.float32] = mine / (mine + np.exp(rival - top[:, None]).sum(axis=1))
    return share


def varied(order: Iterable[int], whole: NDArray[np.int64]) -> list[int]:
    """An order in which second pieces of one whole come last.

    A whole is cut in pieces on the guess that it is several things. That guess deserves one answer,
    not all of them.

    Args:
        order: candidates, the best first.
        whole: (c,) the whole that each was cut from, -1 for none.
    """
    first: list[int] = []
    last: list[int] = []
    seen: set[int] = set()
    for i in order:
        number = int(whole[i])
        (last if number in seen else first).append(i)
        if number >= 0:
            seen.add(number)
    return first + last


def apart(
    order: Iterable[int], parts: Sequence[NDArray[np.int64]], points: int, most: int | None
) -> list[int]:
    """The first of an order that do not lie over one another.

    Args:
        order: candidates, the best first.
        parts: rows of each candidate.
        points: of the scene.
        most: how many to take; None for all.
    """
    taken: list[int] = []
    owner = np.zeros(points, np.bool_)
    for i in order:
        if most is not None and len(taken) >= most:
            break
        rows = parts[i]
        shared = int(owner[rows].sum())
        if shared > _OVERLAP * len(rows):
            continue
        if shared and any(
            len(np.intersect1d(rows, parts[j], assume_unique=True)) > _OVERLAP * len(parts[j])
            for j in taken
        ):
            continue
        owner[rows] = True
        taken.append(i)
    return taken
