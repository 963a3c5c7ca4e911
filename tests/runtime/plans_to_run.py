"""Plans for the stand-in for TensorRT, and what it makes of clouds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_tensorrt import FakeTensorRT
from made_bundles import make_bundle
from made_plans import plan_bytes, plan_info

from cg3d_runtime.engines.sidecar import PlanInfo
from cg3d_runtime.engines.tensorrt import TensorRTEngine

POINTS = {"dtype": "float32", "shape": [-1, 6, 3], "profile": [[1, 6, 3], [2, 6, 3], [4, 6, 3]]}
EMBEDDING = {"dtype": "float32", "shape": [-1, 3]}


def plan(tensors: dict[str, Any] | None = None, **spec: Any) -> bytes:
    tensors = tensors or {"points": POINTS, "embedding": EMBEDDING}
    return plan_bytes(body=json.dumps({"tensors": tensors, **spec}).encode())


@pytest.fixture
def info(tmp_path: Path) -> PlanInfo:
    return plan_info(make_bundle(tmp_path / "bundle"), device="Fake Orin")


@pytest.fixture
def engine(fake: FakeTensorRT, info: PlanInfo) -> TensorRTEngine:
    return TensorRTEngine(plan(), info)


def clouds(batch: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((batch, 6, 3)).astype(np.float32)


def check(engine: TensorRTEngine, batch: int, seed: int = 0) -> None:
    points = clouds(batch, seed)
    out = engine.run({"points": points})
    assert set(out) == {"embedding"}
    assert out["embedding"].dtype == np.float32
    np.testing.assert_allclose(out["embedding"], 2 * points.mean(axis=1), rtol=1e-6)
