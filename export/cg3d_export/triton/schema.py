"""Triton's own schema of config.pbtxt, where its client package is installed."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

from cg3d_runtime.errors import BundleError


def model_config_schema() -> ModuleType | None:
    """The module `model_config_pb2` of the package tritonclient, or None where it is missing.

    It is read by its file: the package around it wants gRPC, which a look at a text does not.
    """
    package = importlib.util.find_spec("tritonclient")
    if package is None or not package.submodule_search_locations:
        return None
    file = Path(package.submodule_search_locations[0]) / "grpc" / "model_config_pb2.py"
    spec = importlib.util.spec_from_file_location("cg3d_triton_model_config", file)
    if spec is None or spec.loader is None or not file.is_file():
        return None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception:  # noqa: BLE001 - generated code that does not fit the protobuf here
        return None
    return module


def parse_config(text: str, where: str, schema: ModuleType) -> Any:
    """A config.pbtxt as Triton reads it.

    Raises:
        BundleError: it does not fit the schema.
    """
    from google.protobuf import text_format

    try:
        return text_format.Parse(text, schema.ModelConfig())
    except text_format.ParseError as error:
        raise BundleError(f"{where} does not fit Triton's schema: {error}") from error
