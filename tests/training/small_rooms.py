"""A room of S3DIS and a scan of ScanNet in their published layouts, for every test."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np

from cg3d_training.data.scannet import NYU40

RNG = np.random.default_rng(0)


def box(low: list[float], high: list[float], n: int) -> np.ndarray:
    """Points on the six faces of a box."""
    points = RNG.uniform(low, high, (n, 3))
    axis = RNG.integers(3, size=n)
    side = RNG.integers(2, size=n)
    points[np.arange(n), axis] = np.array([low, high])[side, axis]
    return points


def furniture() -> dict[str, np.ndarray]:
    """Objects of a room of 4 by 4 metres, by S3DIS' file names."""
    seat = box([0.5, 0.5, 0.42], [0.95, 0.95, 0.47], 900)
    back = box([0.5, 0.5, 0.47], [0.95, 0.54, 0.95], 700)
    legs = [
        box([x, y, 0.02], [x + 0.04, y + 0.04, 0.42], 150) for x in (0.5, 0.91) for y in (0.5, 0.91)
    ]
    return {
        "floor_1": box([0, 0, -0.02], [4, 4, 0], 2500),
        "ceiling_1": box([0, 0, 2.8], [4, 4, 2.82], 2500),
        "wall_1": box([0, -0.02, 0], [4, 0, 2.8], 2000),
        "chair_1": np.concatenate([seat, back, *legs]),
        "table_1": np.concatenate([box([2.2, 2.2, 0.7], [3.6, 3.2, 0.74], 2500),
                                   box([2.8, 2.6, 0.02], [3.0, 2.8, 0.7], 500)]),
        "clutter_1": box([3.5, 0.3, 0.02], [3.7, 0.5, 0.3], 200),
    }  # fmt: skip


def s3dis(root: Path) -> Path:
    """`Area_1/office_1` as it is published: text, three decimals, colours as integers."""
    room = root / "Area_1" / "office_1"
    (room / "Annotations").mkdir(parents=True)
    whole = []
    for name, points in furniture().items():
        lines = [f"{x:.3f} {y:.3f} {z:.3f} {i % 256} 128 7\n" for i, (x, y, z) in enumerate(points)]
        (room / "Annotations" / f"{name}.txt").write_text("".join(lines))
        whole += lines
    (room / "office_1.txt").write_text("".join(whole))
    return root


def ply(path: Path, points: np.ndarray, label: np.ndarray | None) -> None:
    """A mesh as ScanNet writes it: binary, colours with alpha, a triangle, perhaps labels."""
    extra = "property ushort label\n" if label is not None else ""
    header = (
        f"ply\nformat binary_little_endian 1.0\nelement vertex {len(points)}\nproperty float x\n"
        "property float y\nproperty float z\nproperty uchar red\nproperty uchar green\n"
        f"property uchar blue\nproperty uchar alpha\n{extra}element face 1\n"
        "property list uchar int vertex_indices\nend_header\n"
    )
    body = bytearray()
    for i, (x, y, z) in enumerate(points):
        body += struct.pack("<fffBBBB", x, y, z, i % 256, 20, 30, 255)
        if label is not None:
            body += struct.pack("<H", label[i])
    path.write_bytes(header.encode() + body + struct.pack("<Biii", 3, 0, 1, 2))


def scannet(root: Path, objects: bool = True) -> Path:
    """`scans/scene0000_00` as it is published."""
    scan = root / "scans" / "scene0000_00"
    scan.mkdir(parents=True)
    parts = furniture()
    points = np.concatenate([*parts.values()])
    sizes = [len(part) for part in parts.values()]
    words = [name.split("_")[0] for name in parts]
    names = {"clutter": "otherprop"}
    label = np.repeat([NYU40.index(names.get(w, w)) + 1 for w in words], sizes)
    ply(scan / "scene0000_00_vh_clean_2.ply", points, None)
    ply(scan / "scene0000_00_vh_clean_2.labels.ply", points, label)
    if objects:
        # Two segments an object, with numbers that do not follow each other.
        segment = np.repeat(np.arange(len(sizes)) * 10, sizes) + (RNG.random(len(points)) < 0.5)
        segs = {"sceneId": "scene0000_00", "segIndices": segment.tolist()}
        (scan / "scene0000_00_vh_clean_2.0.010000.segs.json").write_text(json.dumps(segs))
        groups = [
            {"id": i, "objectId": i, "segments": [10 * i, 10 * i + 1],
             "label": "Office chair" if word == "chair" else word}
            for i, word in enumerate(words) if word != "clutter"
        ]  # fmt: skip
        (scan / "scene0000_00.aggregation.json").write_text(json.dumps({"segGroups": groups}))
    return root
