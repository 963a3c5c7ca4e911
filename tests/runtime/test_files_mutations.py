"""A thousand damaged files of every kind; `python -m support.mutations` makes as many as wanted."""

from __future__ import annotations

import sys
from collections import Counter

import pytest
from support.mutations import add, mutate, new_report, run_batch
from support.sound_files import KINDS


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory and reads its peak by /proc")
def test_damaged_files_are_read_or_refused() -> None:
    report = new_report()
    for kind in KINDS:
        add(report, run_batch(kind, 10**6, 36))
    assert report["faults"] == []
    outcomes = report["outcomes"]
    assert outcomes["files"] == 36 * len(KINDS) >= 1000
    assert outcomes["answered"] + outcomes["refused"] == outcomes["files"]
    assert min(outcomes["answered"], outcomes["refused"]) > 100


def test_files_are_damaged_in_every_way_and_the_same_again() -> None:
    sound = bytes(range(256)) + b" 12 3.5 "
    made = [mutate("npy", number, sound) for number in range(300)]
    assert made == [mutate("npy", number, sound) for number in range(300)]
    ways = Counter(way for way, content in made if content != sound)
    assert len(ways) == 7
    assert sum(ways.values()) > 280
