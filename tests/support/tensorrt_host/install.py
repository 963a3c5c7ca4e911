"""Makes `import tensorrt` work on a machine without a GPU, for the tests that build engines.

    python tests/support/tensorrt_host/install.py

TensorRT's Python bindings are a package of their own; the libraries that they need come with the
TensorRT SDK only. TensorRT-RTX is built from the same code, comes as a package too, and parses ONNX
and builds engines on a CPU. So the two packages are put into a folder beside the interpreter (never
into the environment itself), and `shim.c` is linked to TensorRT-RTX under the names that the
bindings look for. Building is real; loading an engine needs a GPU. Some 310 MB.

Without network, pip, gcc or a wheel for this machine it says so and still succeeds: the tests skip.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent

#: Both of one code base: the bindings call what the other's libraries have. Move them together.
PACKAGES = (
    "tensorrt-cu13-bindings==11.4.0.106",
    "onnxruntime-ep-nv-tensorrt-rtx-cu13==0.5.0",
)

#: The name that the bindings look for -> the library of TensorRT-RTX that has its entry points.
LIBRARIES = {
    "libnvinfer.so.11": "libtensorrt_rtx.so.1",
    "libnvinfer_plugin.so.11": "libtensorrt_rtx.so.1",
    "libnvonnxparser.so.11": "libtensorrt_onnxparser_rtx.so.1",
}

#: Parts of the package that only ONNX Runtime uses: 75 MB.
SPARE = ("libonnxruntime_providers_nv_tensorrt_rtx.so", "libtensorrt_plugins.so")

FRONT = '''"""TensorRT's bindings on TensorRT-RTX's libraries; by tests/support/tensorrt_host."""

from tensorrt_bindings import *  # noqa: F403
from tensorrt_bindings import __version__
'''

CHECK = "import tensorrt as t; assert t.Builder(t.Logger(t.Logger.ERROR)); print(t.__version__)"


def target() -> Path:
    """The folder for this interpreter and these packages and this shim."""
    return Path(sys.prefix) / "share" / "cg3d-sdk-tests" / "tensorrt-host"


def stamp() -> str:
    """What must be in the folder's stamp for it to be of use."""
    versions = (*PACKAGES, f"{sys.version_info[0]}.{sys.version_info[1]}")
    return "\n".join((*versions, Path(__file__).read_text(), (HERE / "shim.c").read_text()))


def missing() -> str:
    """Why TensorRT is not here, or nothing if it is."""
    file = target() / "stamp"
    if file.is_file() and file.read_text() == stamp():
        return ""
    reason = target().with_name("tensorrt-host.failed")
    return reason.read_text() if reason.is_file() else "it was not installed"


def install(folder: Path) -> None:
    """Fill a new folder.

    Raises:
        OSError, subprocess.CalledProcessError: a step failed.
    """
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run([*pip, "--no-deps", "--only-binary", ":all:", "--target", str(folder), *PACKAGES])
    rtx = folder / "onnxruntime_ep_nv_tensorrt_rtx"
    for name in SPARE:
        (rtx / name).unlink()
    for name in set(LIBRARIES.values()):
        whole = next(rtx.glob(f"{name}.*"))
        (rtx / name).symlink_to(whole.name)
    for name, real in LIBRARIES.items():
        _run(
            [
                "gcc", "-shared", "-fPIC", "-Wall", "-Wextra", str(HERE / "shim.c"),
                "-o", str(folder / "tensorrt_bindings" / name), f"-Wl,-soname,{name}",
                # Needed though the shim itself calls nothing of it: the bindings do.
                "-Wl,--no-as-needed", str(rtx / real),
                f"-Wl,-rpath,$ORIGIN/../{rtx.name}",
            ]
        )  # fmt: skip
    (folder / "tensorrt").mkdir()
    (folder / "tensorrt" / "__init__.py").write_text(FRONT)
    _run([sys.executable, "-c", f"import sys; sys.path.insert(0, {str(folder)!r}); {CHECK}"])


def main() -> None:
    if not missing():
        return
    final = target()
    failed = final.with_name("tensorrt-host.failed")
    fresh = final.with_name("tensorrt-host.new")
    try:
        for old in (fresh, final):
            shutil.rmtree(old, ignore_errors=True)
        fresh.mkdir(parents=True)
        install(fresh)
        (fresh / "stamp").write_text(stamp())
        fresh.rename(final)
        failed.unlink(missing_ok=True)
        print(f"TensorRT for the tests lies in {final}")  # noqa: T201
    except (OSError, StopIteration, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", "") or str(error)
        line = (reason.strip().splitlines() or [type(error).__name__])[-1]
        shutil.rmtree(fresh, ignore_errors=True)
        print(f"TensorRT for the tests could not be installed: {line}")  # noqa: T201
        print("The tests that build engines will skip.")  # noqa: T201
        failed.parent.mkdir(parents=True, exist_ok=True)
        failed.write_text(line)


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)


if __name__ == "__main__":
    main()
