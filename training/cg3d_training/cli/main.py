"""`cg3d-train`: the group of verbs. Verbs import torch when they run, not before."""

from __future__ import annotations

import click

from cg3d_sdk.cli.verbs import LazyVerbs
from cg3d_sdk.version import __version__

#: verb -> module and command.
_VERBS = {
    "pretrain": ("cg3d_training.cli.pretrain", "pretrain_command"),
    "pretrain-triplets": ("cg3d_training.cli.pretrain_triplets", "pretrain_triplets_command"),
    "teacher": ("cg3d_training.cli.teacher", "teacher_command"),
    "finetune": ("cg3d_training.cli.finetune", "finetune_command"),
    "text": ("cg3d_training.cli.text", "text_command"),
    "names": ("cg3d_training.cli.names", "names_command"),
    "attribution": ("cg3d_training.cli.attribution", "attribution_command"),
    "evaluate": ("cg3d_training.cli.evaluate", "evaluate_group"),
    "join": ("cg3d_training.cli.join", "join_command"),
    "table": ("cg3d_training.cli.table", "table_command"),
    "figure": ("cg3d_training.cli.figure", "figure_group"),
    "calibrate": ("cg3d_training.cli.calibrate", "calibrate_command"),
    "calibrate-scenes": ("cg3d_training.cli.calibrate_scenes", "calibrate_scenes_command"),
    "import": ("cg3d_training.cli.importing", "import_command"),
    "prepare": ("cg3d_training.cli.prepare", "prepare_command"),
    "index": ("cg3d_training.cli.indexing", "index_command"),
    "recipes": ("cg3d_training.cli.recipes", "recipes_command"),
    "doctor": ("cg3d_training.cli.doctor", "doctor_command"),
}


@click.group(cls=LazyVerbs, verbs=_VERBS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="cg3d-train")
def main() -> None:
    """Train point cloud encoders into CLIP's text space.

    \b
    Examples:
      cg3d-train doctor
      cg3d-train names --household ../shared/data/household --clip-text ../shared/data/clip-text
      cg3d-train text --clip-text ../shared/data/clip-text -o runs/text/text_encoder.safetensors
      cg3d-train pretrain --config household-small -o runs/small
      cg3d-train finetune --config household-small -o runs/classes
      cg3d-train evaluate runs/small-bundle --household ../shared/data/household \\
        --clip-text ../shared/data/clip-text
    """
