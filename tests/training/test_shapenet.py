"""ShapeNet-55's clouds with their lists, and ShapeNetCore's folders, written here."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from cg3d_runtime.errors import TrainingError
from cg3d_training.cli.main import main
from cg3d_training.data.shapenet import SYNSETS, list_shapenet_core, read_shapenet55
from cg3d_training.data.shards import ShardFolder

PLANE, SCREEN, CHAIR = "02691156", "03211117", "03001627"
FILES = [
    f"{PLANE}-1a04e3eab45ca15dd86060f189eb133.npy",
    f"{SCREEN}-u3b9e-ABC_1.npy",
    f"{CHAIR}-.npy",  # Point-BERT's train.txt has one like this
]
TAXONOMY = [
    {"synsetId": PLANE, "name": "airplane,aeroplane,plane", "children": [], "numInstances": 4045},
    {"synsetId": SCREEN, "name": "display,video display", "children": [], "numInstances": 1093},
    {"synsetId": CHAIR, "name": "chair", "children": ["02738535"], "numInstances": 6778},
]


def write_pack(folder: Path) -> list[np.ndarray]:
    """The pack with CG3D's lists and, in another place, Point-BERT's."""
    clouds = list(np.random.default_rng(0).normal(size=(3, 8192, 3)).astype("f4"))
    for name in ("shapenet_pc", "shapenet_render", "ShapeNet-55"):
        (folder / name).mkdir()
    for file, cloud in zip(FILES, clouds, strict=True):
        np.save(folder / "shapenet_pc" / file, cloud)
    for listing, files in [
        ("shapenet_render/train_img.txt", FILES[:2]),
        ("shapenet_render/test_img.txt", FILES[2:]),
        ("ShapeNet-55/train.txt", FILES[1:]),
        ("ShapeNet-55/test.txt", FILES[:1]),
    ]:
        (folder / listing).write_text("\n".join(files) + "\n")
    return clouds


def test_clouds_of_both_lists(tmp_path: Path) -> None:
    clouds = write_pack(tmp_path)
    (tmp_path / "shapenet_render" / "taxonomy.json").write_text(json.dumps(TAXONOMY))
    train = read_shapenet55(tmp_path, "train")
    assert [o.synset for o in train.objects] == [PLANE, SCREEN]
    assert [o.model for o in train.objects] == ["1a04e3eab45ca15dd86060f189eb133", "u3b9e-ABC_1"]
    assert train.objects[0].names == ("airplane", "aeroplane", "plane")
    assert train.objects[1].names == ("monitor", "display", "video display")  # as CG3D renames it
    np.testing.assert_array_equal(train.points(1), clouds[1])
    for (entry, points), file, cloud in zip(train, FILES, clouds, strict=False):
        assert entry.path.name == file
        np.testing.assert_array_equal(points, cloud)
    assert [o.name for o in read_shapenet55(tmp_path, "test").objects] == ["chair"]
    theirs = read_shapenet55(tmp_path, "train", lists="point-bert")
    assert [o.name for o in theirs.objects] == ["monitor", "chair"]


def test_names_without_a_taxonomy(tmp_path: Path) -> None:
    write_pack(tmp_path)
    assert [o.name for o in read_shapenet55(tmp_path, "train").objects] == ["airplane", "monitor"]
    assert len(SYNSETS) == len(set(SYNSETS.values())) == 55
    assert SYNSETS["04554684"] == "washer"
    assert SYNSETS["02992529"] == "cellular telephone"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("../secret.npy", "line 2: '../secret.npy' is not SYNSET-MODEL.npy"),
        (f"{PLANE}-../../x.npy", "is not SYNSET-MODEL.npy"),
        (f"{PLANE}-0.npy", f"line 2: .*{PLANE}-0.npy is missing"),
        ("99999999-0.npy", "synset 99999999 has no name"),
    ],
)
def test_damaged_lists(tmp_path: Path, line: str, message: str) -> None:
    write_pack(tmp_path)
    np.save(tmp_path / "shapenet_pc" / "99999999-0.npy", np.zeros((9, 3)))
    (tmp_path / "shapenet_render" / "train_img.txt").write_text(f"{FILES[0]}\n{line}\n")
    with pytest.raises(TrainingError, match=message):
        read_shapenet55(tmp_path, "train")


def test_damaged_clouds(tmp_path: Path) -> None:
    clouds = write_pack(tmp_path)
    file = tmp_path / "shapenet_pc" / FILES[0]
    train = read_shapenet55(tmp_path, "train")
    whole = file.read_bytes()
    file.write_bytes(whole[:-100])
    with pytest.raises(TrainingError, match=f"{PLANE}.*truncated"):
        train.points(0)
    for array, message in [
        (clouds[0][:, :2], r"\(8192, 2\)"),
        (np.where(clouds[0] == clouds[0][5, 1], np.nan, clouds[0]), "NaN"),
        (np.array([{"x": 1}], dtype=object), "pickled"),
    ]:
        np.save(file, array, allow_pickle=True)
        with pytest.raises(TrainingError, match=message):
            train.points(0)


def test_missing_parts_of_the_pack(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="shapenet_pc is missing"):
        read_shapenet55(tmp_path, "train")
    write_pack(tmp_path)
    (tmp_path / "shapenet_render" / "test_img.txt").unlink()
    with pytest.raises(TrainingError, match=r"no test_img\.txt, neither itself nor in"):
        read_shapenet55(tmp_path, "test")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[{", "is not ShapeNetCore's list"),
        ('{"a": 1}', "is not ShapeNetCore's list"),
        ('[{"synsetId": "02691156"}]', "'name'"),
        ('[{"synsetId": "02691156", "name": 7}]', "should be texts"),
        ('[{"synsetId": "02691156", "name": " , "}]', "empty name"),
        ("[" * 100_000, "is not ShapeNetCore's list"),
    ],
)
def test_damaged_taxonomy(tmp_path: Path, text: str, message: str) -> None:
    write_pack(tmp_path)
    (tmp_path / "taxonomy.json").write_text(text)
    with pytest.raises(TrainingError, match=message):
        read_shapenet55(tmp_path, "train")


def write_core(folder: Path) -> None:
    for synset, model in [(CHAIR, "b2"), (CHAIR, "a1"), (PLANE, "c3")]:
        models = folder / synset / model / "models"
        models.mkdir(parents=True)
        (models / "model_normalized.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
        (models / "model_normalized.mtl").write_text("newmtl a\n")
    (folder / "taxonomy.json").write_text(json.dumps(TAXONOMY))


def test_core(tmp_path: Path) -> None:
    write_core(tmp_path)
    gone = tmp_path / CHAIR / "b2" / "models" / "model_normalized.obj"
    gone.unlink()
    found = list_shapenet_core(tmp_path)
    assert [(o.synset, o.model, o.name) for o in found.objects] == [
        (PLANE, "c3", "airplane"),
        (CHAIR, "a1", "chair"),
    ]
    assert found.objects[0].path == tmp_path / PLANE / "c3" / "models" / "model_normalized.obj"
    assert found.missing == (gone,)


def test_core_goes_into_shards_by_the_lists_of_cg3d(tmp_path: Path) -> None:
    """`prepare` on the published folders: names are those of the synsets, not of the files."""
    core, pack = tmp_path / "ShapeNetCore.v2", tmp_path / "ShapeNet55"
    core.mkdir()
    pack.mkdir()
    write_core(core)
    write_pack(pack)
    (core / PLANE / "c3" / "models" / "model_normalized.obj").unlink()
    listing = tmp_path / "train_img.txt"
    listing.write_text(f"{CHAIR}-a1.npy\n{PLANE}-c3.npy\n")
    common = ["--points", "64", "--size", "16", "--views", "1", "--workers", "1"]

    def prepared(source: Path, out: str, *more: str) -> dict[str, str]:
        arguments = ["prepare", str(source), "-o", str(tmp_path / out), *common, *more]
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 0, result.output
        samples = ShardFolder(tmp_path / out)
        return {sample.record["source"]: sample.record["name"] for sample in samples}

    mesh = "models/model_normalized.obj"
    everything = prepared(core, "all")
    assert everything == {f"{CHAIR}/{m}/{mesh}": "chair" for m in ("a1", "b2")}
    assert f"{PLANE}/c3" in (tmp_path / "all/broken.jsonl").read_text()
    assert prepared(core, "train", "--names", str(listing)) == {f"{CHAIR}/a1/{mesh}": "chair"}
    assert f"{PLANE}/c3" in (tmp_path / "train/broken.jsonl").read_text()
    train = str(pack / "shapenet_render/train_img.txt")
    assert prepared(pack, "depth", "--renderer", "depth", "--names", train) == {
        f"shapenet_pc/{FILES[0]}": "airplane", f"shapenet_pc/{FILES[1]}": "monitor",
    }  # fmt: skip
    assert len(prepared(pack, "depth-all", "--renderer", "depth")) == 3
    listing.write_text("chair.npy\n")
    refused = CliRunner().invoke(
        main, ["prepare", str(core), "-o", str(tmp_path / "x"), "--names", str(listing)]
    )
    assert "is not SYNSET-MODEL.npy" in refused.output


def test_damaged_core(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no folder named after a synset"):
        list_shapenet_core(tmp_path)
    write_core(tmp_path)
    (tmp_path / SCREEN).mkdir()
    with pytest.raises(TrainingError, match=f"{SCREEN} is empty; unpack {SCREEN}.zip"):
        list_shapenet_core(tmp_path)
    (tmp_path / SCREEN).rename(tmp_path / "12345678")
    with pytest.raises(TrainingError, match="12345678: the synset has no name"):
        list_shapenet_core(tmp_path)
    (tmp_path / "12345678").rmdir()
    for file in tmp_path.glob("*/*/models/*.obj"):
        file.unlink()
    with pytest.raises(TrainingError, match=r"no mesh is there; the first missing is .*obj"):
        list_shapenet_core(tmp_path)
