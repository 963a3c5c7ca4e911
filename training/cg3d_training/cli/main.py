"""`cg3d-train`: the group of verbs. Verbs import torch when they run, not before."""

from __future__ import annotations

import importlib
from typing import Any

import click

from cg3d_runtime.errors import Cg3dError
from cg3d_sdk.version import __version__

#: verb -> module and command.
_VERBS = {
    "pretrain": ("cg3d_training.cli.pretrain", "pretrain_command"),
    "pretrain-triplets": ("cg3d_training.cli.pretrain_triplets", "pretrain_triplets_command"),
    "finetune": ("cg3d_training.cli.finetune", "finetune_command"),
    "text": ("cg3d_training.cli.text", "text_command"),
    "names": ("cg3d_training.cli.names", "names_command"),
    "attribution": ("cg3d_training.cli.attribution", "attribution_command"),
    "evaluate": ("cg3d_training.cli.evaluate", "evaluate_command"),
    "import": ("cg3d_training.cli.importing", "import_command"),
    "prepare": ("cg3d_training.cli.prepare", "prepare_command"),
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


@click.command(cls=_Verbs)
@click.version_option(__version__, prog_name="cg3d-train")
def main() -> None:
    """Train point cloud encoders into CLIP's text space.

    \b
    Examples:
      cg3d-train names --household ../shared/data/household --clip-text ../shared/data/clip-text
      cg3d-train text --clip-text ../shared/data/clip-text -o runs/text/text_encoder.safetensors
      cg3d-train pretrain --config household-small -o runs/small
      cg3d-train finetune --config household-small -o runs/classes
      cg3d-train evaluate runs/small-bundle --household ../shared/data/household \\
        --clip-text ../shared/data/clip-text
    """
