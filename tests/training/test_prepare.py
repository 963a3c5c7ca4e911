"""Meshes to shards: whatever the number of processes, interruptions and broken files."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from small_meshes import write_glb, write_obj, write_ply
from small_tasks import end_on_three

from cg3d_runtime.errors import TrainingError
from cg3d_runtime.points import furthest_point_order
from cg3d_training.cli.main import main
from cg3d_training.data.isolated import run_isolated
from cg3d_training.data.mesh_list import list_meshes, name_of_file
from cg3d_training.data.meshes import load_mesh
from cg3d_training.data.samples import decode_view
from cg3d_training.data.shards import ShardFolder
from cg3d_training.data.triplets import TripletSettings, make_triplet
from cg3d_training.prepare import BROKEN, prepare

SMALL = TripletSettings(points=64, views=2, size=32)


@pytest.fixture(scope="module")
def meshes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven meshes, of which two are broken."""
    folder = tmp_path_factory.mktemp("meshes")
    (folder / "deep").mkdir()
    write_obj(folder, "panel")
    write_glb(folder / "deep" / "RedBox_02.glb", (1.0, 0.0, 0.0))
    for i in range(3):
        write_ply(folder / f"ball_{i}.ply")
    (folder / "damaged.glb").write_bytes(b"glTF" + b"\0" * 40)
    (folder / "nothing.obj").write_text("v 0 0 0\nv 1 0 0\nv 2 0 0\nf 1 2 3\n")
    return folder


@pytest.fixture(scope="module")
def reference(meshes: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("reference") / "out"
    report = prepare(meshes, list_meshes(meshes), out, SMALL, shard_objects=3)
    assert (report.objects, report.written, report.broken, report.shards) == (7, 5, 2, 3)
    assert report.made == 7
    return contents(out)


def contents(out: Path) -> dict[str, bytes]:
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in out.rglob("*") if p.is_file()}


def test_what_is_in_the_shards(meshes: Path, reference: dict[str, bytes], tmp_path: Path) -> None:
    for name, data in reference.items():
        (tmp_path / name).write_bytes(data)
    samples = {s.record["source"]: s for s in ShardFolder(tmp_path)}
    assert list(samples) == [
        "ball_0.ply", "ball_1.ply", "ball_2.ply", "deep/RedBox_02.glb", "panel.obj",
    ]  # fmt: skip
    box = samples["deep/RedBox_02.glb"]
    assert box.record["name"] == "red box"
    assert "red box" in box.record["caption"]
    assert box.record["captions"] == []
    assert box.points.shape == (64, 6)
    assert np.linalg.norm(box.points[:, :3].astype(float), axis=1).max() == pytest.approx(1, 1e-3)
    assert (box.points[:, 3:] == [1, 0, 0]).all()
    ball = samples["ball_1.ply"].points[:, :3].astype(np.float32)
    order = furthest_point_order(ball, 64)
    assert (order == np.arange(64)).mean() > 0.9  # float16 may turn near ties
    assert len(box.views) == 2
    for view in map(decode_view, box.views):
        assert view.shape == (32, 32, 3)
        red = (view[..., 0] > 80) & (view[..., 1] < 80)
        assert 0.1 < red.mean() < 0.8
        assert (view[0, 0] > 240).all()
    panel = samples["panel.obj"]
    back = panel.points[:, :3] * panel.record["radius"] + np.array(panel.record["centroid"])
    assert set(np.round(back[:, 2], 2)) == {0.0, -1.0}
    assert np.abs(back[:, :2]).max() < 1.01
    broken = [json.loads(line) for line in (tmp_path / BROKEN).read_text().splitlines()]
    assert [b["file"] for b in broken] == ["damaged.glb", "nothing.obj"]
    assert "glTF" in broken[0]["reason"]
    assert "without area" in broken[1]["reason"]


def test_views_and_points_draw_from_streams_of_their_own(meshes: Path) -> None:
    item = list_meshes(meshes)[0]
    one, more, other = (
        make_triplet(meshes, item, "a", settings)
        for settings in (
            TripletSettings(64, 1, 32), TripletSettings(64, 3, 32), TripletSettings(64, 1, 32, 2)
        )
    )  # fmt: skip
    np.testing.assert_array_equal(one.points, more.points)
    assert one.views[0] == more.views[0]
    assert one.record == more.record
    assert one.views != other.views
    assert not np.array_equal(one.points, other.points)


def test_more_processes_give_the_same_bytes(
    meshes: Path, reference: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    prepare(meshes, list_meshes(meshes), out, SMALL, shard_objects=3, workers=3)
    assert contents(out) == reference


def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(
    meshes: Path, reference: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = [
        sys.executable, "-c", "from cg3d_training.cli.main import main; main()", "prepare",
        str(meshes), "-o", str(out), "--views", "2", "--points", "64", "--size", "32",
        "--shard-objects", "3", "--workers", "1",
    ]  # fmt: skip
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while run.poll() is None and not list(out.glob("parts/0*")) and not list(out.glob("*.tar")):
        time.sleep(0.005)
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert not (out / "index.jsonl").exists(), "it was done before it could be killed"
    left = prepare(meshes, list_meshes(meshes), out, SMALL, shard_objects=3)
    assert 0 < left.made <= 6
    assert contents(out) == reference


@pytest.mark.parametrize("lost", [["shard-000001.tar", "index.jsonl"], ["index.jsonl"], []])
def test_runs_again_only_what_is_missing(
    meshes: Path, reference: dict[str, bytes], tmp_path: Path, lost: list[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for name, data in reference.items():
        if name not in lost:
            (out / name).write_bytes(data)
    report = prepare(meshes, list_meshes(meshes), out, SMALL, shard_objects=3)
    if not lost:
        assert report.made == 0
    assert report.written == 5
    assert contents(out)["shard-000001.tar"] == reference["shard-000001.tar"]
    assert contents(out)["index.jsonl"] == reference["index.jsonl"]


def test_other_arguments_and_other_folders_are_refused(
    meshes: Path, reference: dict[str, bytes], tmp_path: Path
) -> None:
    items = list_meshes(meshes)
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(TrainingError, match="not empty"):
        prepare(meshes, items, tmp_path, SMALL)
    (tmp_path / "thesis.txt").unlink()
    (tmp_path / "prepare.json").write_bytes(reference["prepare.json"])
    with pytest.raises(TrainingError, match=r"other arguments \(shard_objects\)"):
        prepare(meshes, items, tmp_path, SMALL, shard_objects=4)
    with pytest.raises(TrainingError, match=r"\(objects, list_sha256\)"):
        prepare(meshes, items[1:], tmp_path, SMALL, shard_objects=3)
    (tmp_path / "prepare.json").write_text("[")
    with pytest.raises(TrainingError, match="damaged"):
        prepare(meshes, items, tmp_path, SMALL, shard_objects=3)


def test_lists(meshes: Path, tmp_path: Path) -> None:
    table = tmp_path / "names.csv"
    table.write_text(
        "file,name,caption,license,creator,up,colour\n"
        "panel.obj,solar panel,,CC0,Ann,,blue\n"
        'deep/RedBox_02.glb,,"a red box, closed",,,Z,\n'
    )
    red, panel = list_meshes(meshes, table, "y")
    assert (panel.name, panel.captions, panel.licence, panel.creator, panel.up) == (
        "solar panel", (), "CC0", "Ann", "y",
    )  # fmt: skip
    assert panel.details == {"colour": "blue"}
    assert (red.name, red.captions, red.up) == ("red box", ("a red box, closed",), "z")
    as_json = tmp_path / "names.json"
    as_json.write_text(json.dumps([{"file": "a.obj", "name": "a", "captions": ["b", "c"]}]))
    assert list_meshes(meshes, as_json)[0].captions == ("b", "c")
    for text, message in (
        ("file,name\n../a.obj,a\n", "outside"), ("file,name\n/etc/a.obj,a\n", "outside"),
        ("file,name\na.obj,\n", "needs a file"), ("file,name\na.obj,a\na.obj,a\n", "twice"),
        ("file,name,up\na.obj,a,x\n", "up is 'x'"), ("file,name\n", "no mesh"),
    ):  # fmt: skip
        table.write_text(text)
        with pytest.raises(TrainingError, match=message):
            list_meshes(meshes, table)
    with pytest.raises(TrainingError, match="no mesh"):
        list_meshes(tmp_path)


@pytest.mark.parametrize(
    ("file", "name"),
    [("OfficeChair_02.obj", "office chair"), ("a/b/pot-plant.gltf.glb", "pot plant"),
     ("007.stl", "007"), ("Coffee Mug 3.PLY", "coffee mug")],
)  # fmt: skip
def test_names_of_files(file: str, name: str) -> None:
    assert name_of_file(file) == name


def test_files_that_are_missing_or_linked_away_are_reported(meshes: Path, tmp_path: Path) -> None:
    source = tmp_path / "in"
    shutil.copytree(meshes, source)
    (source / "ball_1.ply").unlink()
    (source / "ball_2.ply").unlink()
    (source / "ball_2.ply").symlink_to(meshes / "ball_2.ply")
    (source / "names.csv").write_text("file,name\nball_0.ply,a\nball_1.ply,b\nball_2.ply,c\n")
    items = list_meshes(source, source / "names.csv")
    report = prepare(source, items, tmp_path / "out", SMALL)
    assert report.written == 1
    assert "cannot be read" in " ".join(report.reasons)
    assert "outside the folder" in " ".join(report.reasons)


def test_command(meshes: Path, tmp_path: Path) -> None:
    arguments = ["prepare", str(meshes), "-o", str(tmp_path / "out"), "--points", "64"]
    arguments += ["--size", "32", "--views", "1", "--workers", "2"]
    sheet = ["--contact-sheet", str(tmp_path / "sheet.png")]
    result = CliRunner().invoke(main, [*arguments, *sheet])
    assert result.exit_code == 0, result.output
    assert "5 of 7 objects in 1 shards" in result.output
    assert "2 left out" in result.output
    assert "a mesh without area (1 faces)" in result.output
    with Image.open(tmp_path / "sheet.png") as picture:
        pixels = np.asarray(picture.convert("RGB"))
    tiles = [pixels[80 * (i // 3) :, 80 * (i % 3) :][:80, :80] for i in range(5)]
    assert all((tile < 200).any() for tile in tiles)
    assert pixels.shape == (160, 240, 3)
    again = CliRunner().invoke(main, [*arguments, "--json"])
    assert json.loads(again.stdout[again.stdout.index("{") :])["made"] == 0


def test_a_process_that_dies_takes_nothing_with_it() -> None:
    taken: list[int] = []

    def tasks() -> Iterator[int]:
        for i in range(20):
            taken.append(i)
            yield i

    results = dict(run_isolated(end_on_three, tasks(), workers=2, died=lambda task: -task))
    assert results == {i: -3 if i == 3 else i * i for i in range(20)}
    assert taken == list(range(20))


def test_real_meshes_have_pictures_and_colours(shared: Path, tmp_path: Path) -> None:
    folder = shared / "data" / "meshes"
    items = list_meshes(folder, folder / "meshes.json")
    assert len(items) == 352
    report = prepare(folder, items[5::70], tmp_path / "out", TripletSettings(256, 1, 64))
    assert report.broken == 0
    for sample in ShardFolder(tmp_path / "out"):
        assert sample.record["licence"]
        assert sample.record["details"]["split"] in ("train", "test")
        assert (decode_view(sample.views[0]) < 230).any(axis=2).mean() > 0.01
        mesh = load_mesh(folder / sample.record["source"])
        low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
        place = sample.points[:, :3] * sample.record["radius"] + sample.record["centroid"]
        slack = 2e-3 * np.linalg.norm(high - low)
        assert ((place > low - slack) & (place < high + slack)).all()
