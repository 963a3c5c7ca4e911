"""The names written by hand: the tables themselves, and what reading them changes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from cg3d_runtime.errors import TrainingError
from cg3d_runtime.text.bank import TextBank
from cg3d_training.cli.main import main
from cg3d_training.config import DataConfig, OptimiserConfig, PretrainConfig
from cg3d_training.data.clip_text import Vocabulary, load_vocabulary
from cg3d_training.data.curated import CuratedNames, read_curated, table_key
from cg3d_training.data.curated_report import curated_report
from cg3d_training.data.household import HouseholdObject, load_household
from cg3d_training.data.names import NameMatcher
from cg3d_training.data.training_data import training_data
from cg3d_training.evaluation.accuracy import accuracy
from cg3d_training.evaluation.run import ask
from cg3d_training.evaluation.tasks import curated_vocabulary, shown_clouds

FAMILIES = """family,use,labels,caption
toy ball,keep,ball,
low table,keep,coffee table; table,
side of a crate,clutter,,crate side
best ladder,low,ladder,
odd ladder,keep,,rope ladder
"""
NAMES = """set,name,id,family
made,ball number,,toy ball
made,table number,,low table
made,box number,,side of a crate
made,ladder number,,odd ladder
made,ladder number,ladder2,best ladder
made,ladder number,ladder2*,toy ball
"""


@pytest.fixture(scope="module")
def small(clip_text: Path) -> Vocabulary:
    return load_vocabulary(clip_text)


def test_the_closest_row_wins(small: Vocabulary) -> None:
    table = read_curated(small, NAMES, FAMILIES)
    found = {id: table.find("made", "Ladder_number 7", id) for id in ("ladder2", "ladder22", "x")}
    assert {id: f and f.name for id, f in found.items()} == {
        "ladder2": "best ladder", "ladder22": "toy ball", "x": "odd ladder"
    }  # fmt: skip
    assert table.find("made", "sofa", "x") is None
    assert table.find("bought", "ball number", "x") is None


@pytest.mark.parametrize(
    ("families", "names", "message"),
    [
        (FAMILIES.replace("keep,ball", "keep,bal"), NAMES, r"line 2: 'bal'.*nearest is 'ball'"),
        (FAMILIES.replace("keep,ball", "keep,orb"), NAMES, r"'orb' is no label"),  # an alias
        (FAMILIES.replace("coffee table; table", "table; table"), NAMES, "a label comes twice"),
        (FAMILIES.replace("low,ladder", "rare,ladder"), NAMES, "use is 'rare'; choose from keep"),
        (FAMILIES.replace("keep,ball,", "keep,,"), NAMES, "needs labels, or a caption"),
        (FAMILIES + "toy ball,keep,ball,\n", NAMES, "line 7: 'toy ball' comes twice"),
        (FAMILIES + "unused,drop,,\n", NAMES, "no object is of the family 'unused'"),
        (FAMILIES + "short,drop\n", NAMES, "line 7: 2 columns, not 4"),
        (FAMILIES.replace("caption", "words"), NAMES, "first line should be family,use"),
        (FAMILIES, NAMES.replace(",toy ball", ",toy bal"), "no family 'toy bal'.*'toy ball'"),
        (FAMILIES, NAMES + "made,ball number,,low table\n", "line 8: made, 'ball number'"),
        (FAMILIES, NAMES.replace("ball number", "Ball 3"), "should be written 'ball'"),
    ],
)
def test_malformed_tables_are_refused(
    small: Vocabulary, families: str, names: str, message: str
) -> None:
    with pytest.raises(TrainingError, match=message):
        read_curated(small, names, families)


def test_loading_with_and_without(small: Vocabulary, household: Path) -> None:
    matcher, table = NameMatcher(small), read_curated(small, NAMES, FAMILIES)
    ruled = load_household(household, matcher).objects
    assert {(o.family, o.use, o.caption) for o in ruled} == {(None, "keep", "")}
    curated = load_household(household, matcher, table).objects
    low_table = next(o for o in curated if o.name == "table number 1")
    labels = [small.labels[row] for row in low_table.rows]
    assert labels == ["coffee table", "table"]  # in the table's order; the rule says "table"
    assert low_table.name_row == low_table.rows[0]
    box = next(o for o in curated if o.name == "box number 3")
    assert (box.family, box.use, box.rows, box.name_row, box.caption) == (
        "side of a crate", "clutter", (), None, "crate side"
    )  # fmt: skip
    report = curated_report(ruled, curated)
    assert (report.objects, report.ruled, report.fallbacks) == (60, 60, 0)
    assert report.lost + report.kept + report.changed == 60
    assert report.changed == 2  # ladder22 and ladder26, which ladder2* calls balls
    assert report.uses["clutter"] == 15


def test_objects_without_a_row_are_left_to_the_rule(small: Vocabulary, household: Path) -> None:
    names = "".join(line for line in NAMES.splitlines(True) if "table number" not in line)
    families = "".join(line for line in FAMILIES.splitlines(True) if "coffee" not in line)
    matcher, table = NameMatcher(small), read_curated(small, names, families)
    ruled = load_household(household, matcher).objects
    curated = load_household(household, matcher, table).objects
    left = [o for o in curated if o.family is None]
    assert {o.name.split()[0] for o in left} == {"table"}
    assert [o.rows for o in left] == [ruled[o.row].rows for o in left]
    assert curated_report(ruled, curated).fallbacks == len(left) == 15


@given(st.data())
def test_any_true_label_counted_by_sorting(data: st.DataObject) -> None:
    objects, labels = data.draw(st.integers(1, 6)), data.draw(st.integers(2, 8))
    rng = np.random.default_rng(data.draw(st.integers(0, 999)))
    scores = np.round(rng.normal(size=(objects, labels)), 1).astype(np.float32)
    one_of = st.lists(st.integers(0, labels - 1), min_size=1, max_size=3, unique=True)
    accepted = [data.draw(one_of) for _ in range(objects)]
    truth = [own[0] for own in accepted]
    names = [str(i) for i in range(labels)]
    found = accuracy("any", scores, truth, names, accepted)
    ranked = [sorted(range(labels), key=lambda j: (-row[j], j)) for row in scores]
    for k, share in ((1, found.top1), (3, found.top3), (5, found.top5)):
        pairs = zip(accepted, ranked, strict=True)
        hits = [bool(set(own) & set(order[:k])) for own, order in pairs]
        assert share == pytest.approx(np.mean(hits))
    assert found.top1 >= accuracy("first", scores, truth, names).top1


def test_a_kind_of_is_true_but_not_the_first_label(small: Vocabulary, household: Path) -> None:
    table = read_curated(small, NAMES, FAMILIES)
    objects = load_household(household, NameMatcher(small), table).where(lambda o: o.row < 12)
    vectors = np.eye(len(small.labels), dtype=np.float32)
    bank = TextBank(small.labels, small.aliases, vectors, 10.0)
    # Each object looks like the last of its labels; boxes and most ladders have none.
    embeddings = vectors[[o.rows[-1] if o.rows else 0 for o in objects.objects]]
    task = shown_clouds(objects, curated_vocabulary(objects, small), views=1)
    embeddings = embeddings[list(task.objects)]
    first, any_true = (ask(q, task.objects, embeddings, bank) for q in task.questions)
    assert first.objects == any_true.objects == 7  # 3 balls, 3 tables, the ladder that has a row
    assert first.top1 == pytest.approx(4 / 7)  # the tables look like "table", not "coffee table"
    assert any_true.top1 == 1.0
    assert any_true.per_class["coffee table"] == (3, 3)


Curated = tuple[Vocabulary, CuratedNames, tuple[HouseholdObject, ...]]


@pytest.fixture(scope="module")
def real(shared: Path) -> Curated:
    vocabulary = load_vocabulary(shared / "data" / "clip-text")
    table = read_curated(vocabulary)  # every label exists, or this raises
    objects = load_household(shared / "data" / "household", NameMatcher(vocabulary), table).objects
    return vocabulary, table, objects


def test_every_object_has_a_row_and_every_row_an_object(real: Curated) -> None:
    _, table, objects = real
    assert [o.name for o in objects if o.family is None] == []
    assert {o.family for o in objects} == set(table.families)


@pytest.mark.parametrize(
    ("id", "name", "labels", "use"),
    [
        # What the words say is not what the thing is.
        ("xbox_one", "xbox game console", [], "keep"),
        ("Furniture Pack (1.0)/comp", "computer mouse", ["mouse (computer equipment)"], "keep"),
        ("Blend Swap CC-0#tableFan", "table fan", ["fan"], "keep"),
        ("asphalt_plane", "asphalt plane", [], "drop"),
        ("Furniture Pack (1.0)/bear", "bear", ["teddy bear"], "keep"),
        ("Graveyard Kit (0.2)/trunk", "trunk", [], "low"),
        ("easy_enemies_pack/Rat", "rat", ["rat"], "keep"),
        ("dove_beauty_bar", "dove beauty bar", ["soap"], "keep"),
        # A kind of, after the name itself.
        ("Chair/poang", "ikea poang chair", ["armchair", "chair"], "keep"),
        # One name, two things.
        ("cyberpunk_pack/Tank", "tank", ["tank (storage vessel)"], "low"),
        ("tank_pack/Tank", "tank", ["army tank"], "keep"),
        ("single_knight_pack/Club", "club", [], "low"),
        ("crops_pack/Apple_1", "apple", [], "low"),  # a seedling
        ("crops_pack/Apple_2", "apple", ["tree"], "keep"),
        ("crops_pack/Apple_Crop", "apple crop", ["apple"], "keep"),
        # Pieces of buildings and letters.
        ("modular_dungeon_1/Wall_Modular", "wall modular", [], "clutter"),
        ("platformer_game_pack/Numbers_1", "numbers", [], "drop"),
    ],
)
def test_names_that_mislead(real: Curated, id: str, name: str, labels: list[str], use: str) -> None:
    vocabulary, _, objects = real
    found = [o for o in objects if table_key(o.name) == name and o.id.startswith(id)]
    assert found, f"no {name!r} with an id like {id!r}"
    for o in found:
        assert [vocabulary.labels[row] for row in o.rows][: len(labels)] == labels
        assert bool(o.rows) == bool(labels)
        assert o.use == use


def test_families_never_straddle_the_validation_split(real: Curated, shared: Path) -> None:
    data = DataConfig(
        str(shared / "data" / "household"), str(shared / "data" / "clip-text"),
        names="curated", validation=0.1,
    )  # fmt: skip
    split = training_data(PretrainConfig(data=data, optimiser=OptimiserConfig(batch_size=8)))
    train = {o.family for o in split.train.objects}
    held = {o.family for o in split.validation.objects}
    assert not train & held
    assert 0.05 < len(split.validation) / (len(split.train) + len(split.validation)) < 0.15
    assert {o.use for o in (*split.train.objects, *split.validation.objects)} == {"keep", "low"}
    # Most held-out things are of a class that training has seen in another family.
    seen = {row for o in split.train.objects for row in o.rows}
    assert np.mean([bool(seen & set(o.rows)) for o in split.validation.objects]) > 0.7


def test_the_command_shows_both_splits(
    small: Vocabulary, household: Path, clip_text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = read_curated(small, NAMES, FAMILIES)
    monkeypatch.setattr("cg3d_training.data.curated.read_curated", lambda vocabulary: table)
    command = ["names", "--household", str(household), "--clip-text", str(clip_text), "--curated"]
    shown = CliRunner().invoke(main, command, catch_exceptions=False).output
    rows = [line.split() for line in shown.splitlines() if line.startswith(("| train", "| test"))]
    assert [(row[1], row[3]) for row in rows] == [("train", "48"), ("test", "12")]
    assert "15  coffee table" in shown
    assert "crate side" in shown
    listed = CliRunner().invoke(main, [*command, "--json", "--split", "test"]).output
    objects = [json.loads(line) for line in listed.splitlines()]
    assert len(objects) == 12
    assert {tuple(o["labels"]) for o in objects if o["family"] == "low table"} == {
        ("coffee table", "table")
    }
