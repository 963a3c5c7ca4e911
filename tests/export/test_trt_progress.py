"""The bar of a build: phases inside phases as one share, and work that stops when it is told."""

from __future__ import annotations

import _thread
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cg3d_export.tensorrt.progress import Phases, run_watched


def test_the_share_counts_phases_inside() -> None:
    phases = Phases()
    assert phases.look() == (0.0, "")
    phases.start("build", None, 4)
    phases.step("build", 0)
    assert phases.look() == (0.25, "build")
    phases.start("tactics", "build", 2)
    phases.step("tactics", 0)
    assert phases.look() == (0.375, "tactics")
    phases.step("tactics", 1)
    phases.finish("tactics")
    phases.step("build", 1)
    assert phases.look() == (0.5, "build")
    phases.finish("build")
    assert phases.look()[0] == 1.0


events = st.tuples(st.sampled_from(["start", "step", "finish"]), st.integers(0, 4))


@given(st.lists(events, max_size=60))
def test_the_share_never_falls_and_stays_within_bounds(events: list[tuple[str, int]]) -> None:
    """In whatever order TensorRT reports, phases that were never begun among them."""
    phases = Phases()
    last = 0.0
    for kind, i in events:
        if kind == "start":
            phases.start(f"phase {i}", f"phase {i - 1}" if i else None, i)
        elif kind == "step":
            phases.step(f"phase {i}", i)
        else:
            phases.finish(f"phase {i}")
        share, _ = phases.look()
        assert last <= share <= 1.0
        last = share


def test_results_and_errors_come_out() -> None:
    assert run_watched(lambda: 7, "seven", Phases(), threading.Event()) == 7

    def fails() -> None:
        raise ValueError("no tactic")

    with pytest.raises(ValueError, match="no tactic"):
        run_watched(fails, "none", Phases(), threading.Event())


@pytest.mark.usefixtures("ctrl_c")
def test_an_interrupt_stops_the_work_before_it_returns() -> None:
    stop = threading.Event()
    ended = []

    def work() -> None:
        _thread.interrupt_main()
        deadline = time.monotonic() + 60
        while not stop.is_set() and time.monotonic() < deadline:
            time.sleep(0.01)
        ended.append(stop.is_set())

    with pytest.raises(KeyboardInterrupt):
        run_watched(work, "long", Phases(), stop)
    assert ended == [True]
