"""The verbs with the bundle that ships: real files in, real answers out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import trimesh
from click.testing import CliRunner

from cg3d_runtime.files import read_points
from cg3d_sdk import Recognizer
from cg3d_sdk.cli.demo import sample_files
from cg3d_sdk.cli.main import main

SAMPLES = {path.stem: path for path in sample_files()}


def classified(*arguments: object) -> list[dict[str, object]]:
    result = CliRunner().invoke(main, ["classify", "--json", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    found: list[dict[str, object]] = json.loads(result.stdout)["results"]
    return found


def test_samples_are_named() -> None:
    names = ["bed", "bottle", "chair", "lamp", "sofa"]
    answers = classified(*(SAMPLES[name] for name in names))
    assert [answer["label"] for answer in answers] == names


def test_the_command_gives_the_recognizers_answer() -> None:
    (answer,) = classified(SAMPLES["chair"], "--top", 7, "--engine", "cpu")
    expected = Recognizer(engine="cpu").classify(read_points(SAMPLES["chair"]).points).to_dict(7)
    assert [r["label"] for r in answer["ranking"]] == [  # type: ignore[attr-defined]
        r["label"] for r in expected["ranking"]
    ]
    np.testing.assert_allclose(answer["score"], expected["score"], rtol=1e-3)


def test_labels_narrow_the_choice() -> None:
    (answer,) = classified(SAMPLES["chair"], "--labels", "Bottle,armchair,tree")
    assert answer["label"] == "armchair"
    assert len(answer["ranking"]) == 3  # type: ignore[arg-type]


def test_an_unknown_label_is_one_line_with_a_suggestion() -> None:
    result = CliRunner().invoke(main, ["classify", str(SAMPLES["chair"]), "--labels", "chiar"])
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert "chair" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_every_format_of_one_cloud_has_one_answer(tmp_path: Path) -> None:
    points = read_points(SAMPLES["chair"]).points
    np.save(tmp_path / "a.npy", points)
    np.savetxt(tmp_path / "a.xyz", points, fmt="%.9g")
    trimesh.PointCloud(points).export(tmp_path / "a.ply")
    header = (
        "VERSION .7\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\n"
        f"WIDTH {len(points)}\nHEIGHT 1\nPOINTS {len(points)}\nDATA binary\n"
    )
    (tmp_path / "a.pcd").write_bytes(header.encode() + points.astype("<f4").tobytes())
    answers = classified(*sorted(tmp_path.iterdir()))
    assert len(answers) == 4
    assert {answer["label"] for answer in answers} == {"chair"}
    scores = [float(answer["score"]) for answer in answers]  # type: ignore[arg-type]
    assert np.ptp(scores) < 0.01


def test_a_mesh_with_y_up(shared: Path) -> None:
    path = shared / "data" / "meshes" / "sweethome3d" / "aef5eda6a2" / "kitchenChair.obj"
    (answer,) = classified(path, "--up", "y")
    assert answer["label"] == "chair"
    assert answer["faces"] == 3900


def test_real_scans_are_answered(shared: Path) -> None:
    scans = sorted((shared / "data" / "scans" / "pcl").glob("*.pcd"))
    answers = classified(*scans)
    assert len(answers) == 5
    assert sum(int(answer["dropped"]) for answer in answers) > 200_000  # type: ignore[call-overload]


def test_the_demo_from_end_to_end(tmp_path: Path) -> None:
    page = tmp_path / "demo.html"
    result = CliRunner().invoke(main, ["demo", "-o", str(page)])
    assert result.exit_code == 0
    assert len(result.output.splitlines()) == len(SAMPLES) + 2
    text = page.read_text(encoding="utf-8")
    assert text.count("<canvas") == len(SAMPLES)
    assert text.count("card hit") >= 5
    assert len(text) < 1_000_000


def test_info_of_the_shipped_bundle() -> None:
    result = CliRunner().invoke(main, ["info"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert "every hash right" in result.output
    assert "training, licences" in result.output
    assert "\n  ModelNet40 names  " in result.output
