"""A room made of our own shapes, asked with the bundle that ships."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cg3d_runtime.errors import InputError, VocabularyError
from cg3d_runtime.scene.kmeans import KMeansSegmentation
from cg3d_runtime.scene.objects import ObjectSegmentation
from cg3d_runtime.scene.segmentation import candidates
from cg3d_sdk import Recognizer, Scene
from cg3d_sdk.scene import ScenePoints
from cg3d_sdk.shipped import default_bundle

THINGS = {"sofa": (1.6, 1.4), "chair": (4.4, 1.2), "lamp": (5.0, 4.6), "bed": (1.7, 4.2)}


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return Recognizer(default_bundle(), engine="cpu", threads=1)


def room() -> tuple[np.ndarray, np.ndarray]:
    """Points of a room, metres, z up, and the row of THINGS that each belongs to, -1 for none."""
    rng = np.random.default_rng(5)
    floor = np.column_stack([rng.random((9000, 2)) * [6.0, 6.0], np.zeros(9000)])
    wall = np.column_stack([rng.random(6000) * 6, np.full(6000, 6.0), rng.random(6000) * 2.5])
    side = wall[:, [1, 0, 2]]
    parts, owner = [floor, wall, side], [np.full(21000, -1)]
    samples = {
        "sofa": ("sofa", 1.0), "chair": ("chair", 0.5), "lamp": ("lamp", 0.7), "bed": ("bed", 1.1)
    }  # fmt: skip
    folder = Path(str(resources.files("cg3d_sdk") / "samples"))
    for number, (name, (x, y)) in enumerate(THINGS.items()):
        file, scale = samples[name]
        with np.load(folder / f"{file}.npz", allow_pickle=False) as archive:
            cloud = archive["points"].astype(np.float64)
        cloud = cloud / np.abs(cloud).max() * scale
        cloud[:, :2] += [x, y]
        cloud[:, 2] -= cloud[:, 2].min() - 0.02
        parts.append(cloud)
        owner.append(np.full(len(cloud), number))
    cloud = np.concatenate(parts)
    return cloud.astype(np.float32), np.concatenate(owner)


@pytest.fixture(scope="module")
def scene(recognizer: Recognizer) -> Scene:
    return recognizer.scene(room()[0])


def overlap(rows: np.ndarray, owner: np.ndarray, number: int) -> float:
    mine = owner == number
    shared = int(mine[rows].sum())
    return shared / (len(rows) + int(mine.sum()) - shared)


def test_things_are_where_they_stand(scene: Scene) -> None:
    _, owner = room()
    for number, name in enumerate(THINGS):
        answer = scene.query(name)
        best = max(overlap(region.indices, owner, number) for region in answer.regions)
        assert best > 0.8, name
        assert answer.found
        assert answer.asked == (name,)


def test_what_is_not_here_scores_below_what_is(scene: Scene) -> None:
    here = min(scene.query(name).regions[0].score for name in THINGS)
    absent = [scene.query(name).regions[0].score for name in ("bicycle", "guitar", "toilet")]
    assert max(absent) < here


def test_a_region_measures_its_points(scene: Scene) -> None:
    cloud, _ = room()
    region = scene.query("sofa").regions[0]
    own = cloud[region.indices].astype(np.float64)
    np.testing.assert_allclose(region.centroid, own.mean(axis=0), atol=1e-4)
    np.testing.assert_allclose(region.box.size, np.ptp(own, axis=0), atol=1e-4)
    assert region.oriented_box.size[:2].prod() <= region.box.size[:2].prod() + 1e-6
    scores = [ranked.score for ranked in region.ranking]
    assert scores == sorted(scores, reverse=True)
    assert set(region.to_dict()) >= {"score", "ranking", "box", "oriented_box", "centroid"}


def test_regions_hardly_share_points(scene: Scene) -> None:
    taken = np.zeros(len(room()[0]), int)
    for region in scene.regions:
        assert (np.diff(region.indices) > 0).all()
        assert (taken[region.indices] > 0).mean() <= 0.3
        taken[region.indices] += 1


def test_questions_share_the_scene_and_agree(recognizer: Recognizer, scene: Scene) -> None:
    alone = recognizer.query(room()[0], "sofa", top=2)
    kept = scene.query_many(["sofa", "where can I sleep?"], top=2)
    assert len(alone.regions) == 2
    for one, other in zip(alone.regions, kept[0].regions, strict=True):
        np.testing.assert_array_equal(one.indices, other.indices)
        assert one.score == other.score
    assert "bed" in kept[1].asked
    (one,) = scene.query_many("sofa", top=1)
    assert one.question == "sofa"


def test_the_caller_hears_how_far_it_is(recognizer: Recognizer) -> None:
    cloud, _ = room()
    heard: list[tuple[int, int]] = []
    scene = recognizer.scene(cloud[::4], progress=lambda done, whole: heard.append((done, whole)))
    whole = len(scene.embeddings)
    assert heard[-1] == (whole, whole)
    assert [done for done, _ in heard] == [*range(8, whole, 8), whole]
    np.testing.assert_allclose(scene.extent, np.ptp(cloud[::4], axis=0), atol=1e-5)


def test_dropped_rows_leave_indices_right(recognizer: Recognizer, scene: Scene) -> None:
    cloud, _ = room()
    spoiled = np.insert(cloud, np.arange(0, len(cloud), 7), np.nan, axis=0)
    rows = np.flatnonzero(np.isfinite(spoiled).all(axis=1))
    again = recognizer.scene(spoiled)
    assert again.dropped == len(spoiled) - len(cloud)
    np.testing.assert_array_equal(
        again.query("sofa").regions[0].indices, rows[scene.query("sofa").regions[0].indices]
    )


def test_y_up_is_turned(recognizer: Recognizer, scene: Scene) -> None:
    cloud, _ = room()
    turned = np.stack([cloud[:, 0], cloud[:, 2], -cloud[:, 1]], axis=1)
    one, other = scene.query("sofa"), recognizer.query(turned, "sofa", up="y")
    np.testing.assert_array_equal(one.regions[0].indices, other.regions[0].indices)
    np.testing.assert_allclose(one.regions[0].centroid, other.regions[0].centroid, atol=1e-3)


def test_map_coordinates_keep_their_shape(recognizer: Recognizer, scene: Scene) -> None:
    far = room()[0].astype(np.float64) + np.array([5e5, 4e6, 120.0])
    answer = recognizer.query(far, "sofa")
    _, owner = room()
    assert overlap(answer.regions[0].indices, owner, 0) > 0.8
    assert answer.regions[0].centroid[1] == pytest.approx(4e6 + 1.4, abs=0.5)


def test_the_order_of_points_does_not_matter_much(recognizer: Recognizer, scene: Scene) -> None:
    cloud, owner = room()
    order = np.random.default_rng(0).permutation(len(cloud))
    answer = recognizer.query(cloud[order], "sofa")
    assert overlap(answer.regions[0].indices, owner[order], 0) > 0.8


@pytest.mark.parametrize("segmentation", [ObjectSegmentation(), KMeansSegmentation(6)])
@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(8, 400), st.sampled_from([0.01, 1.0, 300.0]))
def test_any_cloud_is_cut_the_same_way_twice(
    segmentation: ObjectSegmentation | KMeansSegmentation, seed: int, n: int, size: float
) -> None:
    rng = np.random.default_rng(seed)
    cloud = (size * rng.random((n, 3)) * rng.choice([1.0, 0.0, 0.1], 3)).astype(np.float32)
    cloud[0] += np.float32(size)  # never all equal
    for first, second in zip(segmentation(cloud), segmentation(cloud), strict=True):
        assert first.labels.shape == (n,)
        assert first.labels.min() >= -1
        assert 0 < first.trust <= 1
        np.testing.assert_array_equal(first.labels, second.labels)


def test_faults(recognizer: Recognizer, scene: Scene) -> None:
    with pytest.raises(InputError, match="finite point"):
        recognizer.scene(np.full((100, 3), np.nan))
    with pytest.raises(InputError, match="top"):
        scene.query("sofa", top=0)
    with pytest.raises(InputError, match="threshold"):
        scene.query("sofa", threshold=2)
    with pytest.raises(VocabularyError, match="no name"):
        scene.query("where is the xyzzy?")


def test_a_full_text_encoder_is_asked_what_no_name_covers(
    recognizer: Recognizer, scene: Scene
) -> None:
    asked: list[str] = []

    def vector(text: str) -> np.ndarray:
        asked.append(text)
        return scene.embeddings[0]

    cloud = ScenePoints.of(room()[0], "z")
    parts = candidates(ObjectSegmentation()(cloud.local), cloud.local)
    bank = recognizer.bank
    free = Scene(cloud, parts, scene.embeddings, bank, bank, vector, any_text=True)
    assert free.query("xyzzy").asked == ("xyzzy",)
    assert asked == ["xyzzy"]
    assert free.query("sofa").asked == ("sofa",)


def test_a_floor_with_one_point_many_times_over_it() -> None:
    rng = np.random.default_rng(0)
    floor = np.column_stack([5 * rng.random((4000, 2)), np.zeros(4000)])
    cloud = np.concatenate([floor, np.full((30, 3), 1.5)]).astype(np.float32)
    parts = candidates(ObjectSegmentation()(cloud), cloud)
    assert all(len(rows) >= 24 for rows in parts.rows)
    assert not any((rows >= 4000).all() for rows in parts.rows)
