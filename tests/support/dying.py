"""A process that is killed between two touches of the disk."""

from __future__ import annotations

import os
import signal
import sys


def die_at(step: int) -> None:
    """End this process without a word at its step-th call that touches the disk."""
    left = [step]

    def hook(event: str, arguments: object) -> None:
        if event in ("open", "os.rename", "os.remove", "os.mkdir", "os.listdir", "fcntl.flock"):
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1

    sys.addaudithook(hook)
