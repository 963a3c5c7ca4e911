"""CLIP's byte-pair merges, read from the installed open_clip."""

from __future__ import annotations

import gzip
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from cg3d_runtime.errors import DependencyError
from cg3d_runtime.text.tokenizer import CLIP_MERGES, Tokenizer


@lru_cache(maxsize=1)
def read_clip_merges() -> str:
    """The merges as `Tokenizer` takes them and a bundle carries them: one a line, a newline last.

    Source: `bpe_simple_vocab_16e6.txt.gz` of OpenAI CLIP (MIT), as open_clip packs it. open_clip
    is not imported, which would import torchvision and more.

    Raises:
        DependencyError: open_clip is not installed, or does not carry the file.
    """
    spec = find_spec("open_clip")
    packed = Path(spec.origin or "").with_name("bpe_simple_vocab_16e6.txt.gz") if spec else None
    if packed is None or not packed.is_file():
        raise DependencyError(
            "CLIP's byte-pair merges come with open_clip, which is not installed (or lacks "
            "bpe_simple_vocab_16e6.txt.gz). Install it with: pip install 'cg3d-sdk[train]'"
        )
    lines = gzip.decompress(packed.read_bytes()).decode("utf-8").split("\n")
    # The first line is the version, the last ones were never used by CLIP.
    return "\n".join(lines[1 : CLIP_MERGES + 1]) + "\n"


@lru_cache(maxsize=1)
def clip_tokenizer() -> Tokenizer:
    """The tokenizer of the installed open_clip's merges."""
    return Tokenizer(read_clip_merges())
