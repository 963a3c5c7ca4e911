"""The TensorRT engine's calls against the real package, where it can be had; no GPU."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_bundles import content, make_bundle
from made_plans import make_plan
from plans_to_run import POINTS
from test_engine_onnx_runtime import network as onnx_network

from cg3d_runtime.engines.machine import plan_header
from cg3d_runtime.engines.tensorrt_messages import messages_of


@pytest.fixture(scope="module")
def real_plan(tensorrt_host: Any) -> bytes:
    """A plan by the real API, for a device that is not here."""
    with tensorrt_host() as trt:
        builder = trt.Builder(messages_of(trt).logger)
        network = builder.create_network(0)
        parser = trt.OnnxParser(network, messages_of(trt).logger)
        assert parser.parse(onnx_network())
        config, profile = builder.create_builder_config(), builder.create_optimization_profile()
        profile.set_shape("points", *POINTS["profile"])
        config.add_optimization_profile(profile)
        return bytes(builder.build_serialized_network(network, config))


def test_a_real_plan_is_told_by_its_header(real_plan: bytes) -> None:
    assert plan_header(real_plan).magic in ("vtrt", "ftrt")
    assert int.from_bytes(real_plan[16:24], "little") == len(real_plan)


@pytest.mark.parametrize("choice", ["auto", "tensorrt"])
def test_a_real_plan_without_a_driver_ends_no_process(
    real_plan: bytes, tmp_path: Path, tensorrt_installer: Any, choice: str
) -> None:
    """Even making a `tensorrt.Runtime` would: so this is another process, with the real package."""
    bundle = make_bundle(tmp_path / "b", {**content(), "encoder.onnx": onnx_network()})
    make_plan(bundle, plan=real_plan, tensorrt=plan_header(real_plan).version)
    code = (
        f"import sys; sys.path.insert(0, {str(tensorrt_installer.target())!r});"
        "from cg3d_runtime.engines import cuda; cuda.LIBRARY = 'libcuda-none.so';"
        "from cg3d_runtime.bundle import Bundle; from cg3d_runtime.engines.choose import *;"
        f"opened = open_part(Bundle.open({str(bundle.root)!r}), 'encoder', {choice!r}, 1);"
        "print(opened.engine.name, *opened.refusals)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    said = done.stdout if choice == "auto" else done.stderr
    assert "the bundle's plans need an NVIDIA driver" in said
    assert done.returncode == (0 if choice == "auto" else 1)


def test_the_api_that_is_called_exists(tensorrt_host: Any) -> None:
    """Against the real bindings; needs no GPU."""
    with tensorrt_host() as trt:
        for owner, names in {
            trt.Runtime: "deserialize_cuda_engine engine_host_code_allowed",
            trt.ICudaEngine: "num_io_tensors get_tensor_name get_tensor_mode get_tensor_dtype "
            "get_tensor_profile_shape create_execution_context device_memory_size_v2",
            trt.IExecutionContext: "set_input_shape get_tensor_shape set_tensor_address "
            "execute_async_v3 set_device_memory",
        }.items():
            assert [name for name in names.split() if not hasattr(owner, name)] == []
        assert hasattr(trt.ExecutionContextAllocationStrategy, "USER_MANAGED")
        assert hasattr(trt.TensorIOMode, "INPUT")
        assert trt.nptype(trt.float32) is np.float32
        with pytest.raises(TypeError):
            trt.nptype(trt.bfloat16)


def test_what_tensorrt_says_is_kept(tensorrt_host: Any) -> None:
    with tensorrt_host() as trt:
        messages = messages_of(trt)
        messages.clear()
        network = trt.Builder(messages.logger).create_network(0)
        assert not trt.OnnxParser(network, messages.logger).parse(b"no graph")
    assert "Failed to parse the ONNX model" in messages.summary()
    messages.clear()
    assert messages.summary() == "it gave no reason"
