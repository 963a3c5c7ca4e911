"""What a SceneMap takes as points."""

from __future__ import annotations

import numpy as np
import pytest

from cg3d_runtime.errors import InputError
from cg3d_sdk import Recognizer, SceneMap


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return Recognizer("household-tiny", engine="cpu", threads=1)


def test_organised_clouds_are_the_same_as_rows(recognizer: Recognizer) -> None:
    rows = np.random.default_rng(0).normal(size=(1200, 3))
    maps = [SceneMap(recognizer), SceneMap(recognizer), SceneMap(recognizer)]
    for scene, points in zip(maps, (rows, rows.reshape(30, 40, 3), rows.tolist()), strict=True):
        scene.add(points, np.eye(4))
        assert (scene.frames, scene.voxels) == (1, maps[0].voxels)
    assert maps[0].voxels > 1000


def test_what_is_no_cloud_is_named_as_it_came(recognizer: Recognizer) -> None:
    scene = SceneMap(recognizer)
    with pytest.raises(InputError, match=r"the path 'scan\.pcd'"):
        scene.add("scan.pcd", np.eye(4))
    far = np.random.default_rng(0).normal(size=(900, 3))
    with pytest.raises(InputError, match="its mask would be lost"):
        scene.add(np.ma.masked_greater(far, 2).reshape(30, 30, 3), np.eye(4))
    assert scene.frames == 0
