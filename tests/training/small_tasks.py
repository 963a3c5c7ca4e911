"""Work for other processes, in a module that is quick to import."""

from __future__ import annotations

import os
import signal


def end_on_three(task: int) -> int:
    """Squares, but 3 ends its process."""
    if task == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return task * task
