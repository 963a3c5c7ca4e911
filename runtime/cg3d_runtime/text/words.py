"""The names that may be chosen: those of a bank, and any words where the text encoder reads any."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.arguments import items
from cg3d_runtime.errors import VocabularyError
from cg3d_runtime.text.bank import TextBank
from cg3d_runtime.text.encoder import TextEncoder
from cg3d_runtime.text.phrasing import Phrasing
from cg3d_runtime.text.space import TextSpace
from cg3d_runtime.text.templates import normal_name, split

#: Gives the text encoder for a bank, opened when it is first asked for.
Reader = Callable[[TextBank], TextEncoder]

#: Words kept after they were encoded: some 8 MB, more than a robot is asked in a day.
_KEPT = 4096


class Words:
    """Vectors of names; of new ones through the text encoder, once each.

    Safe to use from several threads at once, without a lock, so in forked children too.

    Args:
        bank: the names of the bundle, all of them.
        space: that the text encoder's vectors are brought to.
        phrasing: that the bank was made with; new words are asked with the same.
        open: whether the text encoder reads any words.
    """

    def __init__(self, bank: TextBank, space: TextSpace, phrasing: Phrasing, open: bool) -> None:
        self.bank, self.space, self.phrasing, self.open = bank, space, phrasing, open
        self._kept: dict[str, NDArray[np.float32]] = {}

    def choose(self, names: Iterable[str] | None, reader: Reader) -> TextBank:
        """A bank of these names alone, in this order, spelled as they are given.

        Args:
            names: None for all of the bundle's.
            reader: asked for the text encoder where a name is new.

        Raises:
            VocabularyError: no names, one that is no text, two that are the same, one that is too
                long for the text encoder, or one that a closed vocabulary does not hold.
        """
        if names is None:
            return self.bank
        chosen = items("labels", names, "names", VocabularyError)
        if not self.open or not _some_are_new(chosen, self.bank):
            return self.bank.select(chosen)
        known = [name for name in chosen if name in self.bank]
        rows: dict[str, tuple[tuple[str, ...], NDArray[np.float32]]] = {}
        if known:
            picked = self.bank.select(known)
            pairs = zip(picked.aliases, picked.vectors, strict=True)
            rows.update(zip(known, pairs, strict=True))
        new = [name for name in chosen if name not in rows]
        rows.update(
            (name, ((), row)) for name, row in zip(new, self._new(new, reader), strict=True)
        )
        return TextBank(
            chosen,
            tuple(rows[name][0] for name in chosen),
            np.stack([rows[name][1] for name in chosen]),
            self.bank.logit_scale,
        )

    def vector(self, name: str, reader: Reader) -> NDArray[np.float32]:
        """(d,) float32 unit, in the space of comparison.

        Raises:
            VocabularyError: as `choose`.
        """
        if not self.open or name in self.bank:
            row: NDArray[np.float32] = self.bank.vectors[self.bank.index(name)]
            return row
        return self._new([name], reader)[0]

    def _new(self, names: Sequence[str], reader: Reader) -> list[NDArray[np.float32]]:
        keys = [normal_name(name) for name in names]
        kept = self._kept
        found = {key: kept[key] for key in keys if key in kept}
        missing = [key for key in dict.fromkeys(keys) if key not in found]
        if missing:
            found.update(zip(missing, self._encoded(missing, reader), strict=True))
            # Readers of the old ones keep them. What two threads add at once may be lost, and is
            # encoded again then.
            self._kept = {**(kept if len(kept) + len(missing) <= _KEPT else {}), **found}
        return [found[key] for key in keys]

    def _encoded(self, names: Sequence[str], reader: Reader) -> NDArray[np.float32]:
        # A phrasing of the caller's own is asked as it is.
        phrasings = [self.phrasing if split(n)[0] == "{}" else Phrasing() for n in names]
        texts = [t for name, how in zip(names, phrasings, strict=True) for t in how.texts(name)]
        vectors = reader(self.bank).embed(texts)
        ends = np.cumsum([len(how.templates) for how in phrasings])[:-1]
        rows = [
            how.mean(own[None])[0]
            for how, own in zip(phrasings, np.split(vectors, ends), strict=True)
        ]
        units = self.space.apply(np.stack(rows))
        units.flags.writeable = False
        return units


def _some_are_new(names: tuple[str, ...], bank: TextBank) -> bool:
    return (
        bool(names)
        and all(isinstance(name, str) and normal_name(name) for name in names)
        and any(name not in bank for name in names)
    )
