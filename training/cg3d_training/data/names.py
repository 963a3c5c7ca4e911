"""The rule that takes an object's name, as its author wrote it, to a name of the vocabulary.

The longest run of words that is a label, an alias or a hand-written name wins ("coffee table"
before "table"); among equally long runs the last one, because English puts the thing last
("table fan" is a fan). Plurals are tried as singulars. `aliases.yaml` holds the hand-written part.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources

import yaml

from cg3d_training.data.clip_text import Vocabulary

_LONGEST_RUN = 4


@dataclass(frozen=True)
class NameRules:
    """The hand-written part of the rule; see `aliases.yaml`."""

    everyday: dict[str, str]
    objects: dict[str, str]
    never_alone: frozenset[str]
    benchmark_classes: dict[str, str]
    tabletop_classes: dict[str, str]


@dataclass(frozen=True)
class Match:
    """How a name was understood.

    Attributes:
        words: the words of the name that decided.
        label: the label of the vocabulary that they stand for.
        row: its row.
    """

    words: str
    label: str
    row: int


@dataclass(frozen=True)
class MatchReport:
    """What matching a collection of names came to.

    Attributes:
        matched: (label, how many names), most frequent first.
        unmatched: (name, how often), most frequent first.
    """

    matched: tuple[tuple[str, int], ...]
    unmatched: tuple[tuple[str, int], ...]


@cache
def name_rules() -> NameRules:
    """The hand-written rules that ship with cg3d-sdk."""
    text = (resources.files("cg3d_training.data") / "aliases.yaml").read_text(encoding="utf-8")
    raw = yaml.safe_load(text)
    return NameRules(
        raw["everyday"],
        raw["objects"],
        frozenset(raw["never_alone"]),
        raw["benchmark_classes"],
        raw["tabletop_classes"],
    )


def singular(word: str) -> str:
    """The singular of an English plural, or the word itself.

    >>> [singular(w) for w in ("chairs", "boxes", "berries", "glass", "shelves", "bus")]
    ['chair', 'box', 'berry', 'glass', 'shelf', 'bus']
    """
    for plural, single in (("elves", "elf"), ("ives", "ife"), ("ies", "y")):
        if word.endswith(plural) and len(word) > 4:
            return word[: -len(plural)] + single
    if word.endswith(("ches", "shes", "xes", "sses")):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us")):
        return word[:-1]
    return word


class NameMatcher:
    """Matches names to rows of a vocabulary."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        rules = name_rules()
        self.labels = vocabulary.labels
        self._never_alone = rules.never_alone
        self._rows = dict(vocabulary.rows)
        for name, label in (rules.objects | rules.everyday).items():
            if label in vocabulary.rows:
                self._rows.setdefault(name, vocabulary.rows[label])

    def match(self, name: str) -> Match | None:
        """What a name stands for, or None where no run of its words is known."""
        words = re.findall(r"[a-z]+(?:['-][a-z]+)*", name.lower())
        for size in range(min(_LONGEST_RUN, len(words)), 0, -1):
            for end in range(len(words), size - 1, -1):
                run = words[end - size : end]
                if size == 1 and len(words) > 1 and run[0] in self._never_alone:
                    continue
                for wording in (run, [*run[:-1], singular(run[-1])]):
                    row = self._rows.get(" ".join(wording))
                    if row is not None:
                        return Match(" ".join(run), self.labels[row], row)
        return None

    def benchmark_row(self, class_name: str) -> int | None:
        """The row for a class name of ModelNet40 or ScanObjectNN ("night_stand")."""
        name = class_name.replace("_", " ")
        name = name_rules().benchmark_classes.get(name, name)
        return self._rows.get(name)

    def report(self, names: Iterable[str]) -> MatchReport:
        """Count what is matched and what is left."""
        matched: Counter[str] = Counter()
        unmatched: Counter[str] = Counter()
        for name in names:
            match = self.match(name)
            if match is None:
                unmatched[name] += 1
            else:
                matched[match.label] += 1
        return MatchReport(tuple(matched.most_common()), tuple(unmatched.most_common()))
