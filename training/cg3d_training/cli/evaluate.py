"""`cg3d-train evaluate`: a group whose first verb may be left out."""

from __future__ import annotations

import click

from cg3d_sdk.cli.verbs import LazyVerbs

_DEFAULT = "subjects"
_VERBS = {
    _DEFAULT: ("cg3d_training.cli.evaluate_subjects", "evaluate_command"),
    "zeroshot": ("cg3d_training.cli.evaluate_zeroshot", "zeroshot_command"),
    "pictures": ("cg3d_training.cli.evaluate_pictures", "pictures_command"),
    "scenes": ("cg3d_training.cli.evaluate_scenes", "scenes_command"),
}


class _Evaluate(LazyVerbs):
    """Without a verb it is the first one's arguments that follow."""

    first_verb = _DEFAULT

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the first verb in where there is none."""
        if not args or args[0] not in (*_VERBS, *ctx.help_option_names):
            args = [_DEFAULT, *args]
        return super().parse_args(ctx, args)


@click.command(cls=_Evaluate, verbs=_VERBS, name="evaluate")
def evaluate_group() -> None:
    """Measure bundles, checkpoints and teachers.

    Without a verb it is `subjects`: how well bundles and checkpoints name household objects and
    scans, in every pose. The others are the paper's tables (docs/paper.md).

    \b
    Examples:
      cg3d-train evaluate runs/tiny-bundle --household ../shared/data/household \\
        --clip-text ../shared/data/clip-text
      cg3d-train evaluate zeroshot runs/official.safetensors --dataset modelnet40 \\
        --protocol official --text slip:slip_base_100ep.pt
      cg3d-train evaluate pictures --teacher open_clip:ViT-B-16 --dataset modelnet40 --probe
      cg3d-train evaluate scenes Stanford3dDataset_v1.2 --dataset s3dis --query chair
    """
