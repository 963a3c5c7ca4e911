"""FAISS before the exact index: the same answers where it looks into every list."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cg3d_runtime import dependencies
from cg3d_runtime.errors import DependencyError, InputError
from cg3d_runtime.retrieval import ExactIndex, Origin

faiss = pytest.importorskip("faiss", reason="needs the extra faiss")

from cg3d_runtime.retrieval.faiss import FaissIndex  # noqa: E402

ORIGIN = Origin("test bundle", "ab" * 32)


def pair(n: int, probes: int) -> tuple[FaissIndex, ExactIndex, np.ndarray]:
    vectors = np.random.default_rng(0).normal(size=(n, 16)).astype(np.float32)
    made = []
    for _ in range(2):
        made.append(ExactIndex(16, ORIGIN))
        made[-1].add(
            [f"{i:05}" for i in range(n)], vectors, [{"even": i % 2 == 0} for i in range(n)]
        )
    return FaissIndex(made[0], probes=probes, least=500), made[1], vectors


def test_all_lists_give_what_the_exact_index_gives_through_every_change(tmp_path: Path) -> None:
    index, exact, _ = pair(3000, probes=10_000)
    queries = np.random.default_rng(1).normal(size=(20, 16))
    assert index.search(queries, 5) == exact.search(queries, 5)
    draw = np.random.default_rng(2)
    for step in range(12):
        gone = [f"{i:05}" for i in draw.choice(np.arange(step * 200, step * 200 + 200), 50, False)]
        new = [f"new {step} {i}" for i in range(30)]
        rows = draw.normal(size=(30, 16))
        for each in (index, exact):
            each.remove(gone)
            each.add(new, rows)
            each.add(new[:5], rows[5:10], replace=True)
        assert index.search(queries, 5) == exact.search(queries, 5)
    assert index.search(queries, 5, {"even": True}) == exact.search(queries, 5, {"even": True})
    index.save(tmp_path / "index")
    again = FaissIndex.open(tmp_path / "index", probes=10_000, least=500)
    assert again.search(queries, 5) == exact.search(queries, 5)
    assert (len(again), again.dim, again.origin) == (len(exact), 16, ORIGIN)


def test_few_lists_find_most_with_exact_scores() -> None:
    index, exact, vectors = pair(3000, probes=12)
    found, right = index.search(vectors[:100], 10), exact.search(vectors[:100], 10)
    shares = []
    for a, b in zip(found, right, strict=True):
        assert a[0] == b[0]  # itself
        shares.append(len({h.id for h in a} & {h.id for h in b}) / 10)
        assert all(h.score == {x.id: x.score for x in b}.get(h.id, h.score) for h in a)
    assert 0.6 < np.mean(shares) < 1  # it does look into some lists only


def test_a_small_index_needs_no_lists() -> None:
    index, exact, vectors = pair(300, probes=1)
    assert index.search(vectors[:9], 7) == exact.search(vectors[:9], 7)


def test_options_and_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="probes must be a whole number of at least 1, not 0"):
        FaissIndex(ExactIndex(4, ORIGIN), probes=0)

    def absent(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(dependencies.importlib, "import_module", absent)
    with pytest.raises(DependencyError, match=r"pip install 'cg3d-sdk\[faiss\]'"):
        FaissIndex(ExactIndex(4, ORIGIN))
