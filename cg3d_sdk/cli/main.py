"""`cg3d`: the group of verbs. A verb's module is imported when it is asked for."""

from __future__ import annotations

import click

from cg3d_sdk.cli.verbs import LazyVerbs
from cg3d_sdk.version import __version__

#: verb -> module and command.
_VERBS = {
    "classify": ("cg3d_sdk.cli.classify", "classify_command"),
    "info": ("cg3d_sdk.cli.info", "info_command"),
    "query": ("cg3d_sdk.cli.query", "query_command"),
    "index": ("cg3d_sdk.cli.index", "index_group"),
    "demo": ("cg3d_sdk.cli.demo", "demo_command"),
    "doctor": ("cg3d_sdk.cli.doctor", "doctor_command"),
    "bench": ("cg3d_sdk.cli.bench", "bench_command"),
}


@click.group(cls=LazyVerbs, verbs=_VERBS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="cg3d")
def main() -> None:
    """Name things in 3D: point clouds and meshes, recognised by shape.

    \b
    Examples:
      cg3d demo                                    recognise samples, write a page to look at
      cg3d classify scan.pcd                       name one object, in metres, z up
      cg3d classify *.glb --up y                   meshes are mostly y up
      cg3d classify crop.npy --labels cup,bowl     choose among names
      cg3d query room.pcd "where is the sofa?"     find a thing in a scene
      cg3d index build meshes -o my_index          shapes to search by words or by shape
      cg3d info                                    what the bundle is and how good
      cg3d doctor                                  what this machine has, and what will run
      cg3d bench                                   what a cloud costs here, stage by stage
    """
