"""GL and Blender against our rasteriser: the same cameras, lights, colours and holes."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import numpy as np
import pytest
import trimesh
from click.testing import CliRunner
from small_meshes import QUARTERS, write_obj

from cg3d_runtime.errors import DependencyError, InputError
from cg3d_training.cli.main import main
from cg3d_training.data.samples import decode_view
from cg3d_training.data.shards import ShardFolder
from cg3d_training.render import ColouredMesh, ViewSettings
from cg3d_training.render.backends import CpuRenderer, Renderer, open_renderer
from cg3d_training.render.blender import BlenderRenderer
from cg3d_training.render.mesh import join
from cg3d_training.render.views import View, choose_views

SETTINGS = ViewSettings(views=3, size=64)


def scene() -> ColouredMesh:
    """A ball coloured by corner, and a textured square with a hole, which repeats its picture."""
    ball = trimesh.creation.icosphere(subdivisions=2)
    picture = np.concatenate([QUARTERS, np.full((64, 64, 1), 255, np.uint8)], axis=2)
    picture[10:30, 10:30, 3] = 0
    corners = np.array([[-2, -1.2, -2], [2, -1.2, -2], [2, -1.2, 2], [-2, -1.2, 2]], float)
    faces = np.array([[0, 2, 1], [0, 3, 2]])
    uv = np.array([[-0.5, 0], [1, 0], [1, 1.5], [-0.5, 1.5]], np.float32)
    plain = ColouredMesh.plain(ball.vertices, ball.faces, (ball.vertices + 1) / 2)
    floor = ColouredMesh(
        corners, faces, np.full((2, 3, 3), 0.9, np.float32), uv[faces],
        np.zeros(2, np.int32), (picture,),
    )  # fmt: skip
    return join([plain, floor])


def differences(renderer: Renderer, mesh: ColouredMesh, views: list[View]) -> np.ndarray:
    """(views, size, size) the largest difference of a pixel from the rasteriser's."""
    ours = CpuRenderer().draw(mesh, views, SETTINGS)
    others = renderer.draw(mesh, views, SETTINGS)
    assert [o.shape for o in others] == [(64, 64, 3)] * len(views)
    assert all(o.dtype == np.uint8 for o in others)
    return np.abs(np.array(ours, int) - np.array(others, int)).max(axis=-1)


def test_gl_draws_what_the_rasteriser_draws() -> None:
    try:
        renderer = open_renderer("gl")
    except DependencyError as error:
        pytest.skip(str(error))
    for mesh in (scene(), ColouredMesh.plain(*box(), colours=(0.2, 0.5, 0.9))):
        views = choose_views(mesh, SETTINGS, np.random.default_rng(4))
        for _ in range(2):  # nothing of one object is left for the next
            found = differences(renderer, mesh, views)
            assert found.mean() < 1.0
            assert (found > 24).mean() < 0.01  # pixels at edges


def box() -> tuple[np.ndarray, np.ndarray]:
    mesh = trimesh.creation.box()
    return mesh.vertices * 1e-3 + 5e4, mesh.faces  # small, and far from the origin


def test_gl_without_its_package_or_a_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    open_renderer.cache_clear()
    monkeypatch.setitem(sys.modules, "moderngl", None)
    with pytest.raises(DependencyError, match=r"cg3d-sdk\[gl\]"):
        open_renderer("gl")

    class NoDriver:
        @staticmethod
        def create_context(**_: object) -> None:
            raise Exception("libEGL.so.1 not found")

    monkeypatch.setitem(sys.modules, "moderngl", NoDriver)
    with pytest.raises(DependencyError, match="apt install libegl1"):
        open_renderer("gl")


# Stands in for Blender: it answers a job with the silhouette that the job's camera gives.
_BLENDER = """#!{python}
import json, sys
from pathlib import Path
import numpy as np
from PIL import Image

given = sys.argv[1:]
assert given[:4] == ["--background", "--factory-startup", "--python-exit-code", "3"], given
assert given[4] == "--python" and Path(given[5]).name == "blender_script.py"
assert "import bpy" in Path(given[5]).read_text()
folder = Path(given[given.index("--") + 1])
job = json.loads((folder / "job.json").read_text())
mesh = np.load(folder / "mesh.npz", allow_pickle=False)
assert mesh["colours"].shape == mesh["normals"].shape == (*mesh["faces"].shape, 3)
assert mesh["uv"].shape == (*mesh["faces"].shape, 2)
assert np.linalg.norm(mesh["vertices"], axis=1).max() < 2
assert all(Image.open(folder / f"texture-{{i}}.png").mode for i in range(job["textures"]))
{extra}
for i, view in enumerate(job["views"]):
    assert len(view["directions"]) == len(view["strengths"]) == 3
    seen = (mesh["vertices"] - view["eye"]) @ np.array(view["axes"]).T
    scale = job["size"] / 2 / np.tan(np.radians(view["field_of_view"]) / 2)
    x = job["size"] / 2 + scale * seen[:, 0] / seen[:, 2]
    y = job["size"] / 2 - scale * seen[:, 1] / seen[:, 2]
    canvas = np.zeros((job["size"], job["size"], 4), np.uint8)
    canvas[y.astype(int), x.astype(int)] = (10, 20, 200, 255)
    Image.fromarray(canvas).save(folder / f"view-{{i}}.png")
"""


def fake_blender(folder: Path, extra: str = "") -> str:
    path = folder / "blender"
    path.write_text(_BLENDER.format(python=sys.executable, extra=extra))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_blender_is_asked_for_the_same_views(tmp_path: Path) -> None:
    """The places where the stand-in puts the corners lie on our picture of the object."""
    mesh = scene()
    views = choose_views(mesh, SETTINGS, np.random.default_rng(1))
    pictures = BlenderRenderer(fake_blender(tmp_path)).draw(mesh, views, SETTINGS)
    ours = CpuRenderer().draw(mesh, views, SETTINGS)
    for theirs, own in zip(pictures, ours, strict=True):
        corners = (theirs == (10, 20, 200)).all(axis=2)
        assert corners.sum() > 40
        assert (theirs[~corners] == 255).all()  # put before the background
        assert ((own < 255).any(axis=2)[corners]).mean() > 0.9


def test_what_goes_wrong_in_blender_is_reported(tmp_path: Path) -> None:
    mesh = scene()
    views = choose_views(mesh, SETTINGS, np.random.default_rng(1))[:1]
    for extra, message in (
        ("raise SystemError('out of light')", r"failed \(1\): SystemError: out of light"),
        ("sys.exit(0)", r"ended without view-0.png"),
        ("job['size'] = 32", r"a picture of \(32, 32\)"),
    ):
        with pytest.raises(InputError, match=message):
            BlenderRenderer(fake_blender(tmp_path, extra)).draw(mesh, views, SETTINGS)
    with pytest.raises(DependencyError, match="--blender FILE"):
        open_renderer("blender", str(tmp_path / "none"))


def test_prepare_draws_with_blender(tmp_path: Path) -> None:
    (tmp_path / "meshes").mkdir()
    write_obj(tmp_path / "meshes")
    arguments = ["prepare", str(tmp_path / "meshes"), "--points", "64", "--size", "32"]
    arguments += ["--views", "2", "--workers", "1", "--renderer", "blender"]
    missing = CliRunner().invoke(
        main, [*arguments, "-o", str(tmp_path / "no"), "--blender", "no-such-blender"]
    )
    assert "--blender FILE" in missing.output
    assert not (tmp_path / "no").exists()
    out = tmp_path / "out"
    done = CliRunner().invoke(
        main, [*arguments, "-o", str(out), "--blender", fake_blender(tmp_path)]
    )
    assert done.exit_code == 0, done.output
    (sample,) = ShardFolder(out)
    assert len(sample.views) == 2
    red, blue = decode_view(sample.views[0])[..., ::2].astype(int).transpose(2, 0, 1)
    assert (blue - red).max() > 15  # the stand-in's colour, as far as JPEG keeps a dot
    again = CliRunner().invoke(main, [*arguments[:-2], "-o", str(out)])
    assert "other arguments (renderer)" in again.output


def test_a_real_blender_where_there_is_one() -> None:
    executable = os.environ.get("CG3D_TEST_BLENDER")
    if not executable:
        pytest.skip("CG3D_TEST_BLENDER names no Blender to try")
    mesh = scene()
    views = choose_views(mesh, SETTINGS, np.random.default_rng(4))
    found = differences(BlenderRenderer(executable), mesh, views)
    # It has shadows, light between surfaces and another filter; places and colours are the same.
    assert found.mean() < 12
    assert np.median(found) < 4
