"""ModelNet and ScanObjectNN in their published layouts, a few clouds each, for every test."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from cg3d_training.data.modelnet import CLASSES_10, CLASSES_40

# A tetrahedron with its right angle at the origin, 1 x 2 x 5, z up.
TETRAHEDRON = "4 4 6\n0 0 0\n1 0 0\n0 2 0\n0 0 5\n3 0 2 1\n3 0 1 3\n3 0 3 2\n3 1 2 3\n"


def write_off(folder: Path, classes: tuple[str, ...] = CLASSES_10) -> None:
    """Every second file has the header of the broken files, which lacks its line end."""
    for name in classes:
        for split, count in (("train", 2), ("test", 1)):
            (folder / name / split).mkdir(parents=True)
            for i in range(1, count + 1):
                file = folder / name / split / f"{name}_{i:04}.off"
                file.write_text(("OFF" if i % 2 else "OFF\n") + TETRAHEDRON)


def text_cloud(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (10_000, 6)).round(6)


def write_text(folder: Path) -> None:
    """One object a class and split; all but one are the same points, as writing them is slow."""
    text = "".join(",".join(f"{x:.6f}" for x in row) + "\n" for row in text_cloud(0))
    (folder / "modelnet10_shape_names.txt").write_text("\n".join(CLASSES_10) + "\n")
    for split, number in (("train", 1), ("test", 107)):
        names = [f"{name}_{number:04}" for name in CLASSES_10]
        (folder / f"modelnet10_{split}.txt").write_text("\n".join(names))
        for name, entry in zip(CLASSES_10, names, strict=True):
            (folder / name).mkdir(exist_ok=True)
            (folder / name / f"{entry}.txt").write_text(text)
    np.savetxt(
        folder / "night_stand" / "night_stand_0107.txt", text_cloud(1), fmt="%.6f", delimiter=","
    )


def write_h5(file: Path, data: np.ndarray, label: np.ndarray) -> None:
    with h5py.File(file, "w") as out:
        out.create_dataset("data", data=data, compression="gzip")
        out.create_dataset("label", data=label, compression="gzip")
        out["normal"] = np.zeros_like(data)


def write_hdf5(folder: Path, points: int = 16) -> dict[str, np.ndarray]:
    """Two files for training, one for testing, every class in each split."""
    rng = np.random.default_rng(0)
    (folder / "shape_names.txt").write_text("\n".join(CLASSES_40) + "\n")
    everything = {}
    for split, files in (("train", 2), ("test", 1)):
        lines = [f"data/modelnet40_ply_hdf5_2048/ply_data_{split}{i}.h5" for i in range(files)]
        (folder / f"{split}_files.txt").write_text("\n".join(lines) + "\n")
        data = rng.normal(size=(80, points, 3)).astype("f4")
        label = rng.permutation(np.repeat(np.arange(40), 2)).astype("u1")[:, None]
        for i, rows in enumerate(np.array_split(np.arange(80), files)):
            write_h5(folder / f"ply_data_{split}{i}.h5", data[rows], label[rows])
        everything[f"{split}_data"], everything[f"{split}_label"] = data, label[:, 0]
    return everything


FILES = {
    "scanobjectnn": "main_split/{}_objectdataset_augmentedrot_scale75.h5",
    "scanobjectnn_obj_bg": "main_split/{}_objectdataset.h5",
    "scanobjectnn_obj_only": "main_split_nobg/{}_objectdataset.h5",
}


def write_scans(file: Path, data: np.ndarray, label: np.ndarray) -> None:
    file.parent.mkdir(exist_ok=True)
    with h5py.File(file, "w") as out:
        out["data"], out["label"] = data, label
        out["mask"] = np.zeros(data.shape[:2], "i4")


def write_variants(folder: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(0)
    written = {}
    for file in FILES.values():
        for split in ("training", "test"):
            data = rng.normal(size=(20, 2048, 3)).astype("f4")
            label = rng.permutation(np.arange(20) % 15).astype("i4")
            write_scans(folder / file.format(split), data, label)
            written[file.format(split)] = data, label
    return written
