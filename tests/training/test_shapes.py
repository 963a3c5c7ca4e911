"""The generated objects: every one of them sound, upright, of a real size, and different."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from cg3d_runtime.errors import TrainingError
from cg3d_training.shapes import SHAPES, build, generate
from cg3d_training.shapes.mesh import join

# The longest side that such a thing has, in metres, the smallest and the largest.
SIZES = {
    "airplane": (4, 60),
    "bathtub": (1.3, 2.2),
    "bottle": (0.12, 0.5),
    "bowl": (0.1, 0.5),
    "car": (3.5, 5.2),
    "chair": (0.65, 1.35),
    "cup": (0.05, 0.25),
    "desk": (0.9, 2.2),
    "door": (1.8, 2.6),
    "laptop": (0.25, 0.5),
    "mug": (0.07, 0.2),
    "person": (1.1, 2.1),
    "sofa": (1.2, 3.6),
    "table": (0.3, 2.2),
    "toilet": (0.4, 1.1),
}


@pytest.mark.parametrize("name", list(SHAPES))
def test_every_shape(name: str) -> None:
    first = generate(name, seed=1, points=600)
    again = generate(name, seed=1, points=600)
    other = generate(name, seed=2, points=600)

    assert first.shape == (600, 3)
    assert first.dtype == np.float32
    assert np.isfinite(first).all()
    np.testing.assert_array_equal(first, again)
    # Another object, not the same one seen through other points.
    assert np.abs(np.ptp(first, axis=0) - np.ptp(other, axis=0)).max() > 1e-3


@pytest.mark.parametrize("name", list(SHAPES))
@pytest.mark.parametrize("seed", range(4))
def test_solids_are_closed_and_stand_on_the_floor(name: str, seed: int) -> None:
    parts = build(name, seed)
    for part in parts:
        solid = trimesh.Trimesh(part.vertices, part.faces, process=True)
        faces = np.sort(solid.faces, axis=1)
        solid.update_faces((np.diff(faces, axis=1) > 0).all(axis=1))  # at poles corners coincide
        assert solid.is_watertight, name
        assert solid.is_winding_consistent, name
    low = float(join(parts).vertices[:, 1].min())
    tall = float(np.ptp(join(parts).vertices[:, 1]))
    assert -0.06 * tall <= low <= 0.25 * tall


@pytest.mark.parametrize("name", list(SIZES))
def test_sizes_are_real(name: str) -> None:
    smallest, largest = SIZES[name]
    for seed in range(12):
        reach = float(np.ptp(join(build(name, seed)).vertices, axis=0).max())
        assert smallest <= reach <= largest


def test_chairs_differ_as_chairs_do() -> None:
    """Legs, backs and arms vary, so the share of points above the seat does."""
    shares = [(generate("chair", seed, 400)[:, 1] > 0.52).mean() for seed in range(30)]
    assert np.ptp(shares) > 0.15
    parts = {len(build("chair", seed)) for seed in range(30)}
    assert len(parts) >= 8


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(TrainingError, match=r"'unicorn'.*airplane.*wardrobe"):
        generate("unicorn", 0)
