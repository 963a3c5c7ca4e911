"""What TensorRT says: errors are kept for our own, all of it goes to `logging`."""

from __future__ import annotations

import logging
from functools import cache
from typing import Any

#: Errors shown; the rest follow from them more often than not.
_SHOWN = 5

#: Errors kept; a process that runs for months must not gather them all.
_KEPT = 50

_log = logging.getLogger(__name__)


class Messages:
    """The errors of one TensorRT.

    Attributes:
        errors: since the last `clear`.
        logger: for TensorRT.
    """

    def __init__(self, trt: Any) -> None:
        self.errors: list[str] = []
        messages = self

        class _Logger(trt.ILogger):  # type: ignore[misc]
            def __init__(self) -> None:
                trt.ILogger.__init__(self)

            def log(self, severity: Any, message: str) -> None:
                if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                    messages.errors = [*messages.errors[: _KEPT - 1], message.strip()]
                _log.debug("TensorRT: %s", message.strip())

        self.logger = _Logger()

    def clear(self) -> None:
        """Forget the errors, before something whose errors are of interest."""
        self.errors = []

    def summary(self) -> str:
        """The first errors, on one line each."""
        found = list(dict.fromkeys(" ".join(message.split())[:400] for message in self.errors))
        return "; ".join(found[:_SHOWN]) or "it gave no reason"


@cache  # TensorRT goes on calling a logger that it has once been given
def messages_of(trt: Any) -> Messages:
    """The messages of this TensorRT: it takes one logger a process, and keeps it."""
    return Messages(trt)
