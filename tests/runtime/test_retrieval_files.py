"""An index on the disk: what comes back, what is refused, what a kill leaves."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from support.dying import die_at

from cg3d_runtime.bundle.fields import sealed
from cg3d_runtime.bundle.manifest import file_info
from cg3d_runtime.errors import InputError
from cg3d_runtime.retrieval import ExactIndex, Origin
from cg3d_runtime.retrieval.files import INDEX

ORIGIN = Origin("test bundle", "ab" * 32)


def generation(k: int, n: int = 50) -> ExactIndex:
    """An index whose every vector, id and entry tells that it is the k-th."""
    index = ExactIndex(8, ORIGIN)
    vectors = np.random.default_rng(k).normal(size=(n, 8))
    index.add([f"{k}/{i}" for i in range(n)], vectors, [{"generation": k}] * n)
    return index


def whole(folder: Path) -> int:
    """Which generation lies there; an error if it is not whole."""
    index = ExactIndex.open(folder)
    k = int(index.ids[0].split("/")[0])
    expected = generation(k, len(index))
    assert index.ids == expected.ids
    np.testing.assert_array_equal(index.vectors(index.ids), expected.vectors(index.ids))
    hits = index.search(expected.vectors(index.ids[:1]), len(index))[0]
    assert {h.metadata["generation"] for h in hits} == {k}
    return k


def test_what_is_saved_comes_back_and_may_be_changed(tmp_path: Path) -> None:
    generation(3).save(tmp_path / "index")
    assert whole(tmp_path / "index") == 3
    loaded = ExactIndex.open(tmp_path / "index")
    assert loaded.origin == ORIGIN
    assert not loaded._vectors.flags.writeable  # mapped, not read
    loaded.add(["new"], np.ones((1, 8)))
    loaded.remove(["3/0"])
    loaded.save(tmp_path / "index")  # over the files that it is mapped from
    again = ExactIndex.open(tmp_path / "index")
    assert sorted(again.ids) == sorted(loaded.ids)
    assert again.search(np.eye(8), 60) == loaded.search(np.eye(8), 60)
    assert len(list((tmp_path / "index").glob("*.npy"))) == 1


def test_the_files_are_plain(tmp_path: Path) -> None:
    index = ExactIndex(3, ORIGIN)
    index.add(["stühle/1.glb"], [[0, 0, 2]], [{"kind": "Stuhl", "n": 1}])
    index.save(tmp_path / "i")
    contents = json.loads((tmp_path / "i" / INDEX).read_text())
    assert (contents["shapes"], contents["dim"]) == (1, 3)
    vectors = np.load(next((tmp_path / "i").glob("*.npy")), allow_pickle=False)
    np.testing.assert_array_equal(vectors, [[0, 0, 1]])
    line = next((tmp_path / "i").glob("*.jsonl")).read_text(encoding="utf-8")
    assert json.loads(line) == {"id": "stühle/1.glb", "metadata": {"kind": "Stuhl", "n": 1}}


def test_an_empty_index_is_one_too(tmp_path: Path) -> None:
    ExactIndex(8, ORIGIN).save(tmp_path / "index")
    assert ExactIndex.open(tmp_path / "index").search(np.eye(8), 3) == [()] * 8


def test_any_byte_that_changed_is_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    generation(1).save(folder)
    draw = random.Random(0)
    for file in sorted(folder.glob("[isv]*")):
        data = file.read_bytes()
        for _ in range(25):
            damaged = bytearray(data)
            damaged[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
            file.write_bytes(damaged)
            with pytest.raises(InputError, match=r"damaged|format is"):
                ExactIndex.open(folder)
        for damaged in (data[:-1], b"", data + b"\n"):
            file.write_bytes(damaged)
            with pytest.raises(InputError, match="damaged"):
                ExactIndex.open(folder)
        file.unlink()
        with pytest.raises(InputError, match=r"cannot be read|so it is not an index"):
            ExactIndex.open(folder)
        file.write_bytes(data)
    assert whole(folder) == 1


ROW = {"id": "a", "metadata": {}}


@pytest.mark.parametrize(
    ("vectors", "lines", "changes", "words"),
    [
        (np.eye(2), [ROW, ROW], {}, "id of its own"),
        (np.eye(2), [ROW], {}, "should have 2 lines"),
        (np.eye(1), [ROW, ROW], {}, "should have 1 lines"),
        (np.eye(1), [{"id": "a"}], {}, "not of an id"),
        (np.eye(1), [{"id": "", "metadata": {}}], {}, "1 to 4096 characters"),
        (np.eye(1), [{"id": "a", "metadata": [1]}], {}, "no object"),
        (np.full((1, 1), np.nan), [ROW], {}, "unit length"),
        (np.zeros((1, 1)), [ROW], {}, "unit length"),
        (np.eye(1), [ROW], {"dim": 5}, "it holds float32"),
        (np.eye(1), [ROW], {"shapes": 10**12}, "it holds float32"),
        (np.eye(1), [ROW], {"version": "../" * 10 + "0" * 32}, "other files"),
        (np.eye(1), [ROW], {"dim": "x"}, "should be a whole number"),
        (np.eye(1), [ROW], {"extra": 1}, "unknown field"),
        (np.eye(1), [ROW], {"format": 2}, "reads format 1"),
    ],
)
def test_a_hostile_index_with_right_hashes_is_refused(
    tmp_path: Path, vectors: np.ndarray, lines: list[object], changes: dict[str, object], words: str
) -> None:
    version = "0" * 32
    np.save(tmp_path / f"vectors-{version}.npy", vectors.astype(np.float32))
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / f"shapes-{version}.jsonl").write_text(text)
    contents = {
        "format": 1,
        "shapes": len(vectors),
        "dim": vectors.shape[1],
        "origin": {"bundle": "b", "digest": "0" * 64},
        "version": version,
        "files": {f.name: asdict(file_info(f.read_bytes())) for f in tmp_path.iterdir()},
    }
    (tmp_path / INDEX).write_bytes(sealed(contents | changes))
    with pytest.raises(InputError, match=words):
        ExactIndex.open(tmp_path)


def test_a_link_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    generation(1).save(folder)
    file = next(folder.glob("*.npy"))
    file.rename(tmp_path / "elsewhere.npy")
    file.symlink_to(tmp_path / "elsewhere.npy")
    with pytest.raises(InputError, match="cannot be read"):
        ExactIndex.open(folder)


def test_other_peoples_folders_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("ten years")
    with pytest.raises(InputError, match=r"thesis\.tex"):
        generation(1).save(tmp_path)
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / INDEX).write_text("{}")
    with pytest.raises(InputError, match="may be replaced"):
        generation(1).save(tmp_path / "site")
    assert sorted(p.name for p in tmp_path.rglob("*")) == [INDEX, "site", "thesis.tex"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_kill_at_every_step_of_a_save_leaves_the_old_index_or_the_new_one(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    generation(0).save(folder)
    seen: list[int] = []
    for step in range(200):
        child = os.fork()
        if child == 0:
            die_at(step)
            generation(step + 1).save(folder)
            os._exit(0)
        finished = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        seen.append(whole(folder))
        assert seen[-1] in ({step + 1} if finished else {seen[-2] if step else 0, step + 1})
        if finished:
            break
    assert finished
    assert step > 8  # files opened, replaced, listed, removed
    assert step in seen  # killed after the new one was in place
    assert seen[0] == 0
    assert len(list(folder.glob("*.npy"))) == 1, "what dead saves left is removed"


_SAVER = """
import sys
sys.path[:0] = {paths!r}
from pathlib import Path
from test_retrieval_files import generation
folder = Path(sys.argv[1])
made = [generation(k, 4000) for k in range(1, 4)]
print("ready", flush=True)
while True:
    for index in made:
        index.save(folder)
"""


def test_a_kill_at_a_random_moment_leaves_a_whole_index(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    generation(0, 4000).save(folder)
    here = Path(__file__).parent
    code = _SAVER.format(paths=[str(here), str(here.parent)])
    draw = random.Random(time.time_ns())
    for _ in range(4):
        child = subprocess.Popen(
            [sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        time.sleep(draw.uniform(0, 0.15))
        whole(folder)  # somebody reads while it is saved
        child.kill()
        child.wait()
        child.stdout.close()
        whole(folder)
    generation(9).save(folder)  # the lock went with the dead
    assert whole(folder) == 9
