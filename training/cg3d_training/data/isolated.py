"""Work spread over processes, where a task may take its process down and only itself with it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing import get_context, parent_process
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

_AHEAD = 4  # tasks handed out for each process


def run_isolated(
    function: Callable[[T], R], tasks: Iterable[T], *, workers: int, died: Callable[[T], R]
) -> Iterator[tuple[T, R]]:
    """Each task with its result, as they are done.

    Args:
        function: importable, and its arguments and results can be pickled. What it raises is
            raised here.
        tasks: are taken as they are needed.
        workers: processes.
        died: called in this process instead, for a task whose process ended (out of memory, a
            crash in a library). Tasks that were handed out with it are done again, one by one.
    """
    remaining = iter(tasks)
    next_up: list[T] = []
    while True:
        pending: dict[Future[R], T] = {}
        pool = _pool(workers)
        try:
            while True:
                next_up.extend(islice(remaining, max(0, _AHEAD * workers - len(pending))))
                while next_up:
                    pending[pool.submit(function, next_up[0])] = next_up[0]
                    del next_up[0]
                if not pending:
                    return
                finished, _ = wait(pending, return_when=FIRST_COMPLETED)
                for future in finished:
                    result = future.result()
                    yield pending.pop(future), result
        except BrokenProcessPool:
            suspects = list(pending.values())
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        yield from _one_by_one(function, suspects, died)


def _one_by_one(
    function: Callable[[T], R], tasks: list[T], died: Callable[[T], R]
) -> Iterator[tuple[T, R]]:
    """The same with one task at a time, so that it is known which one ends its process."""
    pool = _pool(1)
    try:
        for task in tasks:
            try:
                result = pool.submit(function, task).result()
            except BrokenProcessPool:
                pool.shutdown()
                pool = _pool(1)
                result = died(task)
            yield task, result
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _pool(workers: int) -> ProcessPoolExecutor:
    # A forked process would inherit locks of the parent's threads as they happen to be.
    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_end_together)


def _end_together() -> None:
    """End this process when its parent is killed; it would wait for work for ever."""

    def watch() -> None:
        parent = parent_process()
        if parent is not None:
            parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
