"""What every page shares: its parts in one file that fetches nothing and runs nothing else."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources
from pathlib import Path

from cg3d_runtime.bundle.folders import replace_file
from cg3d_runtime.errors import InputError
from cg3d_sdk.version import __version__


def assemble(
    template: str, styles: Sequence[str], scripts: Sequence[str], parts: Mapping[str, str]
) -> str:
    """A page with style and script inside, and a policy that allows only these.

    Args:
        template: its file in this folder; "%%NAME%%" is where a part goes.
        styles, scripts: files in this folder, joined in this order.
        parts: by name, as HTML: what comes from outside has to be escaped.
    """
    style, script = ("\n".join(map(_asset, names)) for names in (styles, scripts))
    # Only our own style and script may run, whatever gets into a name.
    policy = (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    own = {"policy": policy, "style": style, "script": script, "version": escape(__version__)}
    every = {**parts, **own}
    # Split, not replaced one after the other: a name may look like a placeholder.
    pieces = _asset(template).split("%%")
    return "".join(every[piece] if i % 2 else piece for i, piece in enumerate(pieces))


def write_html(path: str | Path, html: str) -> None:
    """Write a page; the file appears whole or not at all.

    Raises:
        InputError: it cannot be written.
    """
    try:
        # A folder that is not there is a slip more often than a wish.
        if not Path(path).parent.is_dir():
            raise FileNotFoundError(f"no such folder: {Path(path).parent}")
        replace_file(Path(path), html.encode())
    except OSError as error:
        raise InputError(f"{path}: the page cannot be written ({error})") from error


def base64_of(data: bytes) -> str:
    """Base64 as text, for an attribute."""
    return base64.b64encode(data).decode("ascii")


def _asset(name: str) -> str:
    return (resources.files("cg3d_sdk.page") / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return "sha256-" + base64_of(hashlib.sha256(text.encode()).digest())
