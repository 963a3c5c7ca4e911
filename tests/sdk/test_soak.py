"""A few seconds of benchmarks/soak.py: threads get the answers that one thread alone gets."""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from cg3d_sdk import Recognizer

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "soak.py"


@pytest.fixture(scope="module")
def soak() -> ModuleType:
    spec = importlib.util.spec_from_file_location("soak_script", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["soak_script"] = module  # its dataclasses look there
    spec.loader.exec_module(module)
    return module


def test_four_threads_answer_as_one_alone(soak: ModuleType) -> None:
    recognizer = Recognizer(engine="cpu", threads=1)
    numbers = range(24)
    assert {soak.make(number)[0] for number in numbers} == set(soak.KINDS)
    expected = {n: soak.answer_of(soak.make(n)[1], recognizer) for n in numbers}
    tallies, memory = soak.soak(recognizer, expected, threads=4, seconds=3)
    assert [line for tally in tallies for line in tally.wrong] == []
    assert all(tally.calls.total() > 0 for tally in tallies)
    assert len(memory) > 1
    # It can tell: with other words the answers differ, and the tally says so.
    recognizer.set_labels(["chair", "mug"])
    tallies, _ = soak.soak(recognizer, expected, threads=1, seconds=1)
    assert tallies[0].wrong


def test_growth_is_that_after_the_warm_up(soak: ModuleType) -> None:
    memory = [0] * 10 + list(np.linspace(100, 200, 90))
    first, last = soak.growth(memory)
    assert first == pytest.approx(109.5, abs=2)
    assert last == pytest.approx(190.5, abs=2)
    tally = soak.Tally()
    tally.note(3, "bad", "InputError: no", "InputError: no")
    assert (tally.errors, tally.wrong) == (Counter(InputError=1), [])
