"""What the rest of the SDK asks of whatever runs a network: named arrays in, named arrays out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from numpy.typing import NDArray

from cg3d_runtime.errors import EngineError


class AbsentError(EngineError):
    """What an engine needs is plainly not on this machine; nothing is broken."""


class Engine(Protocol):
    """A network that is loaded and ready to run.

    Implementations may be called from several threads at once.
    """

    @property
    def name(self) -> str:
        """What runs the network and where, for people, e.g. "onnxruntime (CPU)"."""

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Run the network once.

        Args:
            inputs: an array for every input of the network, by the input's name. The encoder takes
                "points" (B, n, 3) float32, a text encoder "tokens" (B, L) int64.

        Returns:
            An array for every output by its name; both kinds give "embedding" (B, d) float32.

        Raises:
            EngineError: an input is missing, unknown, or of another shape or dtype than the
                network takes, or the network failed to run.
        """
