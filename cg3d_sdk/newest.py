"""A sensor that is faster than the answers: serve the newest cloud, drop what waited."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import monotonic
from typing import Generic, TypeVar

from cg3d_runtime.errors import EngineError, InputError

In = TypeVar("In")
Out = TypeVar("Out")


@dataclass(frozen=True, eq=False)
class Served(Generic[Out]):
    """What came of one item.

    Attributes:
        number: of the item, as `submit` gave it.
        value: the answer; None where there is an error.
        error: what was raised; None where there is an answer.
        dropped: items that were submitted since the one before and never served.
        waited: seconds from `submit` to the start of the work.
        worked: seconds of the work.
    """

    number: int
    value: Out | None
    error: Exception | None
    dropped: int
    waited: float
    worked: float

    @property
    def result(self) -> Out:
        """The answer.

        Raises:
            Exception: what the work raised.
        """
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]


class Newest(Generic[In, Out]):
    """Works on the newest item in a thread of its own; older ones that wait are dropped.

    With `on_served` every result is given to that function, in the thread of the work. Without it,
    iterate: the loop waits for results, gets the newest one, and ends with `close`. One item and
    one result are held at most, so memory does not grow however slow either side is.

        with Newest(recognizer.classify) as newest:
            driver.on_cloud(newest.submit)  # never waits
            for served in newest:
                ...

    Args:
        work: what is done with an item, e.g. `recognizer.classify`.
        on_served: takes each `Served`. If it raises, the worker ends, and the next `submit` and
            `close` raise the same.
    """

    def __init__(
        self, work: Callable[[In], Out], on_served: Callable[[Served[Out]], object] | None = None
    ) -> None:
        self._desk: _Desk[In, Out] = _Desk()
        self._thread = threading.Thread(
            target=_serve, args=(self._desk, work, on_served), name="cg3d-newest", daemon=True
        )
        self._iterated = on_served is None
        # At the end of the program, too, and when nobody holds it any more.
        self._stop = weakref.finalize(self, _stop, self._desk, self._thread)
        self._thread.start()

    def submit(self, item: In) -> int:
        """Hand over an item; never waits for the work.

        Returns:
            Its number, from 0.

        Raises:
            InputError: it was closed.
            Exception: what `on_served` raised.
        """
        desk = self._desk
        with desk.changed:
            if desk.failure is not None:
                raise desk.failure
            if desk.closed:
                raise InputError("this Newest was closed and takes nothing more")
            number = desk.submitted
            desk.submitted += 1
            desk.waiting = (number, monotonic(), item)
            desk.changed.notify_all()
            return number

    def __iter__(self) -> Iterator[Served[Out]]:
        if not self._iterated:
            raise InputError("with `on_served` the results go there; leave it out to iterate")
        desk = self._desk
        while True:
            with desk.changed:
                desk.changed.wait_for(lambda: desk.served is not None or desk.ended)
                served, desk.served = desk.served, None
            if served is None:
                return
            yield served

    def close(self, timeout: float | None = 10.0) -> None:
        """Finish the item in work, drop the one that waits, and end the thread.

        May be called again, and from any thread.

        Args:
            timeout: seconds to wait for the work; None for as long as it takes.

        Raises:
            EngineError: the work did not end in time; it goes on by itself.
            Exception: what `on_served` raised.
        """
        self._desk.close()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout)
            if self._thread.is_alive():
                raise EngineError(f"the item in work was not finished within {timeout} s")
        failure, self._desk.failure = self._desk.failure, None
        if failure is not None:
            raise failure

    def __enter__(self) -> Newest[In, Out]:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class _Desk(Generic[In, Out]):
    """What the worker and its callers share; `changed` guards it all."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.submitted = 0
        self.waiting: tuple[int, float, In] | None = None
        self.served: Served[Out] | None = None
        self.failure: Exception | None = None
        self.closed = False
        self.ended = False

    def close(self) -> None:
        with self.changed:
            self.closed = True
            self.waiting = None
            self.changed.notify_all()

    def take(self) -> tuple[int, float, In] | None:
        """The newest item, as soon as there is one; None when it was closed."""
        with self.changed:
            self.changed.wait_for(lambda: self.waiting is not None or self.closed)
            item, self.waiting = self.waiting, None
            return item

    def put(self, served: Served[Out]) -> None:
        with self.changed:
            self.served = served
            self.changed.notify_all()

    def end(self, failure: Exception | None) -> None:
        with self.changed:
            self.failure = failure
            self.closed = self.ended = True
            self.waiting = None
            self.changed.notify_all()


def _serve(
    desk: _Desk[In, Out],
    work: Callable[[In], Out],
    on_served: Callable[[Served[Out]], object] | None,
) -> None:
    last = -1
    while (taken := desk.take()) is not None:
        number, submitted, item = taken
        start = monotonic()
        value: Out | None = None
        error: Exception | None = None
        try:
            value = work(item)
        except Exception as raised:  # noqa: BLE001 - the caller gets it
            error = raised
        del taken, item  # do not hold a cloud while the next one is awaited
        spent = monotonic() - start
        served = Served(number, value, error, number - last - 1, start - submitted, spent)
        last = number
        try:
            (desk.put if on_served is None else on_served)(served)
        except Exception as raised:  # noqa: BLE001 - submit and close raise it
            desk.end(raised)
            return
        del served
    desk.end(None)


def _stop(desk: _Desk[In, Out], thread: threading.Thread) -> None:
    desk.close()
    if threading.current_thread() is not thread:
        thread.join(1.0)
