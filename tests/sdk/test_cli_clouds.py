"""What `cg3d classify` and `cg3d query` read beside plain files: recordings, other frames."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from numpy.typing import NDArray
from support.made_bags import write_bag
from support.ros_messages import simple

from cg3d_runtime.errors import InputError
from cg3d_sdk.cli.clouds import Source, read_clouds
from cg3d_sdk.cli.main import main

CLOUD = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    empty: NDArray[np.float32] = np.empty((0, 3), np.float32)
    frames = [simple(CLOUD, stamp=5), simple(empty), simple(CLOUD[:30], stamp=7)]
    return write_bag("mcap", tmp_path_factory.mktemp("bag"), {"/points": frames})


def test_every_cloud_of_a_bag(bag: Path) -> None:
    result = run("classify", bag, "--labels", "chair,mug", "--json")
    assert result.exit_code == 1  # one frame is empty, the others go on
    document = json.loads(result.stdout)
    assert [r["frame"] for r in document["results"]] == [0, 2]
    assert [r["stamp"] for r in document["results"]] == [5, 7]
    assert document["results"][0]["frame_id"] == "camera"
    assert document["errors"] == [{"file": f"{bag}[1]", "error": document["errors"][0]["error"]}]
    assert "empty" in document["errors"][0]["error"]


def test_one_cloud_of_a_bag(bag: Path) -> None:
    result = run("classify", bag, "--labels", "chair,mug", "--frame", 2)
    assert result.exit_code == 0
    assert result.stdout.startswith(f"{bag}[2]")
    result = run("classify", bag, "--frame", 3, "--topic", "/points")
    assert result.exit_code == 1
    assert "holds no cloud with the number 3; it has 3, counted from 0" in result.stderr


def test_query_takes_the_first_cloud_or_another(bag: Path) -> None:
    for options, stamp in (((), 5), (("--frame", 2), 7)):
        document = json.loads(run("query", bag, "chair", "--json", *options).stdout)
        assert document["stamp"] == stamp


def test_topic_and_frame_are_for_bags(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", CLOUD)
    for option in (("--topic", "/points"), ("--frame", "0")):
        result = run("classify", tmp_path / "a.npy", *option)
        assert result.exit_code == 1
        assert "--topic and --frame choose in bags" in result.stderr


def test_axes_then_transform(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", CLOUD)
    (tmp_path / "pose.txt").write_text("1 0 0 10\n0 1 0 20\n0, 0, 1, 30\n0 0 0 1\n")
    source = Source(axes="optical", transform=tmp_path / "pose.txt")
    (cloud,) = read_clouds(tmp_path / "a.npy", source)
    x, y, z = CLOUD.T
    np.testing.assert_allclose(cloud.points, np.stack([z + 10, -x + 20, -y + 30], 1), atol=1e-5)


@pytest.mark.parametrize("text", ["1 2 3", "1 0 0\n0 1", "a b c d\n" * 4, "2 0 0 0\n" * 4, ""])
def test_a_file_that_is_no_matrix(tmp_path: Path, text: str) -> None:
    np.save(tmp_path / "a.npy", CLOUD)
    (tmp_path / "pose.txt").write_text(text)
    with pytest.raises(InputError, match=r"pose\.txt: "):
        next(read_clouds(tmp_path / "a.npy", Source(transform=tmp_path / "pose.txt")))


def test_a_matrix_that_is_not_there_is_told_once(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", CLOUD)
    file = tmp_path / "pose.txt"
    result = run("classify", tmp_path / "a.npy", tmp_path / "a.npy", "--transform", file)
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        f"Error: {file}: cannot be read as a 4x4 matrix (No such file or directory)"
    ]
