"""Depth maps of points: what is near is dark, what is behind is hidden; and clouds to triplets."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from small_meshes import write_ply

from cg3d_runtime.errors import InputError
from cg3d_training.cli.main import main
from cg3d_training.data.samples import decode_view
from cg3d_training.data.shards import ShardFolder
from cg3d_training.render import Camera, ViewSettings
from cg3d_training.render.depth import DISC, depth_view, depth_views


def straight(distance: float = 4.0) -> Camera:
    return Camera(np.array([0, 0, distance]), np.diag([1.0, 1.0, -1.0]))


def test_discs_lie_where_the_camera_has_the_points() -> None:
    """Far to the left, near to the right; sizes by the formula of a circle."""
    size = 250
    points = np.array([[-0.6, 0.5, -1.0], [0.4, -0.5, 1.0]])
    picture = depth_view(points, straight(), size, antialias=2)
    assert picture.shape == (size, size, 3)
    assert (picture[..., 0] == picture[..., 2]).all()
    grey = picture[..., 0].astype(float)
    for (x, y, _), value in zip(straight().project(points, size), (0.8, 0.1), strict=True):
        inside = np.abs(grey - round(255 * value)) < 1
        rows, columns = np.nonzero(inside)
        assert (columns.mean() + 0.5, rows.mean() + 0.5) == pytest.approx((x, y), abs=0.5)
        assert inside.sum() == pytest.approx(np.pi * (DISC * size / 2) ** 2, rel=0.35)
    assert (grey == 255).mean() > 0.99


def test_nearest_points_are_seen_as_by_sorting() -> None:
    """Against painting discs one by one from far to near."""
    rng = np.random.default_rng(0)
    points, size = rng.uniform(-1, 1, (300, 3)), 60
    picture = depth_view(points, straight(), size, antialias=1)[..., 0]
    seen = straight().project(points, size)
    depth, radius = seen[:, 2], DISC * size / 2
    expected = np.ones((size, size))
    grey = 0.1 + 0.7 * (depth - depth.min()) / np.ptp(depth)
    for i in np.argsort(-depth):
        for dy in range(-3, 4):
            for dx in range(-3, 4):
                row, column = int(np.floor(seen[i, 1] + dy)), int(np.floor(seen[i, 0] + dx))
                if dx * dx + dy * dy <= radius**2 and 0 <= row < size and 0 <= column < size:
                    expected[row, column] = grey[i]
    np.testing.assert_allclose(picture, np.round(expected * 255), atol=1)


def test_random_sides_fit_into_the_picture() -> None:
    rng = np.random.default_rng(1)
    points = rng.normal(size=(500, 3)) * [1, 3, 0.2]
    views = depth_views(points, ViewSettings(4, 64), np.random.default_rng(2))
    again = depth_views(points, ViewSettings(2, 64), np.random.default_rng(2))
    assert all((a == b).all() for a, b in zip(views, again, strict=False))
    assert len({view.tobytes() for view in views}) == 4
    for view in views:
        assert (view[[0, -1]] == 255).all()
        assert (view[:, [0, -1]] == 255).all()
        assert 0.02 < (view < 255).mean() < 0.9
    with pytest.raises(InputError, match="one place"):
        depth_views(np.ones((5, 3)), ViewSettings(1, 64), rng)


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """A mesh, clouds of four formats, and one that is broken."""
    folder = tmp_path / "scans"
    folder.mkdir()
    rng = np.random.default_rng(0)
    write_ply(folder / "ball_1.ply")
    cloud = rng.normal(size=(3000, 3)).astype(np.float32) * [1, 2, 1]
    np.savez(folder / "wide chair.npz", points=cloud)
    np.save(folder / "few_points.npy", cloud[:20].astype(np.float32))
    cloud[5] = np.nan
    np.savetxt(folder / "sofa.xyz", cloud)
    lines = "\n".join(" ".join(map(str, row)) for row in cloud[10:100])
    header = "ply\nformat ascii 1.0\nelement vertex 90\nproperty float x\nproperty float y\n"
    (folder / "lamp.ply").write_text(header + "property float z\nend_header\n" + lines)
    (folder / "broken.pcd").write_text("nothing")
    return folder


def test_clouds_are_prepared_as_depth_maps(scans: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["prepare", str(scans), "-o", str(out), "--points", "64", "--size", "32"]
    arguments += ["--views", "2", "--workers", "1", "--json"]
    result = CliRunner().invoke(main, [*arguments, "--renderer", "depth", "--up", "z"])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout[result.stdout.index("{") :])
    assert (report["objects"], report["written"]) == (6, 5)
    samples = {sample.record["name"]: sample for sample in ShardFolder(out)}
    assert set(samples) == {"ball", "wide chair", "few points", "sofa", "lamp"}
    for sample in samples.values():
        assert sample.points.shape == (64, 6)
        assert len(sample.views) == 2
        pixels = decode_view(sample.views[0])
        assert pixels.shape == (32, 32, 3)
        assert (pixels < 200).any()
        assert int(np.ptp(pixels.astype(int), axis=2).max()) <= 2  # grey
    chair = samples["wide chair"]
    assert len(np.unique(chair.points, axis=0)) == 64
    assert len(np.unique(samples["few points"].points, axis=0)) == 20
    back = chair.points[:, :3] * chair.record["radius"] + np.array(chair.record["centroid"])
    with np.load(scans / "wide chair.npz") as archive:
        cloud = archive["points"]
    turned = np.stack([cloud[:, 0], cloud[:, 2], -cloud[:, 1]], axis=1)  # z up to y up
    distance = np.linalg.norm(back[:, None] - turned[None], axis=2).min(axis=1)
    assert distance.max() < 0.02


def test_clouds_without_depth_maps_are_refused(scans: Path, tmp_path: Path) -> None:
    names = tmp_path / "names.csv"
    names.write_text("file,name\nwide chair.npz,chair\n")
    arguments = ["prepare", str(scans), "-o", str(tmp_path / "out"), "--names", str(names)]
    result = CliRunner().invoke(main, [*arguments, "--workers", "1"])
    assert "not one of" in result.output
    assert "depth" in result.output
