"""The newest cloud is served, nothing waits, nothing grows, and nothing is swallowed."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator

import numpy as np
import pytest

from cg3d_sdk import EngineError, InputError, Newest, Recognizer, Served


class Gate:
    """Work that goes on when the test says so."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.open = threading.Semaphore(0)

    def __call__(self, item: int) -> int:
        self.begun.release()
        assert self.open.acquire(timeout=60)
        if item < 0:
            raise ValueError(f"{item} is negative")
        return 10 * item


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.open.release(100)


def test_the_newest_is_served_and_the_rest_dropped(gate: Gate) -> None:
    served: list[Served[int]] = []
    with Newest(gate, served.append) as newest:
        assert newest.submit(1) == 0
        gate.begun.acquire()
        for item in (2, 3, 4):
            newest.submit(item)  # the worker is busy: none of these waits for it
        gate.open.release()
        gate.begun.acquire()
        gate.open.release()
        while len(served) < 2:
            threading.Event().wait(0.01)
    assert [(s.number, s.result, s.dropped) for s in served] == [(0, 10, 0), (3, 40, 2)]
    assert all(s.worked >= 0 <= s.waited for s in served)
    with pytest.raises(InputError, match="closed"):
        newest.submit(5)
    newest.close()


def test_iterating_gives_results_and_errors_until_it_is_closed(gate: Gate) -> None:
    newest = Newest(gate)
    gate.open.release(2)
    results = iter(newest)
    newest.submit(7)
    assert next(results).result == 70
    newest.submit(-1)
    served = next(results)
    assert served.value is None
    with pytest.raises(ValueError, match="-1 is negative"):
        _ = served.result
    threading.Timer(0.05, newest.close).start()
    assert list(results) == []
    with pytest.raises(InputError, match="on_served"):
        next(iter(Newest(gate, print)))


def test_a_callback_that_raises_is_heard_of(gate: Gate) -> None:
    def broken(served: Served[int]) -> None:
        raise RuntimeError("no such topic")

    newest = Newest(gate, broken)
    gate.open.release()
    newest.submit(1)
    newest._thread.join(60)
    with pytest.raises(RuntimeError, match="no such topic"):
        newest.submit(2)
    with pytest.raises(RuntimeError, match="no such topic"):
        newest.close()
    newest.close()


def test_work_that_does_not_end_is_said(gate: Gate) -> None:
    newest = Newest(gate)
    newest.submit(1)
    gate.begun.acquire()
    with pytest.raises(EngineError, match=r"not finished within 0\.01 s"):
        newest.close(timeout=0.01)
    gate.open.release()
    newest.close()


def test_what_nobody_holds_ends(gate: Gate) -> None:
    newest = Newest(gate)
    thread = newest._thread
    gone = weakref.ref(newest)
    del newest
    gc.collect()
    assert gone() is None
    thread.join(30)
    assert not thread.is_alive()


def test_a_program_ends_with_one_open() -> None:
    code = """
from cg3d_sdk import Newest
newest = Newest(lambda item: item)
newest.submit(1)
"""
    done = subprocess.run([sys.executable, "-c", code], timeout=120, capture_output=True)
    assert done.returncode == 0
    assert done.stderr == b""


def test_clouds_are_named(gate: Gate) -> None:
    recognizer = Recognizer(engine="cpu", threads=1, labels=["chair", "mug"])
    cloud = np.random.default_rng(0).normal(size=(200, 3))
    with Newest(recognizer.classify) as newest:
        results = iter(newest)
        newest.submit(cloud)
        assert next(results).result.label == recognizer.classify(cloud).label
        newest.submit(np.empty((0, 3)))
        assert isinstance(next(results).error, InputError)
