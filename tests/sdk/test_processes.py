"""A Recognizer in forked and spawned children, its threads, and its end."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from cg3d_runtime.bundle import Bundle
from cg3d_runtime.engines.choose import open_part
from cg3d_runtime.engines.onnx_runtime import OnnxRuntimeEngine
from cg3d_sdk import EngineError, InputError, Recognizer
from cg3d_sdk.shipped import default_bundle

#: In a process of its own: forked children of a test process that has torch's threads may hang.
FORK = """
import os, sys, signal
import numpy as np
from cg3d_sdk import EngineError, Recognizer

recognizer = Recognizer(engine="cpu", threads={threads}, labels=["chair", "mug"])
cloud = np.random.default_rng(0).normal(size=(300, 3))
answer = recognizer.classify(cloud)
engine = recognizer._networks.point_encoder().engine
read, write = os.pipe()
child = os.fork()
if child == 0:
    signal.alarm(100)
    try:
        engine.run({{"points": np.zeros((1, 512, 3), np.float32)}})
    except EngineError as error:
        assert "a fork of" in str(error), error
        again = recognizer.classify(cloud)
        assert again.label == answer.label
        assert np.array_equal(again.embedding, answer.embedding)
        os.write(write, b"fine")
    sys.exit(7)  # the whole way out: exit handlers, destructors
status = os.waitpid(child, 0)[1]
assert os.waitstatus_to_exitcode(status) == 7, status
assert os.read(read, 4) == b"fine"
assert recognizer.classify(cloud).label == answer.label
print("done")
"""


def run_python(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True, text=True, timeout=300, check=False,
        env={**os.environ, **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system that forks")
@pytest.mark.parametrize("threads", [1, 3])
def test_a_forked_child_answers_and_ends(threads: int) -> None:
    assert run_python(FORK.format(threads=threads)).strip() == "done"


def test_a_spawned_child_gets_it_whole() -> None:
    recognizer = Recognizer(engine="cpu", threads=1, labels=["chair", "mug", "bed"], up="y")
    cloud = np.random.default_rng(0).normal(size=(300, 3))
    here = recognizer.classify(cloud)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        there = pool.submit(recognizer.classify, cloud).result(timeout=300)
    assert there.label == here.label
    np.testing.assert_array_equal(there.embedding, here.embedding)
    assert there.ranking == here.ranking


def test_what_is_closed_stays_closed() -> None:
    with Recognizer(engine="cpu", threads=1) as recognizer:
        recognizer.embed_text("chair")
    for call in (lambda: recognizer.classify(np.eye(9)[:, :3]), lambda: recognizer.engine):
        with pytest.raises(EngineError, match="was closed"):
            call()
    with pytest.raises(EngineError, match="was closed"):
        pickle.loads(pickle.dumps(recognizer)).embed_text("chair")
    recognizer.close()


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs Linux's /proc")
def test_with_one_thread_there_is_one_thread() -> None:
    """Neither the engine nor its telemetry nor, told so, numpy's BLAS starts another."""
    code = """
        import os
        import numpy as np
        from cg3d_sdk import Recognizer

        with Recognizer(engine="cpu", threads=1) as recognizer:
            recognizer.warmup()
            recognizer.query(np.random.default_rng(0).random((5000, 3)) * 3, "chair")
            recognizer.embed_text("a photo of a chair")
            print(len(os.listdir("/proc/self/task")))
    """
    assert run_python(code, OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1").strip() == "1"


def test_warming_up_for_several_threads_has_them_all_in_the_engine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recognizer = Recognizer(engine="cpu", threads=1)
    run, lock, inside, most = OnnxRuntimeEngine.run, threading.Lock(), 0, 0
    met = threading.Event()

    def counted(self: OnnxRuntimeEngine, inputs: dict[str, np.ndarray]) -> object:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        if most == 3:
            met.set()
        met.wait(5)  # the first ones wait for the third; without it they go on after 5 s
        try:
            return run(self, inputs)
        finally:
            with lock:
                inside -= 1

    monkeypatch.setattr(OnnxRuntimeEngine, "run", counted)
    timings = recognizer.warmup(at_once=3)
    assert most == 3
    assert timings.clouds == 1
    with pytest.raises(InputError, match="at_once must be a whole number of at least 1, not 0"):
        recognizer.warmup(at_once=0)


@pytest.mark.parametrize(("cores", "threads", "most"), [(1, 1, 1), (3, 1, 3), (3, 2, 1)])
def test_no_more_runs_at_once_than_cores(
    monkeypatch: pytest.MonkeyPatch, cores: int, threads: int, most: int
) -> None:
    monkeypatch.setattr("cg3d_runtime.engines.onnx_runtime.usable_cores", lambda: cores)
    bundle = Bundle.open(default_bundle())
    engine = OnnxRuntimeEngine(bundle.bytes(bundle.manifest.encoder.file), "cpu", threads)
    run, lock, inside, seen = engine._session.run, threading.Lock(), [], []

    def counted(*arguments: object) -> object:
        with lock:
            inside.append(1)
            seen.append(len(inside))
        time.sleep(0.05)  # so that those who may come in do
        try:
            return run(*arguments)
        finally:
            with lock:
                inside.pop()

    monkeypatch.setattr(engine._session, "run", counted)
    clouds = {"points": np.zeros((1, 512, 3), np.float32)}
    with ThreadPoolExecutor(6) as pool:
        rows = list(pool.map(lambda _: engine.run(clouds)["embedding"], range(12)))
    assert max(seen) == most
    assert all(np.array_equal(row, rows[0]) for row in rows)


def test_an_engine_of_its_own_process_runs() -> None:
    engine = open_part(Bundle.open(default_bundle()), "encoder", "cpu", 1).engine
    rows = engine.run({"points": np.zeros((1, 512, 3), np.float32)})["embedding"]
    assert rows.shape == (1, 512)
