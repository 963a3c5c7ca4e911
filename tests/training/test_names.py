"""How names of objects become names of the vocabulary."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cg3d_runtime.errors import TrainingError, VocabularyError
from cg3d_training.data.clip_text import (
    Vocabulary,
    derived_aliases,
    everyday_aliases,
    load_vocabulary,
)
from cg3d_training.data.household import load_household
from cg3d_training.data.names import NameMatcher, name_rules, singular


@pytest.fixture(scope="module")
def vocabulary(clip_text: Path) -> Vocabulary:
    return load_vocabulary(clip_text)


def test_names_come_once_with_their_first_vector(vocabulary: Vocabulary, clip_text: Path) -> None:
    assert vocabulary.labels.count("chair") == 1
    with np.load(clip_text / "vectors.npz") as archive:
        np.testing.assert_array_equal(vocabulary.vectors[0], archive["lvis"][0])
        np.testing.assert_array_equal(vocabulary.vectors[-1], archive["coco"][-1])
    assert len(vocabulary.labels) == len(vocabulary.vectors) == 11


def test_aliases_are_unambiguous(vocabulary: Vocabulary) -> None:
    assert vocabulary.labels[vocabulary.index("orb")] == "ball"
    assert vocabulary.labels[vocabulary.index("Cooking_Pan")] == "pan (for cooking)"
    assert vocabulary.labels[vocabulary.index("shelf")] == "cabinet/shelf"
    # Two labels are pans; the hand-written list decides for one of them.
    assert vocabulary.labels[vocabulary.index("pan")] == "pan (for cooking)"
    aliases = [alias for group in vocabulary.aliases for alias in group]
    assert len(aliases) == len(set(aliases))
    assert not set(aliases) & set(vocabulary.labels)
    with pytest.raises(VocabularyError, match="sofa"):
        vocabulary.index("sofa")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("chair", []),
        ("pan (metal container)", ["pan"]),
        ("cabinet/shelf", ["cabinet", "shelf"]),
        ("cutting/chopping board", ["cutting board", "chopping board"]),
    ],
)
def test_derived_aliases(name: str, expected: list[str]) -> None:
    assert derived_aliases(name) == expected


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("chair", "chair"),
        ("Red CHAIR 02", "chair"),
        ("three chairs", "chair"),
        ("coffee table round", "coffee table"),
        ("table ball", "ball"),  # the thing comes last
        ("bedside table", "nightstand"),
        ("cocktail table", "coffee table"),
        ("kitchencabinet", "cabinet/shelf"),  # hand-written word, then the alias of a label
        ("tin can", "can"),
        ("can opener", None),
        ("boxes", "box"),
        ("spathiphyllum", None),
        ("", None),
    ],
)
def test_the_rule(vocabulary: Vocabulary, name: str, label: str | None) -> None:
    match = NameMatcher(vocabulary).match(name)
    assert (match and match.label) == label


def test_singulars() -> None:
    plurals = ["chairs", "boxes", "berries", "glasses", "shelves", "knives", "glass", "bus", "is"]
    singulars = ["chair", "box", "berry", "glass", "shelf", "knife", "glass", "bus", "is"]
    assert [singular(word) for word in plurals] == singulars


def test_report_counts_every_name(vocabulary: Vocabulary) -> None:
    report = NameMatcher(vocabulary).report(["a chair", "chair", "nonsense", "nonsense"])
    assert report.matched == (("chair", 2),)
    assert report.unmatched == (("nonsense", 2),)


def test_hand_written_rules_all_take_effect(shared: Path) -> None:
    """A line that points nowhere, or that the vocabulary overrules, is a mistake in the list."""
    vocabulary = load_vocabulary(shared / "data" / "clip-text")
    for alias, label in everyday_aliases().items():
        assert vocabulary.labels[vocabulary.index(alias)] == label, alias
    rules = name_rules()
    for word, label in rules.objects.items():
        assert label in vocabulary.labels, word
    for label in rules.tabletop_classes.values():
        assert label in vocabulary.labels


def test_every_benchmark_class_has_a_label_of_its_own(shared: Path) -> None:
    from cg3d_training.evaluation.tasks import MODELNET40, SCANOBJECTNN

    matcher = NameMatcher(load_vocabulary(shared / "data" / "clip-text"))
    for classes in (MODELNET40, SCANOBJECTNN):
        rows = [matcher.benchmark_row(c) for c in classes]
        assert None not in rows
        assert len(set(rows)) == len(rows)


def test_the_rule_agrees_with_an_independent_one(shared: Path) -> None:
    """Most objects with a ModelNet40 class, which another rule gave, get that very label."""
    vocabulary = load_vocabulary(shared / "data" / "clip-text")
    matcher = NameMatcher(vocabulary)
    objects = load_household(shared / "data" / "household", matcher).objects
    classed = [o for o in objects if o.modelnet40]
    agree = [o.name_row == matcher.benchmark_row(o.modelnet40 or "") for o in classed]
    assert np.mean(agree) > 0.7
    assert sum(o.name_row is not None for o in objects) > 3300


def test_a_vocabulary_that_does_not_fit_is_refused(clip_text: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"names\.json"):
        load_vocabulary(tmp_path)
    (tmp_path / "names.json").write_text((clip_text / "names.json").read_text())
    np.savez(tmp_path / "v.npz", lvis=np.zeros((3, 512)))
    with pytest.raises(TrainingError, match="'lvis'"):
        load_vocabulary(tmp_path)
