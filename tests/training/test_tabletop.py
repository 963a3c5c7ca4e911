"""Objects cut from real views stand upright."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cg3d_runtime.errors import TrainingError
from cg3d_training.data.tabletop import plane_normal, rotation_to_up, scanned_objects


def write_view(folder: Path) -> np.ndarray:
    """A tilted table one metre before the camera with a block of 10 cm on it."""
    rng = np.random.default_rng(0)
    table = np.column_stack([rng.uniform(-0.5, 0.5, (3000, 2)), np.zeros(3000)])
    block = rng.uniform(-0.05, 0.05, (500, 3)) + np.array([0.1, 0.1, 0.05])
    tilt = rotation_to_up(np.array([0.0, -0.6, -0.8])).T  # the table's up, in the camera's frame
    points = np.concatenate([table, block]) @ tilt.T + [0, 0, 1.0]
    labels = np.repeat(np.array([1, 2], np.uint8), [3000, 500])
    np.savez(folder / "a.npz", xyz_mm=np.round(points * 1000).astype(np.int16), label=labels)
    entry = {"scene": "a", "label": 2, "n": 500, "class": "box"}
    (folder / "objects.json").write_text(json.dumps([entry]))
    return block


def test_a_block_on_a_tilted_table_stands_upright(tmp_path: Path) -> None:
    block = write_view(tmp_path)
    (found,) = scanned_objects(tmp_path)
    assert (found.scene, found.label, found.name) == ("a", 2, "box")
    heights = found.points[:, 2] - found.points[:, 2].mean()
    np.testing.assert_allclose(heights, block[:, 2] - block[:, 2].mean(), atol=3e-3)


def test_rotation_takes_any_normal_up() -> None:
    for normal in np.random.default_rng(1).normal(size=(50, 3)):
        normal /= np.linalg.norm(normal)
        rotation = rotation_to_up(normal)
        np.testing.assert_allclose(rotation @ normal, [0, 0, 1], atol=1e-6)
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-6)
        assert np.linalg.det(rotation) == pytest.approx(1, abs=1e-5)


def test_the_normal_faces_the_camera() -> None:
    plane = np.random.default_rng(2).normal(size=(200, 3)) * [1, 1, 1e-3] + [0, 0, 2]
    np.testing.assert_allclose(plane_normal(plane.astype(np.float32)), [0, 0, -1], atol=1e-2)


def test_damage_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"objects\.json"):
        list(scanned_objects(tmp_path))
    write_view(tmp_path)
    (tmp_path / "a.npz").unlink()
    with pytest.raises(TrainingError, match=r"a\.npz"):
        list(scanned_objects(tmp_path))


def test_real_tables_lie_below_their_objects(shared: Path) -> None:
    heights = []
    for o in scanned_objects(shared / "data" / "scans" / "tabletop"):
        assert len(o.points) > 100
        heights.append(np.ptp(o.points[:, 2]))
    assert len(heights) == 76
    assert 0.02 < np.median(heights) < 0.3  # metres: boxes, cans and bowls
