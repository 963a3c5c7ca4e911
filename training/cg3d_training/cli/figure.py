"""`cg3d-train figure`: the figures of the paper, as pictures or pages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from cg3d_training.cli.options import data_option, layout_option

_PATH = click.Path(path_type=Path)
_OUTPUT = click.option(
    "-o", "--output", required=True, type=click.Path(dir_okay=False, path_type=Path),
    help="FILE.png, or FILE.html for a page that needs no network.",
)  # fmt: skip
_BUNDLE = click.option("--bundle", type=_PATH, help="Default: the shipped one.")


def _dataset(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        data_option(),
        click.option(
            "--dataset", default="household", show_default=True, metavar="SET",
            help="As for `evaluate zeroshot`; its test split.",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


@click.group("figure")
def figure_group() -> None:
    """Draw the paper's figures.

    \b
    Examples:
      cg3d-train figure umap models/household-small/checkpoint.safetensors \\
        --data ../shared/data -o umap.png
      cg3d-train figure retrieval --query chair --query bed --data ../shared/data -o sheet.html
      cg3d-train figure scene Area_1 --dataset s3dis --query table --query chair -o scene.png
    """


@figure_group.command("umap")
@click.argument("checkpoint", required=False, type=click.Path(exists=True, path_type=Path))
@_dataset
@click.option("--teacher", metavar="SOURCE", help="open_clip:MODEL[:WEIGHTS] or slip:FILE.")
@click.option("--prompts", type=_PATH, help="Of a run on triplets with that teacher.")
@click.option(
    "--each", type=click.IntRange(1), default=40, show_default=True, help="Most clouds of a class."
)
@_OUTPUT
def umap_command(
    checkpoint: Path | None, dataset: str, data: Path, teacher: str | None, prompts: Path | None,
    each: int, output: Path,
) -> None:  # fmt: skip
    """Maps of features by class: Figure 6 for CHECKPOINT, Figure 7 for a teacher with prompts."""
    from cg3d_training.evaluation.plots import check_plots
    from cg3d_training.figures.umap import chosen, cloud_panels, picture_panels, write_umap
    from cg3d_training.paper.sets import find_set

    _check_suffix(output)
    if (checkpoint is None) == (teacher is None) or (teacher is None) != (prompts is None):
        raise click.UsageError("give a CHECKPOINT, or --teacher with --prompts")
    check_plots()
    place = find_set(dataset, data)
    clouds = chosen(place.read("test"), each)
    classes = [clouds.classes[label] for label in clouds.labels]
    if checkpoint is not None:
        panels, of = cloud_panels(checkpoint, clouds), "3D features"
    else:
        assert teacher is not None
        assert prompts is not None
        panels, of = picture_panels(teacher, prompts, clouds), "features of depth maps"
    write_umap(output, panels, classes, f"UMAP of {of}, {place.title}")
    click.echo(f"wrote {output}")


@figure_group.command("retrieval")
@click.option("--query", "queries", multiple=True, metavar="TEXT")
@click.option(
    "--image", "images", multiple=True, type=_PATH, metavar="FILE",
    help="A picture, for bundles with an image encoder.",
)  # fmt: skip
@_dataset
@_BUNDLE
@click.option("--top", type=click.IntRange(1, 20), default=4, show_default=True)
@_OUTPUT
def retrieval_command(
    queries: tuple[str, ...], images: tuple[Path, ...], dataset: str, data: Path,
    bundle: Path | None, top: int, output: Path,
) -> None:  # fmt: skip
    """The shapes nearest to words or pictures: Figure 4."""
    from cg3d_sdk.recognizer import Recognizer
    from cg3d_training.figures.retrieval import find_shapes, write_retrieval
    from cg3d_training.paper.sets import find_set

    _check_suffix(output)
    if not (queries or images):
        raise click.UsageError("give --query or --image")
    recognizer = Recognizer(bundle)
    place = find_set(dataset, data)
    clouds = place.read("test")
    found = find_shapes(recognizer, clouds, queries, top, images)
    write_retrieval(output, found, clouds, f"Nearest shapes of {place.title}")
    click.echo(f"wrote {output}")


@figure_group.command("scene")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@layout_option
@click.option("--scene", "name", metavar="NAME", help="Which; default: the first.")
@click.option("--query", "queries", multiple=True, required=True, metavar="WORD")
@click.option(
    "--way", type=click.Choice(["paper", "k-means", "default"]), default="paper", show_default=True
)
@click.option("--clusters", type=click.IntRange(1, 256), default=11, show_default=True)
@_BUNDLE
@_OUTPUT
def scene_command(
    path: Path, dataset: str, name: str | None, queries: tuple[str, ...], way: str, clusters: int,
    bundle: Path | None, output: Path,
) -> None:  # fmt: skip
    """A scene, its clusters, and what words highlight: Figures 3, 8 and 9."""
    from cg3d_runtime.errors import TrainingError
    from cg3d_sdk.recognizer import Recognizer
    from cg3d_training.data.indoor import find_scenes
    from cg3d_training.figures.scene import write_scene_figure

    _check_suffix(output)
    files = find_scenes(dataset, path)
    file = next((f for f in files if name in (None, f.name)), None)
    if file is None:
        raise TrainingError(
            f"{path} has no scene {name!r}; it has {', '.join(f.name for f in files[:10])}"
        )
    write_scene_figure(output, Recognizer(bundle), file.read(), queries, way, clusters)
    click.echo(f"wrote {output}")


def _check_suffix(output: Path) -> None:
    if output.suffix not in (".png", ".html"):
        raise click.UsageError(f"{output}: a figure is a .png or an .html")
