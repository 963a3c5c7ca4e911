"""The networks of a bundle, opened for this machine and this process."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.arguments import whole
from cg3d_runtime.bundle import Bundle, ImageEncoderInfo
from cg3d_runtime.engines.choose import EngineChoice, Opened, open_engine, open_part
from cg3d_runtime.engines.engine import Engine
from cg3d_runtime.engines.onnx_runtime import OnnxRuntimeEngine
from cg3d_runtime.errors import EngineError, InputError, VocabularyError
from cg3d_runtime.points import Prepared
from cg3d_runtime.text.bank import TextBank
from cg3d_runtime.text.encoder import TextEncoder
from cg3d_runtime.text.tokenizer import Tokenizer

T = TypeVar("T")


class Networks:
    """Opens the point encoder at once, the others when they are first asked for. Thread-safe.

    A forked child opens those of the CPU anew at its first call; those of a GPU are an error
    there. Pickled, as for a child that is spawned, it takes along the bundle's path and the
    options, and opens in the child.

    Args:
        bundle: the bundle.
        engine: what runs them; see `open_part`.
        threads: CPU threads that share one run; None takes every core.
        batch: clouds that go through the encoder at once.

    Raises:
        BundleError, DependencyError, EngineError: as `open_part`.
        InputError: the batch is below 1.
    """

    def __init__(
        self, bundle: Bundle, engine: EngineChoice, threads: int | None, batch: int
    ) -> None:
        self._bundle, self._engine, self._threads = bundle, engine, threads
        self.batch = whole("batch", batch)
        self._parts: _Parts | None = _Parts()
        self.point_encoder()

    def point_encoder(self) -> Opened:
        """What runs the point encoder, and what was not taken."""
        return self._opened("encoder", lambda: open_part(
            self._bundle, "encoder", self._engine, self._threads
        ))  # fmt: skip

    def encode(self, prepared: Sequence[Prepared]) -> NDArray[np.float32]:
        """(n, d) float32 unit rows of n prepared clouds.

        Raises:
            EngineError: the engine failed, or the networks were closed.
        """
        engine = self.point_encoder().engine
        rows = [np.empty((0, self._bundle.manifest.encoder.embedding_dim), np.float32)]
        for start in range(0, len(prepared), self.batch):
            batch = np.stack([p.cloud for p in prepared[start : start + self.batch]])
            rows.append(engine.run({"points": batch})["embedding"])
        return np.concatenate(rows)

    def text_encoder(self, vocabulary: TextBank) -> TextEncoder:
        """The text encoder.

        Args:
            vocabulary: every name of the bundle.

        Raises:
            VocabularyError: the bundle has none.
        """
        info = self._bundle.manifest.text.encoder
        if info is None:
            raise VocabularyError(
                f"the bundle {self._bundle.manifest.name!r} has no text encoder; it knows the "
                "labels in `vocabulary` only"
            )

        def load() -> TextEncoder:
            merges = self._bundle.bytes(info.merges).decode("utf-8")
            opened = open_part(self._bundle, "text_encoder", self._engine, self._threads)
            return TextEncoder(
                opened.engine,
                Tokenizer(merges),
                info.context_length,
                vocabulary,
                info.open_vocabulary,
            )

        return self._opened("text_encoder", load)

    def image_encoder(self) -> tuple[ImageEncoderInfo, Engine]:
        """The image encoder, and how it wants its pictures.

        Raises:
            InputError: the bundle has none.
        """
        info = self._bundle.manifest.image
        if info is None:
            raise InputError(
                f"the bundle {self._bundle.manifest.name!r} has no image encoder, so it reads no "
                "pictures; export the checkpoint with `cg3d-export --image-encoder TEACHER`"
            )
        # No plans are built of it.
        choice = "auto" if self._engine == "tensorrt" else self._engine
        return info, self._opened(
            "image_encoder",
            lambda: open_engine(self._bundle.bytes(info.file), choice, self._threads),
        )

    def close(self) -> None:
        """Free the networks; calls that run in other threads are finished first."""
        self._parts = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_parts": self._parts is not None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._parts = _Parts() if state["_parts"] else None
        if self._parts is not None:
            self.point_encoder()

    def _opened(self, name: str, load: Callable[[], T]) -> T:
        parts = self._parts
        if parts is None:
            raise EngineError("this Recognizer was closed; make a new one")
        if parts.pid != os.getpid() and not parts.on_gpu:
            # Two threads of the child may both do this: the later one wins, no harm is done.
            parts = self._parts = _Parts()
        found = parts.by_name.get(name)
        if found is None:
            with parts.lock:
                found = parts.by_name.get(name)
                if found is None:
                    found = parts.by_name[name] = load()
        result: T = found
        return result


class _Parts:
    """What a process has opened."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.by_name: dict[str, Any] = {}
        self.lock = threading.Lock()

    @property
    def on_gpu(self) -> bool:
        """Whether the point encoder is opened, and on a GPU."""
        opened = self.by_name.get("encoder")
        return opened is not None and not (
            isinstance(opened.engine, OnnxRuntimeEngine) and opened.engine.device == "cpu"
        )
