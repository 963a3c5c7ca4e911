"""`cg3d`: the group of verbs. A verb's module is imported when it is asked for."""

from __future__ import annotations

import importlib
from typing import Any

import click

from cg3d_runtime.errors import Cg3dError
from cg3d_sdk.version import __version__

#: verb -> module and command.
_VERBS = {
    "classify": ("cg3d_sdk.cli.classify", "classify_command"),
    "info": ("cg3d_sdk.cli.info", "info_command"),
    "demo": ("cg3d_sdk.cli.demo", "demo_command"),
}


class _Verbs(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _VERBS:
            return None
        module, command = _VERBS[cmd_name]
        found: click.Command = getattr(importlib.import_module(module), command)
        return found

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except Cg3dError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="cg3d")
def main() -> None:
    """Name things in 3D: point clouds and meshes, recognised by shape.

    \b
    Examples:
      cg3d demo                                    recognise samples, write a page to look at
      cg3d classify scan.pcd                       name one object, in metres, z up
      cg3d classify *.glb --up y                   meshes are mostly y up
      cg3d classify crop.npy --labels cup,bowl     choose among names
      cg3d info                                    what the bundle is and how good
    """
