"""The options that verbs share, and what several of them make of those."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from cg3d_runtime.errors import InputError

#: The choices of `cg3d_runtime.engines.choose`, which would import numpy for a --help.
ENGINES = ("auto", "cpu", "cuda", "tensorrt", "ort-tensorrt", "ort-tensorrt-rtx")


class OutputFile(click.Path):
    """A file to write: refused before the work, not after it, where it cannot be."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False, writable=True, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path; its folder is there and may be written to."""
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        if not path.parent.is_dir():
            self.fail(f"there is no folder {str(path.parent)!r}.", param, ctx)
        if not os.access(path.parent, os.W_OK):
            self.fail(f"the folder {str(path.parent)!r} may not be written to.", param, ctx)
        return path


bundle_argument = click.argument("bundle", required=False, type=click.Path(path_type=Path))
bundle_option = click.option(
    "--bundle", type=click.Path(path_type=Path), metavar="DIR",
    help="Folder of a bundle, or household-small (the default) or household-tiny, which ship.",
)  # fmt: skip
engine_option = click.option(
    "--engine", default="auto", show_default=True, type=click.Choice(ENGINES),
    help="What runs the networks; auto takes the best that works (see `cg3d info`).",
)  # fmt: skip
up_option = click.option(
    "--up", default="z", show_default=True, type=click.Choice(["z", "y"]),
    help="The axis that points up: z for robots and most scans, y for most mesh files.",
)  # fmt: skip
labels_option = click.option(
    "--labels", metavar="A,B,...", help="Choose among these names, not all the bundle's."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


def names_in(listed: Iterable[str], source: str) -> list[str]:
    """Names without the blanks about them, and without empty ones.

    Raises:
        InputError: none is left.
    """
    names = [name.strip() for name in listed if name.strip()]
    if not names:
        raise InputError(f"{source} names no labels")
    return names


def note_default_up() -> None:
    """Say what --up is for to whom it seems to be news; for verbs that have read meshes."""
    if click.get_current_context().get_parameter_source("up") is ParameterSource.DEFAULT:
        click.echo("Note: meshes were read as z up; most are y up, then add --up y.", err=True)
