"""Colours of generated objects: plausible, different, and no part of what makes the shapes."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from cg3d_runtime.errors import TrainingError
from cg3d_training.render.views import ViewSettings, render_views
from cg3d_training.shapes import SHAPES, build, generate
from cg3d_training.shapes.colours import LOOKS, PALETTES, coloured
from cg3d_training.shapes.mesh import join

#: sha256 of 64 points of three kinds, seed 1, as they were before there were colours.
BEFORE = "142ae3b157524a4ab777a89f5f7b1ecc62d27c5f570971f8fe8b7e8bea62bbda"


def test_the_shapes_draw_as_before() -> None:
    digest = hashlib.sha256()
    for name in ("chair", "potted plant", "car"):
        coloured(name, 1)
        digest.update(generate(name, seed=1, points=64).tobytes())
    assert digest.hexdigest() == BEFORE


@pytest.mark.parametrize("name", list(SHAPES))
def test_every_kind_is_coloured(name: str) -> None:
    mesh, again, other = coloured(name, 3), coloured(name, 3), coloured(name, 4)
    plain = join(build(name, 3))
    np.testing.assert_array_equal(mesh.vertices, plain.vertices)
    np.testing.assert_array_equal(mesh.faces, plain.faces)
    np.testing.assert_array_equal(mesh.colours, again.colours)
    assert mesh.colours.min() >= 0
    assert mesh.colours.max() <= 1
    means = [m.colours.reshape(-1, 3).mean(axis=0) for m in (mesh, other)]
    assert np.abs(means[0] - means[1]).max() > 1e-3


def test_looks_name_palettes() -> None:
    assert set(LOOKS) == set(SHAPES)
    used = {
        p for look in LOOKS.values() for g in (look.main, look.small, look.above) for p in g or ()
    }
    assert used == set(PALETTES)


def test_leaves_are_green_and_pots_are_not() -> None:
    greener = []
    for seed in range(8):
        mesh = coloured("potted plant", seed)
        height = mesh.vertices[mesh.faces][:, :, 1].mean(axis=1)
        colour = mesh.colours.mean(axis=1)
        excess = colour[:, 1] - colour[:, [0, 2]].max(axis=1)
        greener.append(excess[height > np.quantile(height, 0.9)].mean())
    assert min(greener) > 0


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(TrainingError, match="unicorn"):
        coloured("unicorn", 1)


def test_backgrounds_are_white_or_pale() -> None:
    mesh = coloured("mug", 1)
    corners = {}
    for background in ((255, 255, 255), None):
        settings = ViewSettings(4, 32, background=background)
        views = render_views(mesh, settings, np.random.default_rng(1))
        corners[background] = {tuple(view[0, 0].tolist()) for view in views}
    assert corners[(255, 255, 255)] == {(255, 255, 255)}
    assert len(corners[None]) == 4
    assert min(min(colour) for colour in corners[None]) >= 160
