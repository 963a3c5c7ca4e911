"""The options of `cg3d-export`, in the order of its help."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from cg3d_export.tensorrt.options import BatchRange, BuildOptions, parse_batch, parse_memory
from cg3d_runtime.errors import InputError

Command = Callable[..., Any]

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def _read(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """A function of ours that reads a value, as click likes it."""

    def value(text: str) -> Any:
        try:
            return parse(text)
        except InputError as error:
            raise click.BadParameter(str(error)) from error

    return value


#: What only a checkpoint is exported with.
CHECKPOINT_ONLY = (
    "text", "labels", "phrasing", "labels_only", "keep", "image_encoder", "prompts", "name",
    "licence", "model_card", "attribution",
)  # fmt: skip

#: What only engines are built with.
ENGINES_ONLY = (
    "batch", "workspace", "timing_cache", "optimization_level", "version_compatible",
    "hardware_compatibility", "fuse", "dry_run",
)  # fmt: skip

_OUTPUT = [
    click.option(
        "-o", "--output", type=click.Path(path_type=Path), metavar="FOLDER",
        help="Of a checkpoint: the bundle; an older bundle there is replaced. With --onnx-only: "
        "the graphs.",
    ),
    click.option(
        "--precision", type=click.Choice(["fp32", "fp16", "bf16", "int8"]),
        help="Of the encoder's weights and products; geometry is always fp32. By default fp16 for "
        "a checkpoint, and for a bundle what it holds.",
    ),
    click.option(
        "--points", type=click.IntRange(8, 1 << 20),
        help="Points of a cloud that the encoder takes. By default as it was trained.",
    ),
]  # fmt: skip

_TARGETS = [
    click.option(
        "--trt", is_flag=True,
        help="Build TensorRT engines for this machine, into the bundle's folder.",
    ),
    click.option(
        "--triton", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
        help="Write a model repository for Triton Inference Server; of the engines with --trt, "
        "else of ONNX.",
    ),
    click.option(
        "--onnx-only", is_flag=True,
        help="Write the plain ONNX graphs and the labels into -o FOLDER, for any other engine.",
    ),
    click.option(
        "--check", is_flag=True,
        help="Of a bundle: hold its operators against the TensorRT of each JetPack, and show what "
        "runs in which type. Needs no TensorRT.",
    ),
]  # fmt: skip

_CHECKPOINT = [
    click.option(
        "--text", metavar="TEXT_CHECKPOINT",
        help="Text encoder of cg3d-train text; or open_clip:MODEL[:WEIGHTS] or slip:FILE, whose "
        "vectors for --labels then make the bank, and whose text tower reads any other words. "
        "MODEL is a name or a folder of cg3d-train teacher; WEIGHTS a file or a tag, openai by "
        "default.",
    ),
    click.option(
        "--labels", type=_FILE, help="With open_clip or slip: the labels, one a line."
    ),
    click.option(
        "--phrasing", multiple=True, metavar="TEXT",
        help='With open_clip or slip: what is said of a label, {} in its place; or paper ("This is '
        'a {}"), clip (80 phrasings), ensemble (the 63 of training) and others. By default '
        '"a {}". Several are averaged.',
    ),
    click.option(
        "--labels-only", is_flag=True,
        help="With open_clip or slip: leave the text tower out (130 MB for CLIP's smallest).",
    ),
    click.option(
        "--image-encoder", metavar="TEACHER",
        help="Also the image tower of open_clip:MODEL[:WEIGHTS] or slip:FILE, to search by "
        "pictures; the teacher that the encoder was trained with.",
    ),
    click.option(
        "--prompts", type=_FILE,
        help="With --image-encoder: its prompts.safetensors of cg3d-train pretrain-triplets.",
    ),
    click.option(
        "--clouds", type=click.Path(exists=True, path_type=Path), metavar="NPZ",
        help="Clouds (n, N, 3) to compare the result on, or the folder of the household set. "
        "By default the samples of cg3d-sdk.",
    ),
    click.option(
        "--keep", multiple=True, metavar="MODULE",
        help="A module whose products stay in fp32, or with int8 in fp16, e.g. the one that a "
        "failed export named. May be given several times.",
    ),
    click.option("--name", help="Name of the bundle. By default its folder's."),
    click.option(
        "--licence", default="NOASSERTION", show_default=True, metavar="SPDX",
        help="Licence of the bundle as an SPDX expression.",
    ),
    click.option(
        "--model-card", type=_FILE, help="Markdown file about the model, for the bundle."
    ),
    click.option(
        "--attribution", type=_FILE, help="Markdown file with the credits of the data."
    ),
]  # fmt: skip

_ENGINES = [
    click.option(
        "--batch", type=_read(parse_batch), default="1:8:64", show_default=True,
        metavar="MIN:OPT:MAX", help="With --trt: batch sizes taken, and the one to tune for.",
    ),
    click.option(
        "--workspace", type=_read(parse_memory), metavar="SIZE",
        help="With --trt: most scratch memory of a layer, e.g. 512MiB or 2GiB. By default a "
        "quarter of the device's memory, at most 4GiB.",
    ),
    click.option(
        "--timing-cache", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
        help="With --trt: keeps timings from build to build. By default a file for each device "
        "and TensorRT in the user's cache folder.",
    ),
    click.option(
        "--optimization-level", type=click.IntRange(0, 5), default=3, show_default=True,
        help="With --trt: 0 builds quickest, 5 searches longest.",
    ),
    click.option(
        "--version-compatible", is_flag=True,
        help="With --trt: engines that later versions of TensorRT load too; larger and slower.",
    ),
    click.option(
        "--hardware-compatibility",
        type=click.Choice(["none", "ampere_plus", "same_compute_capability"]), default="none",
        show_default=True, help="With --trt: which other GPUs load the engines; not on Jetson.",
    ),
    click.option(
        "--fuse", is_flag=True, help="With --trt: also encoder and bank in one engine."
    ),
    click.option(
        "--dry-run", is_flag=True,
        help="With --trt: show what would be built, here or on a machine without TensorRT.",
    ),
]  # fmt: skip


def export_options(command: Command) -> Command:
    """Every option of the command."""
    for option in reversed([*_OUTPUT, *_TARGETS, *_CHECKPOINT, *_ENGINES]):
        command = option(command)
    return command


def build_options(given: dict[str, Any]) -> BuildOptions:
    """The part of the options that is about building engines."""
    batch: BatchRange = given["batch"]
    return BuildOptions(
        batch,
        given["workspace"],
        given["timing_cache"],
        given["optimization_level"],
        given["version_compatible"],
        given["hardware_compatibility"],
    )
