"""CLIP's byte-pair merges from the installed open_clip, without importing it."""

from __future__ import annotations

import gzip
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

from cg3d_runtime.text.tokenizer import CLIP_MERGES, Tokenizer


@cache
def merges() -> str:
    """One merge a line, or the test is skipped."""
    spec = find_spec("open_clip")
    if spec is None or spec.origin is None:
        pytest.skip("needs the merges that open_clip_torch carries")
    packed = Path(spec.origin).with_name("bpe_simple_vocab_16e6.txt.gz")
    lines = gzip.decompress(packed.read_bytes()).decode("utf-8").split("\n")
    return "\n".join(lines[1 : CLIP_MERGES + 1]) + "\n"


@cache
def tokenizer() -> Tokenizer:
    return Tokenizer(merges())
