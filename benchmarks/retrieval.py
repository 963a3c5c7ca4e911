"""How well words find shapes, and what an index of many shapes costs.

    python benchmarks/retrieval.py ../shared [--shapes 100000] [-o benchmarks/retrieval.json]

Finding: the household test split, every label of the vocabulary that names one of its objects as a
query "a LABEL"; an object is relevant to a label where the name rule gives it that label
(`cg3d-train names`). mAP is the mean over the queries of the average precision over all objects;
recall@k the mean share of a query's relevant objects among its first k; hit@k the share of the
queries with a relevant object among them.

Costs: an index of vectors that lie about as those of shapes do, 1,000 centres with noise. The exact
index's answers are compared with a product of everything with everything in FP64.
"""

from __future__ import annotations

import importlib.util
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from cg3d_runtime.retrieval import ExactIndex, Hit, VectorIndex, origin_of
from cg3d_sdk import Recognizer, ShapeIndex
from cg3d_training.data.clip_text import load_vocabulary
from cg3d_training.data.household import load_household
from cg3d_training.data.names import NameMatcher


def average_precision(relevant: NDArray[np.bool_]) -> float:
    """Of one ranking: the mean of the precisions at its relevant places."""
    places = np.flatnonzero(relevant)
    return float(((np.arange(len(places)) + 1) / (places + 1)).mean())


def finding(recognizer: Recognizer, data: Path) -> dict[str, Any]:
    """Labels as queries over the household test split."""
    vocabulary = load_vocabulary(data / "clip-text")
    test = load_household(data / "household", NameMatcher(vocabulary))
    test = test.where(lambda o: o.split == "test" and o.name_row is not None)
    shapes = ShapeIndex(recognizer)
    for start in tqdm(range(0, len(test), 32), "embedding"):
        rows = range(start, min(start + 32, len(test)))
        labels = [{"label": vocabulary.labels[test.objects[i].name_row or 0]} for i in rows]
        shapes.add_many([f"{i:05}" for i in rows], [test.points(i) for i in rows], labels, up="y")
    names = sorted({vocabulary.labels[o.name_row or 0] for o in test.objects})
    queries = recognizer.embed_text([f"a {name}" for name in names])
    rankings = [
        np.array([hit.metadata["label"] == name for hit in hits])
        for name, hits in zip(names, shapes.search_embeddings(queries, len(shapes)), strict=True)
    ]
    found: dict[str, Any] = {"objects": len(shapes), "queries": len(names)}
    found["mAP"] = float(np.mean([average_precision(r) for r in rankings]))
    for k in (1, 5, 10):
        found[f"recall@{k}"] = float(np.mean([r[:k].sum() / r.sum() for r in rankings]))
        found[f"hit@{k}"] = float(np.mean([r[:k].any() for r in rankings]))
    draw = np.random.default_rng(0)
    chance = [average_precision(draw.permutation(r)) for r in rankings for _ in range(20)]
    return {**found, "mAP of random orders": float(np.mean(chance))}


def timed(call: Callable[[], Any], repeats: int = 1) -> tuple[float, Any]:
    """The median time of a call in ms, and what it gave."""
    times, result = [], None
    for _ in range(repeats):
        start = time.perf_counter()
        result = call()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times), result


def costs(recognizer: Recognizer, count: int) -> dict[str, Any]:
    """Build, save, load and search an index of made-up vectors."""
    draw, dim = np.random.default_rng(0), 512
    centres = draw.standard_normal((1000, dim), np.float32)

    def near(n: int) -> NDArray[np.float32]:
        noise = draw.standard_normal((n, dim), np.float32)
        return centres[draw.integers(1000, size=n)] + noise

    vectors, queries = near(count), near(100)
    ids = [f"shape {i:07}" for i in range(count)]
    metadata = [{"label": f"label {i % 1000}", "points": 2048} for i in range(count)]
    index = ExactIndex(dim, origin_of(recognizer.bundle))
    found: dict[str, Any] = {"shapes": count, "dim": dim}
    found["build ms"], _ = timed(lambda: index.add(ids, vectors, metadata))
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "index"
        found["save ms"], _ = timed(lambda: index.save(place), 3)
        found["files MB"] = sum(f.stat().st_size for f in place.iterdir()) / 1e6
        found["load ms"], loaded = timed(lambda: ExactIndex.open(place), 3)
        found["first search of the mapped index ms"], _ = timed(lambda: loaded.search(queries[:1]))
        found["search ms"], _ = timed(lambda: loaded.search(queries[:1]), 20)
        found["search with a filter ms"], _ = timed(
            lambda: loaded.search(queries[:1], 10, {"label": "label 7"}), 5
        )
        found["search of 100 at once, ms each"], answers = timed(lambda: loaded.search(queries), 3)
        found["search of 100 at once, ms each"] /= 100
        found["equal to brute force"] = answers == brute_force(index, metadata, queries)
        if importlib.util.find_spec("faiss"):
            found["faiss"] = with_faiss(place, queries, answers)
    return found


def brute_force(
    index: ExactIndex, metadata: list[dict[str, Any]], queries: NDArray[np.float32]
) -> list[tuple[Hit, ...]]:
    """The ten best of every query, from all products in FP64."""
    ids = index.ids
    rows = index.vectors(ids).astype(np.float64)
    wide = queries.astype(np.float64)
    units = (wide / np.linalg.norm(wide, axis=1, keepdims=True)).astype(np.float32)
    scores = (units.astype(np.float64) @ rows.T).astype(np.float32)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :10]
    return [
        tuple(Hit(ids[i], float(row[i]), metadata[i]) for i in best)
        for row, best in zip(scores, order, strict=True)
    ]


def with_faiss(place: Path, queries: NDArray[np.float32], answers: Any) -> dict[str, Any]:
    """The same through FAISS: time, and the share of the exact ten that it finds."""
    from cg3d_runtime.retrieval.faiss import FaissIndex

    found: dict[str, Any] = {}
    for probes in (8, 32, 128):
        index: VectorIndex = FaissIndex.open(place, probes=probes, least=1)
        lists, _ = timed(lambda index=index: index.search(queries[:1]))
        each, hits = timed(lambda index=index: [index.search(q[None])[0] for q in queries])
        shared = [
            len({h.id for h in a} & {h.id for h in b}) / len(b)
            for a, b in zip(hits, answers, strict=True)
        ]
        found[f"{probes} probes"] = {
            "making the lists ms": lists,
            "search ms": each / len(queries),
            "share of the exact ten": float(np.mean(shared)),
        }
    return found


@click.command()
@click.argument("shared", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--bundle", help="Default: the shipped one.")
@click.option("--shapes", default=100_000, show_default=True, help="Of the index that is timed.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path))
def main(shared: Path, bundle: str | None, shapes: int, output: Path | None) -> None:
    """Measure retrieval with the data in SHARED."""
    recognizer = Recognizer(bundle, engine="cpu", threads=1)
    result = {
        "bundle": recognizer.bundle.manifest.name,
        "machine": f"{platform.machine()}, numpy {np.__version__}",
        "finding": finding(recognizer, shared / "data"),
        "costs": costs(recognizer, shapes),
    }
    text = json.dumps(result, indent=1)
    click.echo(text)
    if output is not None:
        output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
