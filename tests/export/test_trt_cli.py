"""`cg3d-export BUNDLE`: on a robot without torch, on a laptop without TensorRT."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import onnxruntime
import pytest
from bundles_with_encoders import POINTS, running_bundle
from click.testing import CliRunner, Result

from cg3d_export.cli.main import main
from cg3d_runtime.bundle import Bundle
from cg3d_runtime.engines.plan import plan_folders, read_plan

#: A process that has no torch, whatever is installed; more is done to it by `first`.
WITHOUT_TORCH = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
{first}
from cg3d_export.cli.main import main
main({arguments})
"""

TRAINING = {"torch", "onnxscript", "open_clip", "safetensors", "timm", "yaml", "cg3d_training"}

A_DEVICE = """
sys.path.insert(0, {target!r})
from cg3d_runtime.engines.cuda import CudaDevice
import cg3d_export.tensorrt.machine, cg3d_export.tensorrt.build
for module in (cg3d_export.tensorrt.machine, cg3d_export.tensorrt.build):
    module.cuda_device = lambda: CudaDevice("Orin", "8.7", 8 << 30, "12.6")
"""


def run_apart(
    *arguments: str, absent: set[str], first: str = "", cache: Path
) -> subprocess.CompletedProcess[str]:
    code = WITHOUT_TORCH.format(absent=absent, first=first, arguments=list(arguments))
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, env={"XDG_CACHE_HOME": str(cache)}, check=False,
    )  # fmt: skip


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return running_bundle(tmp_path / "bundle")


def test_engines_on_a_robot_without_torch(
    bundle: Bundle, tensorrt_host: object, tensorrt_installer: ModuleType, tmp_path: Path
) -> None:
    done = run_apart(
        str(bundle.root), "--trt", "--batch", "1:2:4", "--workspace", "256MiB", "--json",
        absent=TRAINING, first=A_DEVICE.format(target=str(tensorrt_installer.target())),
        cache=tmp_path / "cache",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "building the engine of the bank ..." in done.stderr
    engines = json.loads(done.stdout)["engines"]
    assert [part["part"] for part in engines["parts"]] == ["encoder", "bank"]
    (tag,) = plan_folders(bundle)
    assert engines["folder"] == str(bundle.root / "engines" / tag)
    for part in engines["parts"]:
        assert Path(part["plan"]).stat().st_size == part["bytes"]
        read_plan(bundle, tag, part["part"])
    # And not where there is none.
    gone = run_apart(
        str(bundle.root), "--trt", absent=TRAINING | {"tensorrt"}, cache=tmp_path / "cache"
    )
    assert gone.returncode == 1
    assert gone.stderr.startswith("Error: engines cannot be built here: TensorRT does not import")
    assert "Traceback" not in gone.stderr


def test_a_dry_run_where_nothing_is(bundle: Bundle, tmp_path: Path) -> None:
    absent = TRAINING | {"tensorrt", "onnxruntime"}
    done = run_apart(
        str(bundle.root), "--trt", "--dry-run", "--fuse", absent=absent, cache=tmp_path / "cache"
    )
    assert done.returncode == 0, done.stderr
    assert "TensorRT      not found: TensorRT does not import" in done.stdout
    assert "recognizer: fp32" in done.stdout
    assert list(tmp_path.iterdir()) == [bundle.root]
    assert not (bundle.root / "engines").exists()


def test_a_dry_run_as_json(bundle: Bundle) -> None:
    result = run(bundle.root, "--trt", "--dry-run", "--json", "--batch", "3", "--workspace", "64")
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    assert (record["batch"], record["workspace"]) == ("3:3:3", 64 << 20)
    assert record["parts"][0]["profiles"]["points"]["optimum"] == [3, POINTS, 3]


def test_plain_graphs_for_other_engines(bundle: Bundle, tmp_path: Path) -> None:
    folder = tmp_path / "graphs"
    result = run(bundle.root, "--onnx-only", "-o", folder)
    assert result.exit_code == 0, result.output
    names = {"encoder.onnx", "bank.onnx", "recognizer.onnx", "labels.json"}
    assert {file.name for file in folder.iterdir()} == names
    assert (folder / "encoder.onnx").read_bytes() == bundle.bytes("encoder.onnx")
    session = onnxruntime.InferenceSession(folder / "recognizer.onnx")
    assert [o.name for o in session.get_outputs()][:2] == ["embedding", "scores"]
    again = run(bundle.root, "--onnx-only", "-o", folder)
    assert again.exit_code == 1
    assert "exists and is not empty" in again.stderr


def test_a_triton_repository(bundle: Bundle, tmp_path: Path) -> None:
    result = run(bundle.root, "--triton", tmp_path / "models", "--json")
    assert result.exit_code == 0, result.output
    triton = json.loads(result.stdout)["triton"]
    assert triton["ensemble"] == "small"
    assert (tmp_path / "models" / "small" / "config.pbtxt").is_file()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ([], "is a bundle. Say what to make of it: --trt"),
        (["--batch", "1"], "--batch is about engines: add --trt"),
        (["--dry-run"], "--dry-run is about engines: add --trt"),
        (["--trt", "--batch", "8:1:64"], "three sizes that do not fall"),
        (["--trt", "--workspace", "lots"], "512MiB or 2GiB"),
        (["--trt", "--text", "x"], "--text is for the export of a checkpoint"),
        (["--trt", "--licence", "MIT"], "--licence is for the export of a checkpoint"),
        (["--trt", "-o", "x"], "engines go into the bundle's folder"),
        (["--onnx-only"], "--onnx-only needs -o FOLDER"),
        (["--onnx-only", "-o", "x", "--trt"], "goes without --trt"),
        (["--triton", "x", "--precision", "fp16"], "--precision of a bundle is about engines"),
        (["--triton", "x", "--clouds", "."], "--clouds of a bundle is about engines"),
    ],
)
def test_options_that_do_not_fit(bundle: Bundle, options: list[str], reason: str) -> None:
    result = run(bundle.root, *options)
    assert result.exit_code == 2
    assert reason in result.stderr


@pytest.mark.parametrize("options", [["--trt", "--dry-run"], ["--triton", "x"]])
def test_points_are_fixed_in_a_bundle(bundle: Bundle, options: list[str]) -> None:
    result = run(bundle.root, *options, "--points", "99")
    assert result.exit_code == 1
    assert f"take {POINTS} points, which was fixed when they were exported" in result.stderr


def test_sources_that_are_neither(tmp_path: Path) -> None:
    result = run(tmp_path, "--trt")
    assert result.exit_code == 2
    assert "is a folder without manifest.json" in result.stderr
    assert run(tmp_path / "nothing", "--trt").exit_code == 2


def test_a_damaged_bundle(bundle: Bundle) -> None:
    file = bundle.root / "encoder.onnx"
    file.write_bytes(file.read_bytes()[:-1])
    result = run(bundle.root, "--trt", "--dry-run")
    assert result.exit_code == 1
    assert "changed or cut short" in result.stderr


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ([], "needs -o FOLDER"),
        (["-o", "x"], "needs --text"),
        (["-o", "x", "--text", "y", "--trt", "--dry-run"], "cg3d-export x --trt --dry-run"),
    ],
)
def test_checkpoints_need_their_options(tmp_path: Path, options: list[str], reason: str) -> None:
    (tmp_path / "c.safetensors").write_bytes(b"")
    result = run(tmp_path / "c.safetensors", *options)
    assert result.exit_code == 2
    assert reason in result.stderr
