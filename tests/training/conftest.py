"""A small vocabulary and a small household set, in the layouts of the real ones; triplets."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

# The fixtures of runs on triplets.
from small_triplets import config, shards, small_model  # noqa: F401

NAMES = {
    "lvis": [
        {"name": "chair", "synonyms": ["chair"], "definition": "a seat for one person"},
        {"name": "table", "synonyms": ["table"]},
        {"name": "ball", "synonyms": ["ball", "orb"]},
        {"name": "pan (for cooking)", "synonyms": ["pan (for cooking)", "cooking pan"]},
        {"name": "pan (metal container)", "synonyms": ["pan (metal container)"]},
        {"name": "coffee table", "synonyms": ["coffee table", "cocktail table"]},
        {"name": "nightstand"},
        {"name": "can", "synonyms": ["can", "tin can"]},
    ],
    "coco": [{"name": "chair"}, {"name": "Cabinet/Shelf"}, {"name": "box"}, {"name": "ladder"}],
}


@pytest.fixture(scope="session")
def clip_text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip-text")
    rng = np.random.default_rng(0)
    common = rng.normal(size=512) * 2
    vectors = {
        name: (common + rng.normal(size=(len(entries), 512))).astype(np.float16)
        for name, entries in NAMES.items()
    }
    (folder / "names.json").write_text(json.dumps(NAMES))
    np.savez(folder / "vectors.npz", **vectors)
    return folder


def _shape(kind: str, rng: np.random.Generator) -> np.ndarray:
    points = rng.uniform(-1, 1, (2048, 3))
    if kind == "ball":
        points /= np.linalg.norm(points, axis=1, keepdims=True)
    elif kind == "table":
        points *= [1, 0.02, 1]
    elif kind == "ladder":
        points *= [0.1, 1, 0.02]
    else:
        face = rng.integers(3, size=2048)
        points[np.arange(2048), face] = np.sign(points[np.arange(2048), face])
    points *= rng.uniform(0.8, 1.0, 3)
    return points / np.linalg.norm(points, axis=1).max()


@pytest.fixture(scope="session")
def household(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("household")
    rng = np.random.default_rng(1)
    clouds, lines = [], []
    for i in range(60):
        kind = ["ball", "table", "ladder", "box"][i % 4]
        clouds.append(np.round((_shape(kind, rng) + 1) / 2 * 65535).astype(np.uint16))
        lines.append({
            "set": "made", "id": f"{kind}{i}", "name": f"{kind} number {i}", "creator": "nobody",
            "license": "Free Art" if i == 8 else "CC0", "split": "test" if i >= 48 else "train",
            "mn40": "table" if kind == "table" else None, "sonn15": None,
        })  # fmt: skip
    np.savez(folder / "points.npz", xyz_u16=np.stack(clouds))
    (folder / "objects.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    return folder
