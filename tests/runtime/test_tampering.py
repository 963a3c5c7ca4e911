"""Random damage to every file of a bundle, plans and sidecars too: noticed before use, and said.

`CG3D_TAMPER_SEED=7 pytest tests/runtime/test_tampering.py` tries other damage.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from fake_tensorrt import FakeTensorRT
from made_bundles import content, make_bundle
from made_plans import make_plan, plan_bytes
from plans_to_run import EMBEDDING, POINTS
from test_engine_onnx_runtime import network

from cg3d_runtime.bundle import Bundle
from cg3d_runtime.engines.choose import open_part
from cg3d_runtime.engines.plan import PARTS, plan_folders, plan_parts, read_plan
from cg3d_runtime.errors import BundleError, Cg3dError

CHANGES = 200
SEED = int(os.environ.get("CG3D_TAMPER_SEED", "0"))
PLAN = plan_bytes(body=json.dumps({"tensors": {"points": POINTS, "embedding": EMBEDDING}}).encode())


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    made = make_bundle(tmp_path / "bundle", {**content(), "encoder.onnx": network()})
    for part in PARTS:
        make_plan(made, part, plan=PLAN, device="Fake Orin")
    make_plan(made, plan=PLAN, precision="fp32", device="Fake Orin")
    return made


def use_everything(root: Path) -> None:
    bundle = Bundle.open(root)
    bundle.verify()
    for tag in plan_folders(bundle):
        for part in plan_parts(bundle, tag):
            read_plan(bundle, tag, part)


def damage(data: bytes, rng: np.random.Generator) -> tuple[str, bytes]:
    kind = str(rng.choice(["flip", "flip", "flips", "truncate", "append", "swap"]))
    changed = bytearray(data)
    places = rng.integers(0, len(data), {"flip": 1, "flips": 5}.get(kind, 2))
    if kind in ("flip", "flips"):
        for place in set(places.tolist()):
            changed[place] ^= int(rng.integers(1, 256))
    elif kind == "truncate":
        del changed[places[0] :]
    elif kind == "append":
        changed += rng.bytes(int(rng.integers(1, 40)))
    else:
        start, stop = sorted(places.tolist())
        changed[start : stop + 1] = reversed(changed[start : stop + 1])
    return kind, bytes(changed)


def test_all_damage_is_noticed(bundle: Bundle) -> None:
    use_everything(bundle.root)  # sound before
    rng = np.random.default_rng(SEED)
    files = sorted(path for path in bundle.root.rglob("*") if path.is_file())
    assert len(files) == 8 + 2 * 5
    tried: Counter[str] = Counter()
    while tried.total() < CHANGES:
        file = files[tried.total() % len(files)]
        sound = file.read_bytes()
        kind, changed = damage(sound, rng)
        if changed == sound:
            continue
        file.write_bytes(changed)
        with pytest.raises(BundleError) as caught:
            use_everything(bundle.root)
        assert file.name in str(caught.value), (kind, file)
        assert "again" in str(caught.value) or "not of a bundle" in str(caught.value)
        file.write_bytes(sound)
        tried[kind] += 1
    assert min(tried.values()) > 10
    use_everything(bundle.root)  # sound again


def test_no_damaged_plan_reaches_tensorrt(bundle: Bundle, fake: FakeTensorRT) -> None:
    rng = np.random.default_rng(SEED + 1)
    files = [path for path in bundle.root.glob("engines/*/encoder.plan*") if "fp16" in str(path)]
    assert len(files) == 2
    (bundle.root / "engines" / "sm87-trt10.3.0-fp32").rename(bundle.root / "spare")
    for number in range(40):
        file = files[number % 2]
        sound = file.read_bytes()
        _, changed = damage(sound, rng)
        file.write_bytes(changed)
        if changed != sound:
            with pytest.raises(Cg3dError, match=file.name):
                open_part(bundle, "encoder", "tensorrt")
            assert "(CPU)" in open_part(bundle, "encoder", "auto", 1).engine.name
        file.write_bytes(sound)
    assert fake.calls == []
    assert "tensorrt" in open_part(bundle, "encoder").engine.name
    assert fake.calls[0] == "deserialize"


@pytest.mark.parametrize("name", ["encoder.plan", "encoder.plan.json"])
def test_what_stands_in_a_files_place(bundle: Bundle, name: str, tmp_path: Path) -> None:
    """Other things than files: none is opened, followed out of the bundle, or waited for."""
    place = bundle.root / "engines" / "sm87-trt10.3.0-fp16" / name
    sound = place.read_bytes()
    place.unlink()
    (tmp_path / "outside").write_bytes(sound)
    for make, message in (
        (lambda: place.mkdir(), "is not a plain file|cannot be read"),
        (lambda: os.mkfifo(place), "is not a plain file"),
        (lambda: place.symlink_to(tmp_path / "outside"), "leaves the bundle"),
        (lambda: place.symlink_to(place), "cannot be reached"),
        (lambda: None, "is missing"),
    ):
        make()
        with pytest.raises(BundleError, match=message):
            use_everything(bundle.root)
        if place.is_dir():
            place.rmdir()
        else:
            place.unlink(missing_ok=True)


def test_a_folder_of_plans_that_is_elsewhere(bundle: Bundle, tmp_path: Path) -> None:
    folder = bundle.root / "engines" / "sm87-trt10.3.0-fp16"
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BundleError, match="leaves the bundle"):
        use_everything(bundle.root)
