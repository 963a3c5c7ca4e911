"""Recordings for Rerun: what is in them, by Rerun's own reader; and the line where it is absent."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_scene_page import answer, cloud

from cg3d_runtime.errors import DependencyError, InputError
from cg3d_sdk.recording import write_recording

needs_rerun = pytest.mark.skipif(
    importlib.util.find_spec("rerun") is None,
    reason="needs rerun-sdk, 170 MB: pip install 'cg3d-sdk[rerun]'",
)


def test_without_rerun_one_line_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rerun", None)
    points, _ = cloud()
    with pytest.raises(DependencyError, match=r"pip install 'cg3d-sdk\[rerun\]'"):
        write_recording(tmp_path / "a.rrd", points, [answer(points, "q")])
    assert not list(tmp_path.iterdir())


@needs_rerun
def test_scene_and_answers_are_recorded(tmp_path: Path) -> None:
    points, owner = cloud()
    path = tmp_path / "a.rrd"
    path.write_text("old")
    one = answer(points, "large", np.flatnonzero(owner == 1), np.flatnonzero(owner == 2))
    grey = np.full((len(points), 3), 140, np.uint8)
    write_recording(path, points, [one, answer(points, "none")], colours=grey)
    assert [file.name for file in tmp_path.iterdir()] == ["a.rrd"]
    own = pytest.importorskip("rerun.chunk", reason="Rerun reads recordings from 0.41 on")
    kept: dict[str, dict[str, Any]] = {}
    for chunk in own.RrdReader(path).stream():
        kept.setdefault(str(chunk.entity_path), {}).update(chunk.to_record_batch().to_pydict())
    assert not [name for name in kept if name.startswith("/answers/2")]  # it has no regions
    scene, boxes = kept["/scene"], kept["/answers/1"]
    rows = np.asarray(scene["Points3D:positions"][0])
    np.testing.assert_allclose(rows, points - points.mean(axis=0), atol=1e-4)
    assert len(boxes["Boxes3D:half_sizes"][0]) == len(one.regions)
    box = one.regions[0].oriented_box
    np.testing.assert_allclose(boxes["Boxes3D:half_sizes"][0][0], box.size / 2, atol=1e-5)
    turn = boxes["Boxes3D:quaternions"][0][0]
    np.testing.assert_allclose(turn, [0, 0, np.sin(box.yaw / 2), np.cos(box.yaw / 2)], atol=1e-6)
    assert boxes["Boxes3D:labels"][0][0].startswith("large ")
    with pytest.raises(InputError, match="cannot be written"):
        write_recording(tmp_path / "none" / "a.rrd", points, [one])
