"""Work spread over a Ray cluster, task by task, as `run_isolated` spreads it over processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

from cg3d_runtime.dependencies import require

T = TypeVar("T")
R = TypeVar("R")

_AHEAD = 4  # tasks handed out for each core
_TRIES = 2  # again, after a process or a node was lost


def run_on_ray(
    function: Callable[[T], R], tasks: Iterable[T], *, died: Callable[[T], R]
) -> Iterator[tuple[T, R]]:
    """Each task with its result, as they are done.

    The cluster is the one that RAY_ADDRESS names, else one that Ray starts on this machine. Its
    nodes need cg3d-sdk installed and the same folders under the same paths.

    Args:
        function: can be pickled, like its arguments and results. What it raises is raised here.
        tasks: are taken as they are needed.
        died: called in this process instead, for a task whose process was lost time and again.

    Raises:
        DependencyError: Ray is not installed.
    """
    ray = require("ray", "ray", "Spreading work over a cluster")
    own = not ray.is_initialized()
    if own:
        ray.init(log_to_driver=False)
    try:

        @ray.remote(num_cpus=1, max_retries=_TRIES)  # type: ignore[untyped-decorator]
        def call(task: T) -> R:
            return function(task)

        cores = max(1, int(ray.cluster_resources().get("CPU", 1)))
        remaining = iter(tasks)
        pending: dict[Any, T] = {}
        while True:
            for task in islice(remaining, _AHEAD * cores - len(pending)):
                pending[call.remote(task)] = task
            if not pending:
                return
            finished, _ = ray.wait(list(pending), num_returns=1)
            for reference in finished:
                task = pending.pop(reference)
                try:
                    result = ray.get(reference)
                except (
                    ray.exceptions.WorkerCrashedError,
                    ray.exceptions.NodeDiedError,
                    ray.exceptions.OutOfMemoryError,
                ):
                    result = died(task)
                yield task, result
    finally:
        if own:
            ray.shutdown()
