"""Fixtures that every room of the tests may use."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import ModuleType

import pytest

TensorrtHost = Callable[[], AbstractContextManager[ModuleType]]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of data that lies beside the checkout on the project's own machines."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not (folder / "data").is_dir():
        pytest.skip("needs ../shared (household objects, CLIP text vectors, official outputs)")
    return folder


@pytest.fixture(scope="session")
def tensorrt_installer() -> ModuleType:
    """tests/support/tensorrt_host/install.py, as a module."""
    file = Path(__file__).parent / "support" / "tensorrt_host" / "install.py"
    spec = importlib.util.spec_from_file_location("tensorrt_host_install", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def tensorrt_host(tensorrt_installer: ModuleType) -> TensorrtHost:
    """`with tensorrt_host() as trt:` a TensorRT that builds on this CPU; outside it none."""
    if reason := tensorrt_installer.missing():
        pytest.skip(
            f"needs TensorRT ({reason}): python tests/support/tensorrt_host/install.py tries again"
        )
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(tensorrt_installer.target())
        found = importlib.import_module("tensorrt")
        del sys.modules["tensorrt"]

    @contextmanager
    def present() -> Iterator[ModuleType]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(sys.modules, "tensorrt", found)
            yield found

    return present


@pytest.fixture
def tensorrt(tensorrt_host: TensorrtHost) -> Iterator[ModuleType]:
    """The same, for one test."""
    with tensorrt_host() as trt:
        yield trt
