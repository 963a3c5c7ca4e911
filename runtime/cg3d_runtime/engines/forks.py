"""What becomes of an engine when the process forks.

A session has threads, and those of a GPU a driver behind them; neither is copied to the child.
There, using the session may wait for ever, and freeing it crashes (seen with ONNX Runtime 1.31 and
four threads). So the child keeps what it inherits untouched until it ends, and is told at its first
use. Children that are spawned inherit nothing.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from weakref import WeakKeyDictionary

from cg3d_runtime.errors import EngineError

_guarded: WeakKeyDictionary[object, Callable[[], object] | None] = WeakKeyDictionary()


class ForkGuard:
    """Belongs to the process that made it, with the session that it guards.

    Args:
        session: what a child of a fork must never free; it takes weak references.
        give_up: called in such a child, to forget whatever would free the session.
    """

    def __init__(self, session: object, give_up: Callable[[], object] | None = None) -> None:
        self._pid = os.getpid()
        _guarded[session] = give_up

    @property
    def inherited(self) -> bool:
        """Whether this process is a child of the one that made the session."""
        return os.getpid() != self._pid

    def check(self, name: str) -> None:
        """Refuse the use of a session that this process inherited.

        Raises:
            EngineError: it was inherited.
        """
        if self.inherited:
            raise EngineError(
                f"{name} was opened in process {self._pid} and is used in {os.getpid()}, a fork of "
                "it, where it cannot run. Open it in the process that uses it, or start that one "
                "by multiprocessing's 'spawn'."
            )


def _keep_in_the_child() -> None:
    for session, give_up in list(_guarded.items()):
        if give_up is not None:
            give_up()
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(session))


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_keep_in_the_child)
