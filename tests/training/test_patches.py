"""Encoders that take a cloud in patches: leaving some out, and our own one, PatchPool."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from cg3d_runtime.points import furthest_point_order
from cg3d_training.encoders import PointEncoder, build_encoder, create_encoder, encoder_spec
from cg3d_training.encoders.classifier import classifier_spec, load_body
from cg3d_training.encoders.grouping import some_rows

NAMES = ["point_transformer_tiny", "patch_pool_tiny"]


def clouds(encoder: PointEncoder) -> Tensor:
    rng = np.random.default_rng(0)
    made = rng.normal(size=(3, encoder.points, 3)).astype(np.float32) / 4
    return torch.from_numpy(np.stack([c[furthest_point_order(c, encoder.points)] for c in made]))


@pytest.mark.parametrize("name", NAMES)
def test_ordered_points_need_no_sampling(name: str) -> None:
    encoder = create_encoder(name).eval()
    assert sum(p.numel() for p in encoder.parameters()) < 1_000_000
    with torch.no_grad():
        ordered = clouds(encoder)
        torch.testing.assert_close(encoder(ordered), encoder.embed_ordered(ordered))
        # The first points are the centres; the order of the others says nothing.
        groups = encoder.config.groups
        rest = torch.randperm(encoder.points - groups) + groups
        shuffled = torch.cat([ordered[:, :groups], ordered[:, rest]], dim=1)
        torch.testing.assert_close(
            encoder.embed_ordered(shuffled), encoder.embed_ordered(ordered), atol=1e-4, rtol=1e-4
        )


@pytest.mark.parametrize("name", [*NAMES, "point_transformer_small"])
def test_patches_are_left_out_in_training_alone(name: str) -> None:
    encoder = create_encoder(name)
    seen = []

    def note(points: Tensor, centres: Tensor) -> Tensor:
        seen.append(centres)
        return patches(points, centres)

    patches = encoder.patches
    encoder.patches = note
    encoder.patch_drop = 0.75
    ordered, groups = clouds(encoder), encoder.config.groups
    encoder.train().embed_ordered(ordered)
    encoder.eval().embed_ordered(ordered)
    some, every = seen
    assert every.shape[1] == groups
    assert some.shape[1] == groups // 4
    for kept, own in zip(some, every, strict=True):
        assert {tuple(c.tolist()) for c in kept} < {tuple(c.tolist()) for c in own}


@pytest.mark.parametrize("name", NAMES)
def test_it_becomes_a_classifier_with_the_same_body(name: str) -> None:
    start, base = create_encoder(name), encoder_spec(name)
    spec = classifier_spec(base, 7)
    classifier = build_encoder(spec).eval()
    assert load_body(classifier, spec, start, base) == {}
    mine, theirs = classifier.state_dict(), start.state_dict()
    assert len(shared := mine.keys() & theirs.keys()) == len(theirs) - 2  # all but the projection
    assert all(torch.equal(mine[key], theirs[key]) for key in shared)
    with torch.no_grad():
        assert classifier.embed_ordered(clouds(classifier)).shape == (3, 7)


def test_other_rows_for_each() -> None:
    values = torch.arange(2 * 64, dtype=torch.float32).reshape(2, 64, 1)
    torch.manual_seed(0)
    some = some_rows(values, 0.25)
    assert some.shape == (2, 16, 1)
    assert all(len(row.unique()) == 16 for row in some)
    assert set(some[0].flatten().tolist()) != {v - 64 for v in some[1].flatten().tolist()}
    assert some_rows(values, 0.001).shape == (2, 1, 1)


def test_all_patches_hear_of_each_other() -> None:
    """Moving points far from a patch changes what it ends as: there is a path between them."""
    encoder = create_encoder("patch_pool_tiny").eval()
    x = torch.randn(1, 8, 168)
    moved = x.clone()
    moved[:, 0] += torch.randn(168)
    with torch.no_grad():
        (one,) = (encoder.get_submodule("rounds")(x)[:, 5],)
        other = encoder.get_submodule("rounds")(moved)[:, 5]
    assert (one - other).abs().max() > 1e-3
