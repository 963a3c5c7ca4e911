"""The names that may be chosen: those of a bank, and any words where the text encoder reads any."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.text.bank import TextBank
from cg3d_runtime.text.encoder import TextEncoder
from cg3d_runtime.text.phrasing import Phrasing
from cg3d_runtime.text.space import TextSpace
from cg3d_runtime.text.templates import normal_name, split

#: Words kept after they were encoded: some 8 MB, more than a robot is asked in a day.
_KEPT = 4096


class Words:
    """Vectors of names; of new ones through the text encoder, once each.

    Safe to use from several threads at once.

    Args:
        bank: the names of the bundle, all of them.
        space: that the text encoder's vectors are brought to.
        phrasing: that the bank was made with; new words are asked with the same.
        encoder: gives the text encoder, for an open vocabulary; None where the bank is all.
    """

    def __init__(
        self,
        bank: TextBank,
        space: TextSpace,
        phrasing: Phrasing,
        encoder: Callable[[], TextEncoder] | None,
    ) -> None:
        self.bank = bank
        self.phrasing = phrasing
        self._space = space
        self._encoder = encoder
        self._kept: OrderedDict[str, NDArray[np.float32]] = OrderedDict()
        self._lock = Lock()

    @property
    def open(self) -> bool:
        """Whether any word may be chosen."""
        return self._encoder is not None

    def choose(self, names: Iterable[str] | None) -> TextBank:
        """A bank of these names alone, in this order, spelled as they are given.

        Args:
            names: None for all of the bundle's.

        Raises:
            VocabularyError: no names, one that is no text, two that are the same, one that is too
                long for the text encoder, or one that a closed vocabulary does not hold.
        """
        if names is None:
            return self.bank
        chosen = names if isinstance(names, str) else tuple(names)
        if self._encoder is None or not _some_are_new(chosen, self.bank):
            return self.bank.select(chosen)
        known = [name for name in chosen if name in self.bank]
        rows: dict[str, tuple[tuple[str, ...], NDArray[np.float32]]] = {}
        if known:
            picked = self.bank.select(known)
            rows = {
                name: (aliases, vector)
                for name, aliases, vector in zip(known, picked.aliases, picked.vectors, strict=True)
            }
        new = [name for name in chosen if name not in rows]
        vectors = dict(zip(new, self._new(new), strict=True))
        rows.update((name, ((), vector)) for name, vector in vectors.items())
        return TextBank(
            tuple(chosen),
            tuple(rows[name][0] for name in chosen),
            np.stack([rows[name][1] for name in chosen]),
            self.bank.logit_scale,
        )

    def vector(self, name: str) -> NDArray[np.float32]:
        """(d,) float32 unit, in the space of comparison.

        Raises:
            VocabularyError: as `choose`.
        """
        if self._encoder is None or name in self.bank:
            row: NDArray[np.float32] = self.bank.vectors[self.bank.index(name)]
            return row
        return self._new([name])[0]

    def _new(self, names: Sequence[str]) -> list[NDArray[np.float32]]:
        keys = [normal_name(name) for name in names]
        with self._lock:
            found = {key: self._kept[key] for key in keys if key in self._kept}
        # Outside the lock: other threads need not wait for the network.
        missing = [key for key in dict.fromkeys(keys) if key not in found]
        found.update(zip(missing, self._encoded(missing), strict=True))
        with self._lock:
            for key in keys:
                self._kept[key] = found[key]
                self._kept.move_to_end(key)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return [found[key] for key in keys]

    def _encoded(self, names: Sequence[str]) -> NDArray[np.float32]:
        assert self._encoder is not None
        if not names:
            return np.empty((0, self.bank.vectors.shape[1]), np.float32)
        # A phrasing of the caller's own is asked as it is.
        phrasings = [self.phrasing if split(n)[0] == "{}" else Phrasing() for n in names]
        texts = [t for name, how in zip(names, phrasings, strict=True) for t in how.texts(name)]
        vectors = self._encoder().embed(texts)
        ends = np.cumsum([len(how.templates) for how in phrasings])[:-1]
        rows = [
            how.mean(own[None])[0]
            for how, own in zip(phrasings, np.split(vectors, ends), strict=True)
        ]
        units = self._space.apply(np.stack(rows))
        units.flags.writeable = False
        return units


def _some_are_new(names: str | tuple[str, ...], bank: TextBank) -> bool:
    return (
        not isinstance(names, str)
        and bool(names)
        and all(isinstance(name, str) and normal_name(name) for name in names)
        and any(name not in bank for name in names)
    )
